"""A simulated pump of one's own: start `doseloop sim` in the background, end it. For `run --sim`.

The child has a session of its own, so Ctrl-C does not reach it; when its owner is killed it
serves on, so that `run --attach` finds it, and ends by itself when left alone for long.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import tempfile
from types import TracebackType

from doseloop.errors import DoseloopError, UsageError

LINGER_S = 600
_END_S = 10


class SimProcess:
    """A running `doseloop sim` whose clock stands until `go`; `port` is its path."""

    def __init__(self, arguments: list[str]) -> None:
        """Start it with further `arguments` of the verb. Raises what it failed with."""
        # Held: with --speed max a fault at 600 s would otherwise come before the run can start.
        self._folder = tempfile.TemporaryDirectory(prefix="doseloop-", ignore_cleanup_errors=True)
        self._control = f"{self._folder.name}/control"
        command = [sys.executable, "-m", "doseloop", "sim", "--linger", str(LINGER_S)]
        command += ["--hold", "--control", self._control]
        self._talk = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            [*command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._talk,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self.port = self._process.stdout.readline().decode().strip()
        self._process.stdout.close()
        if not self.port:
            code = self._process.wait()
            kind = UsageError if code == UsageError.exit_code else DoseloopError
            raise kind(f"the simulated pump did not start: {self.talk()}", code="E_SIM")

    def go(self) -> None:
        """Let its clock run."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
            control.settimeout(_END_S)
            control.connect(self._control)
            control.sendall(b"go\n")
            control.recv(1024)

    def talk(self) -> str:
        """Return what it has written to its stderr."""
        self._talk.seek(0)
        return self._talk.read().decode("utf-8", "replace").strip()

    def died(self) -> bool:
        """Whether it has ended by itself, given a moment to do so."""
        try:
            self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            return False
        return True

    @property
    def pid(self) -> int:
        """Get its process id."""
        return self._process.pid

    def close(self) -> None:
        """End it in order, traces flushed; does nothing when it has ended."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._talk.close()
        self._folder.cleanup()

    def leave(self) -> None:
        """Let it run on after this process ends."""
        self._process.returncode = 0  # no warning about a child that is still running

    def __enter__(self) -> SimProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
