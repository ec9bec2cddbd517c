"""The wheel carries the firmware and the boards, and an installed copy finds them."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def pip(*arguments: str) -> None:
    # Offline: what it takes to build is in this environment already.
    subprocess.run(
        [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PIP_NO_INDEX": "1"},
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), ".")
    (file,) = folder.glob("doseloop-*.whl")
    return file


def in_checkout(folder: str, pattern: str) -> set[str]:
    files = (ROOT / folder).rglob(pattern)
    return {file.relative_to(ROOT).as_posix() for file in files if "__pycache__" not in file.parts}


def test_wheel_holds_every_firmware_and_board_file_and_nothing_stale(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = in_checkout("firmware", "*.py") | in_checkout("boards", "*.toml")
    assert {f"doseloop/_data/{path}" for path in wanted} <= names
    device = in_checkout("host_tools/doseloop/sim/device", "*.py")
    assert {path.removeprefix("host_tools/") for path in device} <= names
    assert not [name for name in names if name.endswith((".pyc", ".mpy", ".uf2"))]
    assert not [name for name in names if name.startswith(("tests/", "docs/", "out/"))]


def test_installed_copy_resolves_its_own_data_and_runs_the_command(wheel, tmp_path):
    pip("install", "--no-deps", "--target", str(tmp_path / "site"), str(wheel))
    environment = {
        **os.environ,
        "PYTHONPATH": str(tmp_path / "site"),
        "DOSELOOP_HOME": str(tmp_path),
    }
    environment.pop("PYTHONSTARTUP", None)
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            "from doseloop import resources as r\n"
            "print(r.firmware_root()); print(r.boards_root()); print(r.sim_device_root())\n"
            "print(r.firmware_module('wire').__file__)",
        ],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
    ).stdout.splitlines()
    assert [str(tmp_path / "site") in line for line in told] == [True] * 4
    assert (Path(told[0]) / "pump" / "wire.py").is_file()
    listed = subprocess.run(
        [sys.executable, "-m", "doseloop.cli.main", "flash", "--dry-run"],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
    ).stdout
    assert "bytes of .mpy" in listed
