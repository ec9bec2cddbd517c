"""The native port: bytes in and out of stdin and stdout, never waiting for the host.

``wait`` is the main loop's only wait. It ends early for a byte, or when an object registered with
``wake_on`` asks for it (the tick's flags).
"""

import select
import sys

import micropython
from micropython import const

_READ_MAX = const(256)


class Serial:
    """Non-blocking byte port over USB CDC. From here on Ctrl-C is data."""

    def __init__(self):
        micropython.kbd_intr(-1)
        self._in = sys.stdin.buffer
        self._out = sys.stdout.buffer
        self._poll = select.poll()
        self._poll.register(sys.stdin, select.POLLIN)
        self._room = select.poll()
        self._room.register(sys.stdout, select.POLLOUT)

    def wake_on(self, stream):
        """Let ``stream`` (an io.IOBase whose ioctl answers polls) end a wait."""
        self._poll.register(stream, select.POLLIN)

    def wait(self, ms):
        """Wait for at most ``ms`` milliseconds."""
        self._poll.poll(ms)

    def read(self):
        """Return the bytes that are there, at most 256 at a time; b"" if none."""
        got = bytearray()
        while len(got) < _READ_MAX and self._readable():
            byte = self._in.read(1)
            if not byte:
                break
            got += byte
            if byte == b"\x03":
                break  # what follows a break-in is the REPL's
        return got

    def _readable(self):
        for stream, _ in self._poll.poll(0):
            if stream is sys.stdin:
                return True
        return False

    def write(self, data, start):
        """Write from ``data[start:]`` what fits now; return the bytes taken. Never blocks.

        One byte a time: POLLOUT promises room for one, and a full FIFO would cost 500 ms.
        """
        at = start
        end = len(data)
        while at < end and self._room.poll(0):
            self._out.write(data[at : at + 1])
            at += 1
        return at - start
