"""The one clock: microseconds since boot that never wrap, from a counter that does."""

import time


class Clock:
    """Extends ticks_us(), which wraps at 2**30 us. Read it at least every eight minutes: the main
    loop does, because it never waits longer than two seconds."""

    def __init__(self):
        self._last = time.ticks_us()
        self._us = self._last

    def us(self):
        """Return microseconds since boot; may pass 2**30, so not for a hard IRQ."""
        now = time.ticks_us()
        self._us += time.ticks_diff(now, self._last)
        self._last = now
        return self._us

    def ms(self):
        """Return whole milliseconds since boot."""
        return self.us() // 1000

    def since_us(self, then):
        """Return microseconds since a ticks_us() value less than eight minutes old."""
        return time.ticks_diff(time.ticks_us(), then)
