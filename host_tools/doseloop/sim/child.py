"""A simulated pump of one's own: start `doseloop sim` in the background, end it. For `run --sim`.

The child has a session of its own, so Ctrl-C does not reach it; when its owner is killed it
serves on, so that `run --attach` finds it, and ends by itself when left alone for long.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from types import TracebackType

from doseloop.errors import DoseloopError, UsageError

LINGER_S = 600
_END_S = 10


class SimProcess:
    """A running `doseloop sim`; `port` is its path."""

    def __init__(self, arguments: list[str]) -> None:
        """Start it with further `arguments` of the verb. Raises what it failed with."""
        command = [sys.executable, "-m", "doseloop", "sim", "--linger", str(LINGER_S)]
        with tempfile.TemporaryFile() as talk:
            self._process = subprocess.Popen(
                [*command, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=talk,
                start_new_session=True,
            )
            assert self._process.stdout is not None
            self.port = self._process.stdout.readline().decode().strip()
            self._process.stdout.close()
            if not self.port:
                code = self._process.wait()
                talk.seek(0)
                text = talk.read().decode("utf-8", "replace").strip()
                kind = UsageError if code == UsageError.exit_code else DoseloopError
                raise kind(f"the simulated pump did not start: {text}", code="E_SIM")

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
