"""`select` for the simulated board: polls end with bytes from the host, or a wake object."""

import sys

from kernel import it

POLLIN = 1
POLLOUT = 4


class _Poll:
    def __init__(self):
        self._streams = []
        self._ready = self._any  # bound once

    def register(self, stream, mask):
        self._streams.append((stream, mask))
        if stream is not sys.stdin and stream is not sys.stdout:
            it.wakes.append(stream)

    def _any(self):
        for stream, mask in self._streams:
            if stream is sys.stdin:
                if it.line.readable():
                    return True
            elif stream is sys.stdout:
                if it.line.writable():
                    return True
            elif stream.ioctl(3, mask):
                return True
        return False

    def poll(self, ms=-1):
        if ms:
            it.wait(ms * 1000 if ms > 0 else -1, self._ready)
        out = []
        for stream, mask in self._streams:
            if stream is sys.stdin:
                if it.line.readable():
                    out.append((stream, POLLIN))
            elif stream is sys.stdout:
                if it.line.writable():
                    out.append((stream, POLLOUT))
            elif stream.ioctl(3, mask):
                out.append((stream, POLLIN))
        return out

    def ipoll(self, ms=-1):
        return iter(self.poll(ms))


def poll():
    return _Poll()
