"""A dose on top of a run, and a bolus that lasts while it is held.

The controller stops and starts the motor; this knows which dose that is for, and what came of it.
"""

from micropython import const

_HOLD_MS = const(300)  # a held bolus ends so long after the last `hold`


class Bolus:
    """``events`` records when a dose on top begins and what was given of it."""

    def __init__(self, events):
        self._events = events
        self._wanted = None  # volume and rate of a dose that waits for a standstill
        self.item = None  # the item of the dose under way
        self._held_ms = None

    def want(self, volume_al, rate_al_per_h):
        """Take note of a dose; begin() gives it once the motor stands."""
        self._wanted = (volume_al, rate_al_per_h)

    def begin(self, run):
        """Put the dose that waits, if one does, before the item under way. At standstill."""
        wanted, self._wanted = self._wanted, None
        if wanted is None:
            return
        if self.item is not None:
            self.end(run)  # over, but nobody has looked since
        if run.item() is None:  # the order was completed before the motor stood
            self._events.add("bolus_end", run=run.id, given_al=0)
            return
        self.item = run.add_bolus(*wanted)
        self._events.add("bolus", run=run.id, volume_al=wanted[0], rate=wanted[1])

    def follow(self, run):
        """End the dose when another item is under way: then it is over."""
        if self.item is not None and run.item() is not self.item:
            self.end(run)

    def end(self, run):
        """A dose is over. What is left of one that was cut short is not given later."""
        item, self.item = self.item, None
        self._wanted = None
        if item is not None:
            if run.item() is item:
                run.cancel_bolus()
            self._events.add("bolus_end", run=run.id, given_al=item.dose_al)

    def take_over(self, run):
        """A reset has ended the dose on top that was under way, if one was."""
        item = run.item()
        if item is not None and item.dose_al:
            self.item = item
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
