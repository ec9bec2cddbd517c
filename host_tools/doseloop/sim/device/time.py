"""`time` for the simulated board: virtual, wrapping as the chip's does."""

import micropython

from kernel import it

_WRAP = 1 << 30
_HALF = 1 << 29


@micropython.native
def ticks_us():
    return (it.now - it.boot_at) & (_WRAP - 1)


def ticks_ms():
    return ((it.now - it.boot_at) // 1000) & (_WRAP - 1)


def ticks_diff(a, b):
    return ((a - b + _HALF) & (_WRAP - 1)) - _HALF


def ticks_add(a, b):
    return (a + b) & (_WRAP - 1)


def time_ns():
    return it.now * 1000


def sleep_us(us):
    it.wait(us, None)


def sleep_ms(ms):
    it.wait(ms * 1000, None)


def sleep(seconds):
    it.wait(int(seconds * 1_000_000), None)
