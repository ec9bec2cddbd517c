"""The ledger of one run: what was ordered, commanded and witnessed, and where it stands.

Delivered means witnessed: a step is booked when the second state machine counted its edge. Take-up
steps after a reversal are witnessed, but not booked as delivered.
"""

from pump import arith
from pump.order import Item


class Run:
    """One order being carried out. Counts are whole steps."""

    def __init__(self, run_id, order, al_per_step):
        self.id = run_id
        self.order = order
        self.al = al_per_step
        self.ordered = order.total_steps()
        self.commanded = 0
        self.witnessed = 0
        self.booked_in = 0  # witnessed infuse steps: what was delivered
        self.booked_out = 0  # witnessed withdraw steps
        self.takeup = 0
        self.index = 0  # the item under way
        self._phase = {1: 0, -1: 0}  # volume since the last step, each way
        self.ended = False
        self.kvo = None  # the item that keeps the vein open after the order

    def item(self):
        """Return the item under way, None when all are done."""
        items = self.order.items
        return items[self.index] if self.index < len(items) else self.kvo

    def leg_items(self):
        """Return the items that can run as one motion from here: same way, no pause between."""
        items = self.order.items
        if self.index >= len(items):
            return [self.kvo]
        way = items[self.index].way
        end = self.index
        while end < len(items) and items[end].way == way:
            end += 1
        return items[self.index : end]

    def book(self, way, made, seen):
        """Add steps made and seen since the last booking, and move on through the items.

        Steps of KVO are kept apart: they belong to no order.
        """
        if self.kvo is not None:
            self.kvo.done += seen
            return
        self.commanded += made
        self.witnessed += seen
        if way > 0:
            self.booked_in += seen
        else:
            self.booked_out += seen
        item = self.item()
        while item is not None and item.way:
            part = min(made, item.left())
            item.done += part
            made -= part
            if item.left():
                break
            self.next_item()
            item = self.item()

    def next_item(self):
        """Leave the current item; the volume beyond its last step is the next one's phase."""
        item = self.item()
        if item.way:
            self._phase[item.way] = item.rest_al
        self.index += 1

    @property
    def phase_al(self):
        """Volume that has flowed in the current way since its last step."""
        return self._phase[self.item().way]

    @phase_al.setter
    def phase_al(self, volume_al):
        self._phase[self.item().way] = volume_al

    def rest_ms(self):
        """Return the time from the last step of the item before this one to that item's end."""
        before = self.order.items[self.index - 1] if self.index else None
        if before is None or not before.way:
            return 0
        return arith.duration_of(before.rest_al, before.rate)

    def keep_open(self, rate_al_per_h, steps):
        """The order is done: go on at the KVO rate, never above the rate it ended with."""
        rate = min(rate_al_per_h, self.order.items[-1].rate or rate_al_per_h)
        self.kvo = Item(1, rate, steps * self.al, 0)
        self.kvo.steps = steps
        self._phase[1] = 0

    def change_rate(self, rate_al_per_h):
        """Give the item under way a new rate; its volume stays what was ordered."""
        item = self.item()
        item.rate = rate_al_per_h
        item.duration_ms = arith.duration_of(item.volume_al, rate_al_per_h)

    def remaining_steps(self):
        """Return the ordered steps still to make."""
        return sum(item.left() for item in self.order.items)

    def remaining_ms(self, pause_ms=0):
        """Return the time the rest takes at the rates in force; ``pause_ms``: of a pause begun."""
        total = pause_ms
        for i in range(self.index, len(self.order.items)):
            item = self.order.items[i]
            if item.way:
                total += arith.duration_of(item.left() * self.al, item.rate)
            elif i > self.index or not pause_ms:
                total += item.duration_ms
        return total

    def totals(self):
        """Return the figures that end and stop events carry."""
        return {
            "ordered_steps": self.ordered,
            "commanded_steps": self.commanded,
            "witnessed_steps": self.witnessed,
            "delivered_nl": self.booked_in * self.al // 10**9,
        }

    def as_dict(self, pause_ms=0):
        """Return the run as status shows it."""
        left = self.remaining_steps()
        view = self.totals()
        view["id"] = self.id
        # A name that would not fit the status line is in the order and start events.
        view["name"] = self.order.name if len(self.order.name.encode()) <= 64 else ""
        view["step"] = min(self.index + 1, len(self.order.items))
        view["remaining_nl"] = left * self.al // 10**9
        view["remaining_ms"] = self.remaining_ms(pause_ms)
        view["takeup_steps"] = self.takeup
        view["withdrawn_nl"] = self.booked_out * self.al // 10**9
        view["kvo_steps"] = self.kvo.done if self.kvo else 0
        view["order_crc"] = self.order.crc
        return view
