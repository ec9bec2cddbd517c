"""A running emulated board, as a test holds it."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from doseloop.transport import SerialTransport

PATIENCE_S = 300  # emulated time is some 25 times slower than real time, more on a busy computer


@dataclass
class Emulated:
    """A running `doseloop sim --emulated`."""

    process: subprocess.Popen[str]
    port: str
    ready_ms: int
    trace: Path
    state: Path


class Line:
    """The port, in a person's hands."""

    def __init__(self, port: str) -> None:
        self._transport = SerialTransport(port)
        self.heard = bytearray()

    def type(self, data: bytes) -> None:
        """Send bytes."""
        self._transport.write(data)

    def until(self, mark: bytes) -> str:
        """Return what is said up to and without `mark`."""
        deadline = time.monotonic() + PATIENCE_S
        while mark not in self.heard:
            assert time.monotonic() < deadline, f"no {mark!r} in {bytes(self.heard[-300:])!r}"
            self.heard += self._transport.read()
        before, _, rest = bytes(self.heard).partition(mark)
        self.heard[:] = rest
        return before.decode()

    def close(self) -> None:
        """Release the port."""
        self._transport.close()

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
