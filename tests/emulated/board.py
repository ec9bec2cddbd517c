"""A running emulated board, as a test holds it."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from doseloop import Pump
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
    transports: list[SerialTransport] = field(default_factory=list)

    def pump(self) -> Pump:
        """Greet the pump, with a deadline for an emulated one."""
        self.transports.append(SerialTransport(self.port))
        return Pump(self.transports[-1], deadline_s=PATIENCE_S / 3)

    def send(self, data: bytes) -> None:
        """Put bytes on the line of the pump opened last, past the library."""
        self.transports[-1].write(data)


def until(what: str, data: bytearray, transport: SerialTransport, mark: bytes) -> None:
    """Read from the port into `data` until `mark` is in it."""
    deadline = time.monotonic() + PATIENCE_S
    while mark not in data:
        assert time.monotonic() < deadline, f"no {what}: {bytes(data[-200:])!r}"
        data += transport.read()
