"""Numbered events: what happened, in order, kept so that a host can ask again.

Numbers start at 1 at each boot; the boot number tells boots apart. The oldest are dropped first,
and a gap in the numbers shows it.
"""

from micropython import const

_KEEP = const(96)  # about 130 B each: 12 kB of the 16 kB that link and events may have


class Events:
    """A ring of event dicts. ``listener`` (link) sees each as it comes."""

    def __init__(self, clock, boot):
        self._clock = clock
        self.boot = boot
        self._ring = []
        self.last = 0
        self.listener = lambda event: None

    def add(self, e, **fields):
        """Record an event called ``e`` and hand it to the listener."""
        self.last += 1
        event = {"n": self.last, "boot": self.boot, "ms": self._clock.ms(), "e": e}
        event.update(fields)
        if len(self._ring) == _KEEP:
            self._ring.pop(0)
        self._ring.append(event)
        self.listener(event)
        return event

    def first(self):
        """Return the number of the oldest event kept."""
        return self.last - len(self._ring) + 1

    def since(self, number, most):
        """Return up to ``most`` events numbered above ``number``, oldest first."""
        skip = max(0, number - self.first() + 1)
        return self._ring[skip : skip + most]
