"""The ledger of one run: what was ordered, commanded and witnessed, and where it stands.

Delivered means witnessed: a step is booked when the second state machine counted its edge. Take-up
steps after a reversal are witnessed, but not booked as delivered.
"""

from micropython import const

from pump import arith
from pump.program import Item, restored

_WINDOW = const(50)  # items unrolled at a time; one motion never goes beyond


class Run:
    """One order being carried out. Counts are whole steps."""

    def __init__(self, run_id, order, al_per_step):
        self.id = run_id
        self.order = order
        self.al = al_per_step
        self.ordered = order.total_steps()
        self._primes = order.steps[0].mode == "prime"  # into the air: nothing of it is delivered
        self.commanded = 0
        self.witnessed = 0
        self.booked_in = 0  # witnessed infuse steps: what was delivered
        self.booked_out = 0  # witnessed withdraw steps
        self.takeup = 0
        self.kvo_steps = 0
        self.ended = False
        self.kvo = None  # the item that keeps the vein open after the order
        self.uncertain = 0  # steps that a power cut may have kept from the books
        self._source = order.items()
        self._taken = 0  # items unrolled so far
        self._unrolled_ms = 0
        self._way = 1  # of the last item unrolled that moves
        self._rest = {1: 0, -1: 0}  # volume beyond the last step unrolled, each way
        self._carry = 0  # the same of the last infusing item that was left
        self._last_rate = 0  # and that item's rate
        self._extra_al = 0  # doses on top of the order
        self._unseen = []  # [item, steps made of it that the witness has not seen yet]
        self._items = []
        self._index = 0  # the item under way
        self._unroll()

    def _unroll(self):
        # The item before stays: take_rest_ms() asks for it.
        self._items = self._items[self._index - 1 : self._index]  # none at the begin: [-1:0]
        self._index = len(self._items)
        self._append()

    def _append(self):
        for item in self._source:
            self._taken += 1
            self._time(item)
            if item.way:
                self._rest[item.way] = item.fix(self._rest[item.way], self.al)
            self._items.append(item)
            if len(self._items) > _WINDOW:
                break

    def _time(self, item):
        """Count an unrolled item's time; what ramps and take-up add to it stays with it."""
        if item.kind != "kvo":
            item.lag_ms = self.order.lag_of(item.rate, item.volume_al)
        if item.way == -self._way:
            item.lag_ms += self.order.takeup_ms
        self._way = item.way or self._way
        self._unrolled_ms += item.duration_ms + item.lag_ms

    # -- over a reset -------------------------------------------------------------------------

    def dump(self):
        """Return where the run stands as lists and integers, for JSON."""
        items, at = self._items, self._index
        end = min(at + 1, len(items))
        while end < len(items) and items[end - 1].dose_al:
            end += 1  # the item under a dose on top
        rests = []  # where the items behind these go on, each way
        for way in (1, -1):
            rest = self._rest[way]
            for item in items[end:]:
                if item.way == way and item.kind != "kvo":
                    rest = item.phase_al
                    break
            rests.append(rest)
        return [
            [self.commanded, self.witnessed, self.booked_in, self.booked_out, self.takeup,
             self.kvo_steps],
            [self._taken - (len(items) - end), self._carry, self._last_rate, self._extra_al,
             self.uncertain],
            rests,
            [item.dump() for item in items[at:end]],
            self.kvo.dump() if self.kvo else None,
        ]  # fmt: skip

    def restore(self, data):
        """Take over a dump of this order's run."""
        counts, rest, rests, items, kvo = data
        self._taken, self._carry, self._last_rate, self._extra_al, self.uncertain = rest
        self.commanded, self.witnessed, self.booked_in, self.booked_out = counts[:4]
        self.takeup, self.kvo_steps = counts[4:]
        self._source = self.order.items()
        self._unrolled_ms, self._way = 0, 1
        lag_ms = 0
        for _ in range(self._taken):
            item = next(self._source)
            self._time(item)
            lag_ms = item.lag_ms
        if kvo is not None:
            self.kvo, self.ended = restored(kvo), True
        self._rest = {1: rests[0], -1: rests[1]}
        self._items, self._index = [restored(item) for item in items], 0
        for item in self._items:
            if not item.dose_al:
                item.lag_ms = lag_ms  # it is the last one taken
        self._append()
        self._sum_up()

    # -- the items ----------------------------------------------------------------------------

    def item(self):
        """Return the item under way, None when all are done."""
        return self._items[self._index] if self._index < len(self._items) else self.kvo

    def ahead(self):
        """Return the items from the one under way on, as far as they are unrolled."""
        return self._items[self._index :]

    def leg_items(self):
        """Return the items that can run as one motion from here: same way, no pause between."""
        self._unseen = []
        if self._index >= len(self._items):
            return [self.kvo]
        way = self._items[self._index].way
        end = self._index
        while end < len(self._items) and self._items[end].way == way:
            end += 1
        return self._items[self._index : end]

    def book(self, way, made, seen):
        """Add steps made and seen since the last booking, and move on through the items.

        Steps of KVO are kept apart: they belong to no order.
        """
        item = self.item()
        while item is not None and item.way:
            part = min(made, item.left())
            item.done += part
            made -= part
            if part:
                self._unseen.append([item, part])
                item.phase_al = 0  # at least; the motor knows when it stands, after a reset nobody
                if item.kind != "kvo":
                    self.commanded += part
            if item.left() or item is self.kvo:
                break
            self.next_item()
            item = self.item()
        while seen:
            part = seen
            if self._unseen:
                item, unseen = self._unseen[0]
                part = min(seen, unseen)
                self._unseen[0][1] -= part
                if part == unseen:
                    self._unseen.pop(0)
            seen -= part
            self._witness(way, part, item)

    def _witness(self, way, steps, item):
        if item is not None and item.kind == "kvo":
            self.kvo_steps += steps
            return
        self.witnessed += steps
        if way < 0:
            self.booked_out += steps
        elif not self._primes:
            self.booked_in += steps

    def next_item(self):
        """Leave the current item."""
        item = self._items[self._index]
        if item.way > 0 and item.kind != "kvo":
            self._carry = item.rest_al
            self._last_rate = item.rate
        self._index += 1
        if self._index == len(self._items):
            self._unroll()

    @property
    def phase_al(self):
        """Volume that has flowed in the item under way since its last step."""
        return self.item().phase_al

    @phase_al.setter
    def phase_al(self, volume_al):
        self.item().phase_al = volume_al

    def take_rest_ms(self):
        """Return, once, the time from the last step of the item before to that item's end."""
        before = self._items[self._index - 1] if self._index else None
        if before is None or not before.way:
            return 0
        rest, before.rest_al = before.rest_al, 0  # next_item() has kept what flows on
        return arith.duration_of(rest, before.rate)

    def keep_open(self, rate_al_per_h, steps):
        """The order is done: go on at the KVO rate, never above the rate it last infused with."""
        rate = min(rate_al_per_h, self._last_rate or rate_al_per_h)
        self.kvo = Item("kvo", rate, steps * self.al, 0)
        self.kvo.fix(0, self.al)

    def change_rate(self, rate_al_per_h):
        """Give the item under way a new rate; its volume stays what was ordered."""
        item = self.item()
        item.rate = rate_al_per_h
        item.duration_ms = arith.duration_of(item.volume_al, rate_al_per_h)

    def beneath(self):
        """Return the order's item under way: what a dose on top of it is given beside."""
        i = self._index
        while i < len(self._items) and self._items[i].dose_al:
            i += 1
        return self._items[i] if i < len(self._items) else self.kvo

    def add_bolus(self, dose_al, rate_al_per_h):
        """Give a dose next, at a rate, on top of the order's item. Return the new item.

        What that item would deliver meanwhile flows on: the new item carries both, and is taken
        off the old one. A wait between doses passes meanwhile, with its KVO. A dose under way is
        suspended with all that is left of it, its share of the order's item included. At
        standstill only.
        """
        first, item = self.item(), self.beneath()
        ms = -(-dose_al * arith.HOUR_MS // rate_al_per_h)
        left = item.left_al(self.al)
        flows = item.way > 0 and item.kind != "kvo"
        base = min(left, arith.volume_of(item.rate, ms)) if flows else 0
        rate = rate_al_per_h + item.rate
        if not flows:
            rate = rate_al_per_h
            left = self._pass_wait(item, ms)
        elif base == left:  # the item ends within the dose: spread what is left over it
            rate = arith.rate_of(dose_al + base, ms)
        bolus = Item("bolus", rate, dose_al + base, ms, item.number)
        bolus.dose_al = dose_al
        bolus.fix(0, self.al)
        self._items.insert(self._index, bolus)
        self._extra_al += dose_al
        flowing = flows or first is not item
        self._refix(first.phase_al if flowing else self._carry, left - base)
        return bolus

    def cancel_bolus(self):
        """Drop what is left of the dose under way; the order's item gets back its own share."""
        bolus = self.item()
        if bolus is None or not bolus.dose_al:
            return
        flowed = max(0, bolus.volume_al - bolus.left_al(self.al))
        given = bolus.dose_al * flowed // bolus.volume_al
        self._items.pop(self._index)
        item = self.beneath()
        if item.way > 0 and item.kind != "kvo":
            left = item.left_al(self.al) + (bolus.volume_al - bolus.dose_al) - (flowed - given)
        else:
            ms = bolus.duration_ms * (bolus.dose_al - given) // bolus.dose_al
            left = self._pass_wait(item, -ms)
        self._extra_al -= bolus.dose_al - given
        self._carry = bolus.phase_al
        bolus.dose_al = given
        self._refix(bolus.phase_al, left)

    def _pass_wait(self, item, ms):
        """Take so much time off a wait or its KVO; return what is left to flow of the KVO."""
        if not item.way:
            item.duration_ms = max(0, item.duration_ms - ms)
            return 0
        left = item.left_al(self.al)
        volume = arith.volume_of(item.rate, abs(ms))
        left = max(0, left - volume) if ms > 0 else left + volume
        item.steps = item.done + (item.phase_al + left) // self.al
        item.rest_al = (item.phase_al + left) % self.al
        return left

    def _refix(self, phase, left_al):
        # left_al: of the first item from here that is no bolus on top
        for i in range(self._index, len(self._items)):
            item = self._items[i]
            if item.dose_al:
                phase = item.fix(phase, self.al, item.left_al(self.al))
            elif left_al is not None:
                if item.way > 0 and item.kind != "kvo":
                    phase = item.fix(phase, self.al, left_al)
                left_al = None
            elif item.way > 0:
                phase = item.fix(phase, self.al)
        self._rest[1] = phase
        self._sum_up()

    def _sum_up(self):
        order = self.order
        self.ordered = order.steps_of(-1)
        self.ordered += arith.steps_of(order.volume_al(1) + self._extra_al, self.al)

    def adrift(self):
        """True when the witness has counted more than a tenth too much or too little, and more
        than one step: once a motion is over, and all that was made is counted."""
        off = abs(self.commanded - self.witnessed)
        return off > 1 and off * 10 > self.commanded

    def remaining_steps(self):
        """Return the ordered steps still to make."""
        return self.ordered - self.commanded

    def remaining_ms(self, pause_ms=0):
        """Return the time the rest takes at the rates in force; ``pause_ms``: of a pause begun."""
        total = pause_ms + self.order.duration_ms() - self._unrolled_ms
        for i in range(self._index, len(self._items)):
            item = self._items[i]
            if item.way:
                total += arith.duration_of(item.left() * self.al, item.rate)
                total += item.lag_ms // 2 if item.done else item.lag_ms
            elif i > self._index or not pause_ms:
                total += item.duration_ms
        return total

    def totals(self):
        """Return the figures that end and stop events carry."""
        totals = {
            "ordered_steps": self.ordered,
            "commanded_steps": self.commanded,
            "witnessed_steps": self.witnessed,
            "delivered_nl": self.booked_in * self.al // 10**9,
        }
        if self._primes:
            totals["primed_nl"] = self.witnessed * self.al // 10**9
        return totals

    def as_dict(self, pause_ms=0):
        """Return the run as status shows it."""
        left = self.remaining_steps()
        view = self.totals()
        view["id"] = self.id
        # A name that would not fit the status line is in the order and start events. As the line
        # carries it: a letter beyond ASCII takes six bytes.
        size = sum(1 if ord(letter) < 128 else 6 for letter in self.order.name)
        view["name"] = self.order.name if size <= 64 else ""
        item = self.item()
        view["step"] = len(self.order.steps) if item in (None, self.kvo) else item.number
        view["remaining_nl"] = left * self.al // 10**9
        view["remaining_ms"] = self.remaining_ms(pause_ms)
        view["takeup_steps"] = self.takeup
        view["withdrawn_nl"] = self.booked_out * self.al // 10**9
        view["kvo_steps"] = self.kvo_steps
        if self.uncertain:
            view["uncertain_steps"] = self.uncertain
        if self._extra_al:
            view["bolus_nl"] = self._extra_al // 10**9
        if item is not None and item.kind == "bolus":
            left = item.left() * self.al  # the part of it that is no flow under it: the dose
            dose = left * item.dose_al // item.volume_al if item.dose_al else left
            view["bolus_left_nl"] = dose // 10**9
            view["bolus_left_ms"] = arith.duration_of(left, item.rate)
        view["order_crc"] = self.order.crc
        library = self.order.library
        view.update(library.shown if library else {"library": None})
        return view
