"""The MicroPython process that is the simulated board: start it, talk to it, end it.

Its standard streams carry the bytes of the pump's serial line; descriptors 3 and 4 carry control
lines, JSON, to it and from it. When this process dies, however it dies, the other one reads the
end of descriptor 3 and ends too. Used by launcher only.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from doseloop import resources
from doseloop.sim import interpreter
from doseloop.sim.faults import Fault

_STDIN, _STDOUT, _CONTROL_IN, _CONTROL_OUT = 0, 1, 3, 4
_FREE = 10  # descriptors are parked above those that the child expects
_QUIT_S = 2.0
# The options travel in the environment: the unix port turns every argument into an interned
# string, and those end at 255 bytes.
OPTIONS = "DOSELOOP_WORLD"


@dataclass(frozen=True)
class Options:
    """How the simulated board starts; times in ns of the simulation."""

    speed: str = "1"
    state: Path | None = None
    trace: Path | None = None
    config: str | None = None
    serial: str | None = None
    faults: tuple[Fault, ...] = ()
    hold: bool = False
    dense: bool = False  # the tick is called every millisecond, due or not

    def as_json(self, command: list[str]) -> str:
        """Return what the simulated board is told; `command` is for its restarts."""
        speed: str | int | float = self.speed
        if speed != "max":
            number = float(speed)
            speed = int(number) if number.is_integer() else number
        return json.dumps(
            {
                "firmware": str(resources.firmware_root()),
                "interpreter": command,
                "state": None if self.state is None else str(self.state.absolute()),
                "trace": None if self.trace is None else str(self.trace.absolute()),
                "speed": speed,
                "config": self.config,
                "serial": self.serial,
                "faults": [
                    {"name": fault.name, "at_ns": fault.at_ns, "value": fault.value}
                    for fault in self.faults
                ],
                "hold": self.hold,
                "dense": self.dense,
                "attached": False,
            }
        )


class World:
    """The running simulated board. All descriptors are non-blocking."""

    def __init__(self, options: Options, script: Path | None = None) -> None:
        script = script or resources.sim_device_root() / "world.py"
        command = [*interpreter.find(), "-X", "heapsize=32m", str(script)]
        stdin, self.stdin = _pipe(theirs=0)
        self.stdout, stdout = _pipe(theirs=1)
        control_in, self._control_in = _pipe(theirs=0)
        self.control_out, control_out = _pipe(theirs=1)
        theirs = {
            _STDIN: stdin,
            _STDOUT: stdout,
            _CONTROL_IN: control_in,
            _CONTROL_OUT: control_out,
        }
        try:
            self.pid = os.posix_spawn(
                command[0],
                command,
                {**os.environ, OPTIONS: options.as_json(command[:-1])},
                file_actions=[(os.POSIX_SPAWN_DUP2, fd, at) for at, fd in theirs.items()],
                setpgroup=0,  # Ctrl-C in a terminal is for us; we end the board in order
                setsigdef=[signal.SIGPIPE, signal.SIGINT],
            )
        finally:
            for fd in theirs.values():
                os.close(fd)
        self._to_pump = bytearray()
        self._lines = bytearray()
        self._exit: int | None = None

    def send(self, data: bytes) -> None:
        """Queue bytes for the pump's serial line."""
        self._to_pump += data
        self.flush()

    def flush(self) -> None:
        """Move queued bytes on, as far as the pump takes them."""
        if not self._to_pump:
            return
        try:
            sent = os.write(self.stdin, self._to_pump)
        except BlockingIOError:
            return
        except BrokenPipeError:
            sent = len(self._to_pump)
        del self._to_pump[:sent]

    @property
    def room(self) -> bool:
        """Whether the pump has taken all it was sent."""
        return not self._to_pump

    def read(self) -> bytes | None:
        """Return what the pump wrote, b"" when nothing, None at its end."""
        return _read(self.stdout)

    def control(self, obj: dict[str, Any]) -> None:
        """Send one control line. Lines are small and read at once: the pipe holds them."""
        try:
            os.write(self._control_in, json.dumps(obj).encode() + b"\n")
        except OSError:  # it has ended; the main loop notices by itself
            pass

    def messages(self) -> list[dict[str, Any]] | None:
        """Return the control lines that came, None at the end of the process."""
        data = _read(self.control_out)
        if data is None:
            return None
        self._lines += data
        *whole, rest = self._lines.split(b"\n")
        self._lines = bytearray(rest)
        return [json.loads(line) for line in whole if line.strip()]

    def exit_status(self) -> int | None:
        """Get the exit status, None while it runs; below 0: ended by that signal."""
        if self._exit is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._exit = os.waitstatus_to_exitcode(status)
        return self._exit

    def quit(self) -> int:
        """End it: asked first, so that traces are flushed, then by signal. Returns its status."""
        self.control({"do": "quit"})
        os.close(self._control_in)
        deadline = time.monotonic() + _QUIT_S
        while self.exit_status() is None and time.monotonic() < deadline:
            for fd in (self.stdout, self.control_out):  # it must not be stuck writing to us
                _read(fd)
            time.sleep(0.002)
        if self.exit_status() is None:
            os.kill(self.pid, signal.SIGKILL)
            self._exit = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        for fd in (self.stdin, self.stdout, self.control_out):
            os.close(fd)
        return self._exit if self._exit is not None else 0


def _pipe(theirs: int) -> tuple[int, int]:
    # Returns (read end, write end); `theirs` tells which one stays blocking for the child.
    ends = list(os.pipe())
    for index, fd in enumerate(ends):
        ends[index] = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FREE)
        os.close(fd)
    os.set_blocking(ends[1 - theirs], False)
    return ends[0], ends[1]


def _read(fd: int) -> bytes | None:
    try:
        return os.read(fd, 65536) or None
    except BlockingIOError:
        return b""
