"""The frames of the native protocol: the firmware's own `wire` module, typed for the host."""

from __future__ import annotations

from functools import cache
from types import ModuleType
from typing import Any

from doseloop import resources
from doseloop.errors import LinkError, VersionMismatch


@cache
def _frames() -> ModuleType:
    return resources.firmware_module("wire")


def protocol() -> int:
    """Return the protocol version that this host speaks."""
    return int(resources.firmware_module("version").PROTOCOL)


def max_line() -> int:
    """Return the longest line, in bytes with its newline."""
    return int(_frames().MAX_LINE)


def encode(kind: str, seq: int, obj: dict[str, Any]) -> bytes:
    """Return one frame. Raises `LinkError` when it would be longer than a line may be."""
    frames = _frames()
    try:
        return bytes(frames.encode(kind, seq, obj))
    except frames.WireError as error:
        raise LinkError(error.message, code=error.code) from None


def decode(line: bytes) -> tuple[str, int, dict[str, Any]]:
    """Return kind, sequence number and object of a line. Raises `LinkError` for a bad frame."""
    frames = _frames()
    try:
        kind, seq, obj = frames.decode(line)
    except frames.WireError as error:
        raise LinkError(error.message, code=error.code) from None
    return str(kind), int(seq), obj


def check_protocol(spoken: int, port: str) -> None:
    """Raise `VersionMismatch`, with the command that cures it, unless both speak the same."""
    if spoken != protocol():
        raise VersionMismatch(
            f"the pump speaks protocol {spoken}, these tools speak {protocol()}: "
            "motion is refused, reading works",
            next=f"doseloop flash --port {port}",
        )
