"""tests/micropython/run.py on both Pythons: shared vectors, and the tick with the heap locked."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from doseloop import resources

TESTS = Path(__file__).parents[2]
CASES = sorted(file.stem for file in (TESTS / "micropython").glob("case_*.py"))


def interpreter(name):
    if name == "cpython":
        return sys.executable
    beside = shutil.which("micropython", path=str(Path(sys.executable).parent))
    found = os.environ.get("DOSELOOP_MICROPYTHON") or beside
    if found is None:
        pytest.skip("no MicroPython here: install doseloop[sim] or set DOSELOOP_MICROPYTHON")
    return found


@pytest.mark.parametrize("name", ["cpython", "micropython"])
@pytest.mark.parametrize("case", CASES)
def test_case(name, case):
    run = [interpreter(name), str(TESTS / "micropython" / "run.py")]
    done = subprocess.run(
        [*run, str(resources.firmware_root()), str(TESTS / "vectors"), case],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines and all(line.startswith(("ok ", "skip ")) for line in lines)
    if name == "micropython":
        assert not any(line.startswith("skip") for line in lines)


def test_a_failure_is_a_line_and_an_exit_code(tmp_path):
    (tmp_path / "case_bad.py").write_text("def test_it(folder):\n    assert False\n")
    shutil.copy(TESTS / "micropython" / "run.py", tmp_path)
    done = subprocess.run(
        [interpreter("micropython"), str(tmp_path / "run.py"), str(tmp_path), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 1
    assert done.stdout.startswith("FAIL")
