"""How bytes travel: six methods over one serial port. Knows nothing of frames.

`Transport` is what `Pump` needs; `SerialTransport` is pyserial behind it. Another back end, or a
test's list of sent and received bytes, fits the same six methods.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Protocol

import serial

from doseloop import ports
from doseloop.errors import LinkError, NoPump, PortBusy

_BUSY = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EBUSY)
_WRITE_TIMEOUT_S = 2.0


class Transport(Protocol):
    """A byte stream to one pump. Methods raise `LinkError` when the port went away."""

    @property
    def port(self) -> str:
        """Get the name of the port, as a person would type it."""
        ...

    def read(self) -> bytes:
        """Wait for bytes and return at least one; b"" after `cancel`."""
        ...

    def write(self, data: bytes) -> None:
        """Send all of `data`."""
        ...

    def send_break(self) -> None:
        """Signal a break, which overtakes all bytes. Nothing happens on a line that has none."""
        ...

    def cancel(self) -> None:
        """Make a `read` that waits in another thread return."""
        ...

    def close(self) -> None:
        """Release the port. May be called twice."""
        ...


class SerialTransport:
    """A serial port, held exclusively."""

    def __init__(self, port: str) -> None:
        """Open `port`. Raises `PortBusy` or `NoPump` (exit code 3)."""
        self._port = port
        try:
            self._serial = serial.Serial(
                port, 115200, timeout=None, write_timeout=_WRITE_TIMEOUT_S, exclusive=True
            )
        except (serial.SerialException, OSError) as error:
            raise _open_error(port, error) from error

    @property
    def port(self) -> str:
        return self._port

    def read(self) -> bytes:
        try:
            first = self._serial.read(1)
            return first + self._serial.read(self._serial.in_waiting) if first else b""
        except (serial.SerialException, OSError, TypeError) as error:
            # TypeError: pyserial's read() on a port that close() has just taken away
            raise LinkError(f"{self._port} went away: {error}") from error

    def write(self, data: bytes) -> None:
        try:
            self._serial.write(data)
        except serial.SerialTimeoutException as error:
            raise LinkError(f"{self._port} takes no data for {_WRITE_TIMEOUT_S:g} s") from error
        except (serial.SerialException, OSError) as error:
            raise LinkError(f"{self._port} went away: {error}") from error

    def send_break(self) -> None:
        try:
            self._serial.break_condition = True
            self._serial.break_condition = False
        except (serial.SerialException, OSError):
            pass  # not on this kind of port; a port that went away shows at the next write

    def cancel(self) -> None:
        self._serial.cancel_read()

    def close(self) -> None:
        self._serial.close()


def open_again(port: str, serial_number: str) -> Transport:
    """Open a port that went away: the same, or whatever its board is called now.

    Raises `PortBusy` or `NoPump`.
    """
    try:
        return SerialTransport(port)
    except PortBusy:
        raise
    except NoPump:
        for found in ports.find():
            if (found.usb_serial or "").casefold() == serial_number.casefold():
                return SerialTransport(found.port)
        raise


def _open_error(port: str, error: Exception) -> NoPump:
    number = getattr(error, "errno", None)
    if number in _BUSY or (os.name == "nt" and "PermissionError" in str(error)):
        holder = holder_of(port)
        by = f" by {holder}" if holder else ""
        return PortBusy(f"{port} is in use{by}")
    if number in (errno.ENOENT, errno.ENODEV, errno.ENXIO) or "FileNotFound" in str(error):
        return NoPump(f"there is no port {port}", next="doseloop ports")
    if number in (errno.EACCES, errno.EPERM):
        return NoPump(
            f"no permission to open {port}",
            code="E_PERMISSION",
            next="join the group that owns the port (often dialout), then log in again",
        )
    return NoPump(f"cannot open {port}: {error}", code="E_PORT", next="doseloop ports")


def holder_of(port: str) -> str | None:
    """Return "NAME (process N)" of another program that has `port` open; None if unknown.

    Linux only, and only programs whose files this user may see.
    """
    target = os.path.realpath(port)
    for folder in Path("/proc").glob("[0-9]*"):
        if folder.name == str(os.getpid()):
            continue
        try:
            if any(os.path.realpath(link) == target for link in (folder / "fd").iterdir()):
                words = (folder / "cmdline").read_bytes().split(b"\0")
                text = b" ".join(words[:4]).decode("utf-8", "replace").strip()
                return f"{text or 'a program'} (process {folder.name})"
        except OSError:
            continue
    return None
