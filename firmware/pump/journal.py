"""What a run must not lose to a reset: its order, where it stands, where the plunger is.

The order is kept once, before the motor moves. The rest is kept whenever something begins or ends,
and while it moves after every 50 steps, but no more often than every second and no less than every
minute. Between two of these only a loss of power forgets steps, and at most as many as the record
says (Motor.dump): any other reset leaves the witness's own count (hal/witness.py). recovery.py
makes a run of it again.
"""

import json

from micropython import const

from pump.slots import Slots

STEPS = const(50)  # a 6000th of a stroke
_EVERY_MS = const(900)  # main looks every second: so at least every two
_SLOW_MS = const(60_000)  # fewer steps than that, or a wait: what is left of it is kept too
_AGAIN_MS = const(60_000)  # after the flash has failed


class Journal:
    """``storage`` is hal.storage. Raises sealed.SealError and ValueError for what is damaged."""

    def __init__(self, clock, storage):
        self._clock = clock
        self._orders = Slots(storage, "order")
        self._runs = Slots(storage, "run")
        self._due_ms = None  # nothing to keep
        self._steps = 0

    def open(self, run):
        """Keep the order of a run that is about to begin. Raise OSError."""
        library = run.order.library
        kept = json.dumps(library and library.data)
        self._orders.write("%s\n%s\n%s" % (run.id, kept, run.order.text))

    def touch(self):
        """Something has begun or ended: keep it with the next look."""
        self._due_ms = 0

    def due(self):
        """Return whether it may be time for look()."""
        return self._due_ms is not None and self._clock.ms() >= self._due_ms

    def look(self, run, motor, config_crc, pause_ms, held):
        """Keep the run when it is time. Return False when the flash did not take it.

        pause_ms: what is left of a wait; held: it is a bolus that somebody holds.
        """
        now = self._clock.ms()
        if not self.due() or not motor.may_wait():
            return True
        steps = run.witnessed + run.takeup + run.kvo_steps
        if self._due_ms and steps - self._steps < STEPS:
            passing = pause_ms or motor.moving
            if not passing or now < self._due_ms - _EVERY_MS + _SLOW_MS:
                return True
        self._steps = steps
        over = run.ended and not motor.moving  # keeping the vein open has no end of its own
        self._due_ms = None if over else now + _EVERY_MS
        plunger, motion, ahead = motor.dump()
        whole = [
            run.id, config_crc, 1 if over else 0, run.dump(), plunger, motion,
            ahead, pause_ms, 1 if held else 0,
        ]  # fmt: skip
        try:
            self.keep(whole)
        except OSError:
            self._due_ms = now + _AGAIN_MS
            return False
        return True

    def keep(self, record):
        """Put a record in the place of the last one. Raise OSError."""
        self._runs.write(json.dumps(record, separators=(",", ":")))

    def recall(self):
        """Return the record of a run that did not end, as look() made it, else None."""
        whole = json.loads(self._runs.read() or "null")
        return None if whole is None or whole[2] else whole

    def order_of(self, run_id):
        """Return (data of its bounds.Bounds, sealed order) of a run. Raise ValueError when another
        one's is kept."""
        whole = (self._orders.read() or "").split("\n", 2)
        if whole[0] != run_id:
            raise ValueError("order")
        return json.loads(whole[1]), whole[2]
