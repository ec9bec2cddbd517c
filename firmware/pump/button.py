"""The bolus button, debounced: which presses count, how long it is down, whether it is stuck.

Knows no pin. Fed with (time, down): at every edge by the pin's hard interrupt, and by main when it
looks (hal/button_pin.py), which keeps the interrupt out meanwhile. So a press is timed by its
edges, however long main was busy. Time is ticks_us(): it wraps at 2**30.
"""

import micropython
from micropython import const

_MASK = const(0x3FFFFFFF)
SETTLE_US = const(30_000)  # so long without an edge, and a level counts. 100 Hz of bounce: 5 ms
STUCK_US = const(60_000_000)  # F5
EDGES_MAX = const(20)  # between two looks; more is noise, and main's time is worth more
_NOTHING_DUE_MS = const(2000)


class Button:
    """One button. What is down from the beginning is no press: it must come up first."""

    def __init__(self, now, down):
        self.down = down  # settled
        self._read = down  # as it was last read ...
        self._since = now  # ... and since when without an edge
        self._pressed = now  # when the press that holds began
        self._presses = 0
        self._edges = 0
        self.stuck = False  # down for longer than STUCK_US

    @micropython.native
    def edge(self, now, down):  # ISR-safe
        """There was an edge; read afterwards, it is up or down. Return True when there have been
        so many since the last look that no more should come."""
        self._settle(now)
        self._read = down  # may be as before: then two edges came together
        self._since = now
        self._edges += 1
        return self._edges >= EDGES_MAX

    @micropython.native
    def _settle(self, now):  # ISR-safe
        if self._read != self.down and (now - self._since) & _MASK >= SETTLE_US:
            self.down = self._read
            if self.down:
                self._pressed = self._since
                self._presses += 1

    def look(self, now, down):
        """Return how many presses have settled since the last look."""
        if self._edges >= EDGES_MAX:
            self._read = down  # nobody has listened since: what held meanwhile is not known
            self._since = now
        elif down != self._read:
            self.edge(now, down)  # its interrupt is yet to come
        self._settle(now)
        self._edges = 0
        presses, self._presses = self._presses, 0
        # Latched, because the difference wraps after 18 minutes.
        self.stuck = self.down and (self.stuck or (now - self._pressed) & _MASK >= STUCK_US)
        return presses

    def forget(self):
        """A run begins: what is down now, if only just, is no press until it was up."""
        if self._read and not self.down:
            self.down = True
            self._pressed = self._since

    def wait_ms(self, now):
        """Return how soon main must look again, if no edge comes before."""
        if self._read != self.down:
            left = SETTLE_US - ((now - self._since) & _MASK)
        elif self.down and not self.stuck:
            left = STUCK_US - ((now - self._pressed) & _MASK)
        else:
            return _NOTHING_DUE_MS
        return max(0, left + 999) // 1000
