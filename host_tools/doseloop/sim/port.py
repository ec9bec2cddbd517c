"""The pseudo-terminal that a simulated pump is reached by. Used by launcher only.

It behaves as a USB serial port does: raw bytes, nothing echoed, and what is written while nobody
has the port open is lost.
"""

from __future__ import annotations

import array
import errno
import fcntl
import os
import select
import termios
import tty
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from doseloop.errors import UsageError
from doseloop.sim import registry

_T = TypeVar("_T")
BACKLOG = 65536  # bytes kept for a client that reads slowly; what comes then is lost


class Port:
    """One pty: `path` for the client, bytes in and out for the launcher."""

    def __init__(self, link: Path | None = None) -> None:
        self._master, slave = os.openpty()
        try:
            tty.setraw(slave, termios.TCSANOW)
            self.path = os.ttyname(slave)
        finally:
            os.close(slave)
        os.set_blocking(self._master, False)
        self._backlog = bytearray()
        self._poll = select.poll()
        self._poll.register(self._master, select.POLLIN)
        self.link: Path | None = None
        if link is not None:
            self._make_link(link)

    def _make_link(self, link: Path) -> None:
        # A link to a terminal is what a killed simulator left behind, unless one that runs claims
        # it. Whether its target exists tells nothing: our own port may have got that name.
        if link.is_symlink() and os.readlink(link).startswith("/dev/"):
            claimed = {entry.link for entry in registry.running()}
            if str(link.absolute()) not in claimed:
                link.unlink()
        try:
            link.symlink_to(self.path)
        except OSError as error:
            raise UsageError(f"cannot make the link {link}: {error.strerror}") from error
        self.link = link

    def fileno(self) -> int:
        """Return the descriptor to wait on while somebody is attached."""
        return self._master

    def attached(self) -> bool:
        """Get whether any program has the port open."""
        return not any(mask & select.POLLHUP for _, mask in self._poll.poll(0))

    def read(self) -> bytes:
        """Return the bytes that the client has sent, b"" when there are none."""
        try:
            return os.read(self._master, 4096)
        except BlockingIOError:
            return b""
        except OSError as error:
            if error.errno == errno.EIO:  # nobody attached, and nothing left
                return b""
            raise

    @property
    def waiting(self) -> bool:
        """Whether bytes wait for a client that does not take them."""
        return bool(self._backlog)

    def write(self, data: bytes) -> None:
        """Send `data` to the client, as far as it reads; the rest waits, up to `BACKLOG`."""
        if len(self._backlog) < BACKLOG:
            self._backlog += data
        self.flush()

    def flush(self) -> None:
        """Move the backlog on. Without a client it is thrown away, as USB would."""
        if not self._backlog:
            return
        if not self.attached():
            self._backlog.clear()
            return
        try:
            sent = os.write(self._master, self._backlog)
        except BlockingIOError:
            return
        del self._backlog[:sent]

    def all_read(self) -> bool:
        """Get whether the client has read everything written so far (or nobody is there)."""
        self.flush()
        if not self.attached():
            return True
        return not self._backlog and self._on_slave(_is_empty, True)

    def forget_unread(self) -> None:
        """Throw away what a client that left did not read; the next one must not see it."""
        self._backlog.clear()
        self._on_slave(lambda slave: termios.tcflush(slave, termios.TCIFLUSH), None)

    def _on_slave(self, act: Callable[[int], _T], otherwise: _T) -> _T:
        try:
            slave = os.open(self.path, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
        except OSError:  # held with TIOCEXCL: no way to look
            return otherwise
        try:
            return act(slave)
        finally:
            os.close(slave)

    def close(self) -> None:
        """Remove the link and hang up."""
        if self.link is not None and self.link.is_symlink():
            self.link.unlink()
        os.close(self._master)


def _is_empty(slave: int) -> bool:
    # Bytes on their way through the kernel's flip buffer are not in FIONREAD yet; poll() on the
    # slave waits for them first. Both are asked, because a client may have set VMIN above 1.
    poll = select.poll()
    poll.register(slave, select.POLLIN)
    if any(mask & select.POLLIN for _, mask in poll.poll(0)):
        return False
    waiting = array.array("i", [0])
    fcntl.ioctl(slave, termios.FIONREAD, waiting)
    return waiting[0] == 0
