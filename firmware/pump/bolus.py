"""Doses on top of a run, and a bolus that lasts while it is held.

The controller stops and starts the motor; this knows which dose that is for, and what came of it.
A normal dose comes at a rate. A square one is spread over a time; a normal dose suspends it, and
what is left of it follows (C3).
"""

from micropython import const

_HOLD_MS = const(300)  # a held bolus ends so long after the last `hold`


class Bolus:
    """``events`` records when a dose on top begins and what was given of it."""

    def __init__(self, events):
        self._events = events
        self._wanted = None  # volume and rate of a dose that waits for a standstill; is it square?
        self.item = None  # the item of the dose under way
        self.square = None  # the item of a square one, under way or suspended
        self._held_ms = None

    def want(self, volume_al, rate_al_per_h, square=False):
        """Take note of a dose; begin() gives it once the motor stands."""
        self._wanted = (volume_al, rate_al_per_h, square)

    def begin(self, run):
        """Put the dose that waits, if one does, before the item under way. At standstill."""
        wanted, self._wanted = self._wanted, None
        if wanted is None:
            return
        self.follow(run)  # one may be over, but nobody has looked since
        if run.item() is None:  # the order was completed before the motor stood
            self._events.add("bolus_end", run=run.id, given_al=0)
            return
        volume, rate, square = wanted
        self.item = run.add_bolus(volume, rate)
        if square:
            self.square = self.item
        self._events.add("bolus", run=run.id, volume_al=volume, rate=rate, square=square)

    def follow(self, run):
        """End a dose when another item is under way: then it is over."""
        while self.item is not None and run.item() is not self.item:
            self._over(run)

    def end(self, run):
        """Cut short what is under way. What is left of a dose is not given later."""
        self._wanted = None
        while self.item is not None:
            if run.item() is self.item:
                run.cancel_bolus()
            self._over(run)

    def _over(self, run):
        item, self.item = self.item, self.square
        if item is self.square:
            self.item = self.square = None
        self._events.add("bolus_end", run=run.id, given_al=item.dose_al)

    def take_over(self, run):
        """A reset has ended the doses on top that were under way, if any were."""
        doses = [item for item in run.ahead() if item.dose_al]
        if doses:
            self.item = doses[0]
            self.square = doses[-1]  # the same, or suspended by the first
            self.end(run)

    # -- held ---------------------------------------------------------------------------------

    @property
    def held(self):
        """True while a bolus goes on only as long as somebody holds it."""
        return self._held_ms is not None

    def hold(self, now_ms):
        """Somebody holds it, now."""
        self._held_ms = now_ms

    def let_go(self):
        """It is held no more."""
        self._held_ms = None

    def hold_left_ms(self, now_ms):
        """Return how long it goes on without another hold; 0: it is over."""
        return max(0, self._held_ms + _HOLD_MS + 1 - now_ms)
