"""A leg: the stretches of an order that run in one motion, in one direction, one after another.

Lays them on the motion's time line (ticks from its start), cut to what the syringe still has, and
yields the tick's segments. Keeps the phase: a stretch begins where the flow of the one before it
stood between two steps.
"""

from pump import arith, planner
from pump.tick import WORD_MIN

_FINE = 40


class Stretch:
    """A stretch on the time line; ``up`` and ``down`` are its ramps, (steps, ticks) pieces."""

    def __init__(self, item, rate, steps, t0, up, down):
        self.item = item
        self.rate = rate
        self.steps = steps
        self.t0 = t0
        self.up = up
        self.down = down
        self.fast = bool(up or down)


class Leg:
    """items: those to run, first may be under way; room: steps the plunger can still travel;
    ramp: planner.Ramp."""

    def __init__(self, items, al_per_step, room, ramp):
        self.way = items[0].way
        self._al = al_per_step
        self.stretches = []
        self.cut = False  # the plunger's travel ends before the items do
        self.max_hz = 1
        # Boundaries are kept in 2**-40 ticks, so that fifty of them lose nothing worth a tick;
        # only a stretch's t0 is a whole tick.
        t = edge = 0
        for item in items:
            phase = item.phase_al
            steps = item.left()
            if steps > room:
                steps = room
                self.cut = True
            room -= steps
            hz = arith.rate_hz(al_per_step, item.rate)
            self.max_hz = max(self.max_hz, hz)
            up, down = _ramps(ramp, hz, steps)
            flat = steps - sum(n for n, _ in up) - sum(n for n, _ in down)
            if up:
                phase = 0
            t += sum(ticks for _, ticks in up) << _FINE
            t0 = (t - arith.ticks_of(phase << _FINE, item.rate)) >> _FINE
            num, den = arith.period(al_per_step, item.rate)
            if not up:
                # A step that was all but due when the motion stood, or when KVO ended: the
                # shortest word comes first.
                t0 = max(t0, edge + WORD_MIN - num // den)
            if steps:
                edge = t0 + flat * num // den + sum(ticks for _, ticks in down)
            self.stretches.append(Stretch(item, item.rate, steps, t0, up, down))
            t += arith.ticks_of((flat * al_per_step + item.rest_al - phase) << _FINE, item.rate)
            t += sum(ticks for _, ticks in down) << _FINE
            if self.cut:
                break
        self.steps = sum(stretch.steps for stretch in self.stretches)
        fast = ramp.steps(self.max_hz)
        self.stop_ramp = planner.ramp_segments(_reverse(ramp.up(fast))) if fast else []

    def segments(self):
        """Yield the tick segments of the whole leg."""
        edge = 0
        for stretch in self.stretches:
            if stretch.up:
                start = stretch.t0 - sum(ticks for _, ticks in stretch.up)
                for n, first, q, r, d, e in planner.ramp_segments(stretch.up):
                    yield (n, first + start - edge, q, r, d, e)
                    edge = start  # only the first piece waits for the ramp's start
                edge = stretch.t0
            flat = stretch.steps
            for n, _ in stretch.up:
                flat -= n
            for n, _ in stretch.down:
                flat -= n
            if flat:
                num, den = arith.period(self._al, stretch.rate)
                for segment in planner.stretch_segments(num, den, stretch.t0, 1, flat, edge):
                    yield segment
                edge = stretch.t0 + flat * num // den
            if stretch.down:
                for segment in planner.ramp_segments(stretch.down):
                    yield segment
                edge += sum(ticks for _, ticks in stretch.down)


def _reverse(pieces):
    return [pieces[i] for i in range(len(pieces) - 1, -1, -1)]


def _ramps(ramp, hz, steps):
    """Return the (steps, ticks) pieces up and down; a short stretch gets a lower peak."""
    full = ramp.steps(hz)
    if not full or not steps:
        return [], []
    if 2 * full <= steps:
        up = ramp.up(full)
        return up, _reverse(up)
    half = steps // 2
    return ramp.up(half), _reverse(ramp.up(steps - half))
