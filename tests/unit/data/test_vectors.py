"""The shared vectors of quantity and sealed pass on CPython and on MicroPython."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from doseloop import resources

TESTS = Path(__file__).parents[2]


def _micropython() -> str | None:
    beside = shutil.which("micropython", path=str(Path(sys.executable).parent))
    return os.environ.get("DOSELOOP_MICROPYTHON") or beside


@pytest.mark.parametrize("interpreter", ["cpython", "micropython"])
def test_vectors(interpreter):
    binary = sys.executable if interpreter == "cpython" else _micropython()
    if binary is None:
        pytest.skip("no MicroPython here: install doseloop[sim] or set DOSELOOP_MICROPYTHON")
    script = TESTS / "micropython" / "data_vectors.py"
    done = subprocess.run(
        [binary, str(script), str(resources.firmware_root()), str(TESTS / "vectors")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.split()[1]) > 200
