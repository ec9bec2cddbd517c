"""make lists its verbs, and a verb that is not built says so."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="no make")

BUILT = ("demo", "test", "lint", "format", "flash", "docs", "lock", "env", "uf2", "perf",
         "soak-emulated", "coverage", "mutation", "fuzz")  # fmt: skip
NOT_BUILT = ("soak", "accuracy")


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    # This suite is itself run by make; its flags must not reach the makes under test.
    own = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(["make", *arguments], cwd=ROOT, capture_output=True, text=True, env=own)


def test_make_alone_lists_the_verbs():
    listed = re.findall(r"^  make ([a-z0-9-]+) ", make().stdout, re.MULTILINE)
    assert set(BUILT) <= set(listed)
    assert not set(NOT_BUILT) & set(listed)


@pytest.mark.parametrize("verb", NOT_BUILT)
def test_a_verb_that_is_not_built_says_so(verb):
    result = make(verb)
    assert result.returncode == 2
    assert f"make {verb} is not built yet: see CHANGELOG.md" in result.stderr
    assert f"`make {verb}`" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("verb", BUILT)
def test_a_built_verb_is_a_valid_recipe(verb):
    # -n: print what would run; .venv counts as old so that its recipe is read as well
    assert make("-n", "-o", ".venv/.ready", verb).returncode == 0


def test_ci_runs_make_test_and_nothing_cleverer():
    lines = (ROOT / ".ci/run").read_text(encoding="utf-8").splitlines()
    commands = [line for line in lines if line and not line.startswith("#")]
    assert commands == ["set -euo pipefail", 'cd "$(dirname "$0")/.."', "make test"]
