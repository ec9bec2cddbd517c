"""The native port: bytes in and out of stdin and stdout, never waiting for the host.

``wait`` is the main loop's only wait. It ends early for a byte, or when an object registered with
``wake_on`` asks for it (the tick's flags).
"""

import select
import sys

import machine
import micropython
from micropython import const

from pump.hal import registers as reg

_READ_MAX = const(128)
_PACKET = const(64)  # bytes the USB endpoint takes at once
_LOOKS = const(8)  # at a packet that is out, some 0.2 ms: a host that reads has fetched it by then


class Serial:
    """Non-blocking byte port over USB CDC. From here on Ctrl-C is data."""

    def __init__(self):
        micropython.kbd_intr(-1)
        self._one = bytearray(1)
        self._got = memoryview(bytearray(_READ_MAX))
        self._out = sys.stdout.buffer
        self._poll = select.poll()
        self._poll.register(sys.stdin, select.POLLIN)
        there = select.poll()
        there.register(sys.stdin, select.POLLIN)
        self._there = there.ipoll
        self._read_into = sys.stdin.buffer.readinto  # pyright: ignore[reportAttributeAccessIssue]
        self._room = select.poll()
        self._room.register(sys.stdout, select.POLLOUT)

    def wake_on(self, stream):
        """Let ``stream`` (an io.IOBase whose ioctl answers polls) end a wait."""
        self._poll.register(stream, select.POLLIN)

    def wait(self, ms):
        """Wait for at most ``ms`` milliseconds."""
        self._poll.poll(ms)

    def read(self):
        """Return the bytes that are there, b"" if none: at most 128, and none past a newline or
        a Ctrl-C."""
        return bytes(self._got[: _take(self._there, self._read_into, self._one, self._got)])

    def write(self, data, start):
        """Write from ``data[start:]`` what the host takes now; return the bytes taken.

        A packet at a time, each only when the one before was fetched. So the USB stack's own
        buffer never fills up: it would make main wait 500 ms for a host that does not read.
        """
        at = start
        end = len(data)
        if not self._room.poll(0):
            return 0  # the stack's own buffer is full: it would wait
        looks = 0
        while at < end and looks < _LOOKS:
            if machine.mem32[reg.USB_EP2_IN] & reg.USB_AVAILABLE:
                looks += 1
            else:
                packet = data[at : at + _PACKET]
                taken = self._out.write(packet) or 0
                at += taken
                looks = 0
                if taken < len(packet):
                    break  # full after all
        return at - start


@micropython.viper
def _take(ready, read_into, one, got) -> int:
    byte = ptr8(one)
    into = ptr8(got)
    taken = 0
    while taken < _READ_MAX:
        # Asked before every byte: a read would wait for one that is not there.
        for _ in ready(0):
            read_into(one)
            break
        else:
            break
        into[taken] = byte[0]
        taken += 1
        # One line at a time; and what follows a break-in is the REPL's.
        if byte[0] == 10 or byte[0] == 3:
            break
    return taken
