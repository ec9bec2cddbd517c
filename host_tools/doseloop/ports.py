"""Which pumps there are: real ports by USB vendor, simulated ones by their registry.

One pump is taken, none or several are an error that lists them: a guess could start the wrong
motor.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from doseloop.errors import NoPump

_RASPBERRY_PI = 0x2E8A  # USB vendor id of RP2040 boards


@dataclass(frozen=True)
class PortInfo:
    """One port that a pump may be on."""

    port: str
    tier: str  # "hardware" or "simulated"
    usb_serial: str | None
    description: str


def find() -> list[PortInfo]:
    """Return the ports that pumps may be on, real ones first."""
    return _real() + _simulated()


def _real() -> list[PortInfo]:
    from serial.tools import list_ports

    return [
        PortInfo(found.device, "hardware", found.serial_number, found.description)
        for found in sorted(list_ports.comports(), key=lambda found: found.device)
        if found.vid == _RASPBERRY_PI
    ]


def _simulated() -> list[PortInfo]:
    try:
        from doseloop.sim import registry
    except ImportError:  # no fcntl: this system has no simulated boards
        return []
    return [
        PortInfo(
            entry.link or entry.port,
            "simulated",
            None,
            f"simulated {entry.board or 'board'}, {entry.syringe or 'no syringe'}, "
            f"speed {entry.speed}, process {entry.pid}",
        )
        for entry in registry.running()
    ]


def choose(port: str | None = None) -> str:
    """Return the port to open: `port`, else DOSELOOP_PORT, else the only pump there is.

    Raises `NoPump` when there is none, or when there are several (all are listed).
    """
    named = port or os.environ.get("DOSELOOP_PORT")
    if named:
        return named
    found = find()
    if not found:
        raise NoPump(
            "no pump was found",
            next="connect one, or start a simulated one: doseloop sim",
        )
    if len(found) > 1:
        listed = "; ".join(f"{info.port} ({info.description})" for info in found)
        raise NoPump(
            f"{len(found)} pumps were found: {listed}",
            code="E_MANY_PUMPS",
            next=f"name one: --port {found[0].port}, or DOSELOOP_PORT",
        )
    return found[0].port
