"""An order: its steps, and the items they unroll to, each of one direction and one rate.

A ramp becomes stairs, an intermittent dose becomes doses with KVO or standstill between them, a
repeated order begins again. Unrolled a few at a time (run.py), because a schedule of days would
not fit the heap; the same order always gives the same items.
"""

from micropython import const

from pump import arith

_STAIRS = const(30)  # of a ramp; off the straight line by at most 1/3600 of its volume
_STAIR_MS = const(1000)  # and none shorter than this

WAYS = {
    "infuse": 1, "bolus": 1, "ramp": 1, "kvo": 1, "basal": 1, "prime": 1,
    "withdraw": -1, "pause": 0, "wait": 0,
}  # fmt: skip


class Item:
    """One stretch of an order.

    kind: a key of WAYS; way: 1 infuse, -1 withdraw, 0 pause; rate in aL/h, 0 for a pause;
    steps: whole steps; done: those made; phase_al: volume that has flowed since the last step
    made; rest_al: volume beyond its last step, where the next item of this way goes on;
    number: the order's step it belongs to, from 1.
    """

    def __init__(self, kind, rate_al_per_h, volume_al, duration_ms, number=1):
        self.kind = kind
        self.way = WAYS[kind]
        self.rate = rate_al_per_h
        self.volume_al = volume_al
        self.duration_ms = duration_ms
        self.number = number
        self.steps = self.done = 0
        self.phase_al = self.rest_al = 0
        self.dose_al = 0  # of a bolus given on top of another item; the rest is that item's flow
        self.lag_ms = 0  # that ramps and take-up add to its time

    def dump(self):
        """Return it as a list, for JSON; restored() takes it back."""
        return [
            self.kind, self.rate, self.volume_al, self.duration_ms, self.number,
            self.steps, self.done, self.phase_al, self.rest_al, self.dose_al,
        ]  # fmt: skip

    def fix(self, phase_al, al_per_step, left_al=None):
        """Fix whole steps for what is left, from the volume that has flowed since a step.

        left_al: volume still to flow, the item's own if None. Return the next item's phase. Summed
        up over the items of one way so that fifty small ones lose no more than one step.
        KVO belongs to no order: it neither takes a part of a step over nor leaves one.
        """
        self.phase_al = 0 if self.kind == "kvo" else phase_al
        flow = self.phase_al + (self.volume_al if left_al is None else left_al)
        self.steps = self.done + flow // al_per_step
        self.rest_al = flow % al_per_step
        return phase_al if self.kind == "kvo" else self.rest_al

    def left(self):
        """Return the steps still to make."""
        return self.steps - self.done

    def left_al(self, al_per_step):
        """Return the volume still to flow."""
        return self.left() * al_per_step + self.rest_al - self.phase_al


def restored(data):
    """Return the item that Item.dump() made a list of."""
    item = Item(*data[:5])
    item.steps, item.done, item.phase_al, item.rest_al, item.dose_al = data[5:]
    return item


class Step:
    """One step of an order, checked (order.py). ``every`` and ``count``: of an intermittent dose;
    ``rate_end``: of a ramp; ``pca``: dose, dose rate, lockout and limits of a pca, and whether a
    clinician's bolus counts towards these; its rate and volume are those of the basal infusion."""

    def __init__(
        self, mode, rate, volume_al, duration_ms, rate_end=0, every_ms=0, count=1, pca=None
    ):
        self.mode = mode
        self.rate = rate
        self.volume_al = volume_al
        self.duration_ms = duration_ms
        self.rate_end = rate_end
        self.every_ms = every_ms
        self.count = count
        self.pca = pca
        self.way = WAYS.get(mode, 1)

    def total_al(self):
        """Return the volume ordered, without KVO."""
        return self.volume_al * self.count

    def total_ms(self):
        """Return the time it takes."""
        return self.every_ms * (self.count - 1) + self.duration_ms

    def size(self):
        """Return how many items it becomes."""
        return self.stairs() if self.mode == "ramp" else 2 * self.count - 1

    def stairs(self):
        """Return the stairs of a ramp."""
        return max(1, min(_STAIRS, self.duration_ms // _STAIR_MS))

    def items(self, number, kvo):
        """Yield its items; ``kvo``: the rate between doses, None to stand still."""
        if self.mode == "ramp":
            for item in self._ramp(number):
                yield item
            return
        if self.pca is not None:
            kind = "basal" if self.rate else "wait"
            yield Item(kind, self.rate, self.volume_al, self.duration_ms, number)
            return
        for nth in range(self.count):
            if nth:
                wait = self.every_ms - self.duration_ms
                if kvo is None:
                    yield Item("pause", 0, 0, wait, number)
                else:
                    rate = min(kvo, self.rate)
                    yield Item("kvo", rate, arith.volume_of(rate, wait), wait, number)
            kind = "infuse" if self.mode == "intermittent" else self.mode
            yield Item(kind, self.rate, self.volume_al, self.duration_ms, number)

    def _ramp(self, number):
        # V(t) = r0 t + (r1 - r0) t^2 / 2T, floored at each stair's end, so that nothing adds up;
        # the last one ends with the ordered volume.
        whole, n = self.duration_ms, self.stairs()
        flowed = begun = 0
        for i in range(1, n + 1):
            t = whole * i // n
            rise = (self.rate_end - self.rate) * t * t
            volume = (2 * whole * self.rate * t + rise) // (2 * whole * arith.HOUR_MS)
            if i == n:
                volume = self.volume_al
            rate = self.rate + (self.rate_end - self.rate) * (begun + t) // (2 * whole)
            yield Item("ramp", rate, volume - flowed, t - begun, number)
            flowed, begun = volume, t


def unroll(steps, repeat, kvo):
    """Yield the items of all steps, ``repeat`` times."""
    for _ in range(repeat):
        for i in range(len(steps)):
            for item in steps[i].items(i + 1, kvo):
                yield item


class Order:
    """A checked order: ``steps`` (program.Step), done ``repeat`` times; ``name``, ``fill_al`` or
    None, ``kvo`` or None, ``stop_ms`` or None."""

    def __init__(self, name, steps, al_per_step, fill_al, kvo, stop_ms, repeat, crc):
        self.name = name
        self.steps = steps
        self.fill_al = fill_al
        self.kvo = kvo
        self.stop_ms = stop_ms
        self.repeat = repeat
        self.crc = crc
        self.fault_al = 0  # the most that any single fault delivers at its fastest rate
        self.text = None  # sealed, as it came
        self.drug = None  # what it says of the drug, when it names an item of the drug library
        self.library = None  # bounds.Bounds, what holds of that item
        self._al = al_per_step
        self.lag_ms = 0  # that ramps and take-up add to the whole
        self.ramp = None  # planner.Ramp, and the time of a take-up
        self.takeup_ms = 0

    def items(self):
        """Yield the items, one after another."""
        return unroll(self.steps, self.repeat, self.kvo)

    def lag_of(self, rate, volume_al):
        """Return what ramps add to the time of a volume, in ms."""
        if self.ramp is None or not rate:
            return 0
        return self.ramp.lag_ms(arith.rate_hz(self._al, rate), volume_al // self._al)

    def volume_al(self, way):
        """Return the volume ordered in a direction, without KVO."""
        return self.repeat * sum(step.total_al() for step in self.steps if step.way == way)

    def steps_of(self, way):
        """Return the steps ordered in a direction."""
        return arith.steps_of(self.volume_al(way), self._al)

    def total_steps(self):
        """Return the ordered steps, both directions added."""
        return self.steps_of(1) + self.steps_of(-1)

    def duration_ms(self):
        """Return the planned duration."""
        return self.repeat * sum(step.total_ms() for step in self.steps) + self.lag_ms

    def syringe_changes(self, capacity_al, held_al):
        """Return how many more full syringes the order needs. held_al: what is mounted holds;
        a declared fill takes its place."""
        level = held_al if self.fill_al is None else self.fill_al
        changes = 0
        for _ in range(self.repeat):
            for step in self.steps:
                level -= step.way * step.total_al()
                if level < 0:
                    changes -= level // capacity_al
                    level %= capacity_al
        return changes

    def view(self, syringe, al_per_step, held_al):
        """Return the plan as replies carry it; a stretch is (mode, rate, steps, ms) of a step."""
        return {
            "ordered_steps": self.total_steps(),
            "duration_ms": self.duration_ms(),
            "stretches": [
                (step.mode, step.rate, arith.steps_of(step.total_al(), self._al), step.total_ms())
                for step in self.steps
            ],
            "repeat": self.repeat,
            "syringe_changes": self.syringe_changes(syringe["capacity_al"], held_al),
            "syringe": syringe["model"],
            "fill_al": self.fill_al,
            "fault_al": self.fault_al,
            "order_crc": self.crc,
            "al_per_step": al_per_step,
        }
