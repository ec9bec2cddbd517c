"""Going on by itself after an occlusion: how often, when, and only below half of the threshold.

Imported where the board file allows it. Called by occlusion.py; rules: D7, Alaris.
"""

from micropython import const

from pump import states
from pump.errors import Refused

_WINDOW_MS = const(600_000)
_SETTLE_MS = const(5000)


class Restart:
    """At most ``most`` restarts in any 10 min."""

    def __init__(self, clock, events, alarms, most):
        self._clock, self._events, self._alarms, self._most = clock, events, alarms, most
        self._done_ms = []
        self.due_ms = None  # when to try; None: not at all

    def consider(self, c, pa, threshold_pa):
        """The back-off is over, at a pressure: is a restart allowed?"""
        now = self._clock.ms()
        self._done_ms = [ms for ms in self._done_ms if ms > now - _WINDOW_MS]
        if len(self._done_ms) < self._most and self._may(c, pa, threshold_pa):
            self.due_ms = now + _SETTLE_MS

    def _may(self, c, pa, threshold_pa):
        alone = c.state == states.ALARM and self._alarms.stopping() == ["A_OCCLUSION"]
        return alone and pa is not None and 2 * pa < threshold_pa

    def due(self):
        """Return whether it is time to look once more, and try."""
        return self.due_ms is not None and self._clock.ms() >= self.due_ms

    def begin(self, c, pa, threshold_pa):
        """Go on, if still allowed. Return whether it was tried."""
        self.due_ms = None
        if not self._may(c, pa, threshold_pa):
            return False
        self._done_ms.append(self._clock.ms())
        self._events.add("restart", run=c.run.id, nth=len(self._done_ms))
        try:
            c.clear()
            c.resume()
        except Refused:
            c.alarm("A_OCCLUSION")  # the stop input, an end switch: for a person
        return True
