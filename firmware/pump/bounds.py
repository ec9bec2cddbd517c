"""What the drug library allows in one run: limits, and who may go beyond the soft ones.

Borrowed when an order names an item (dose_limits.py makes it) and when a reset cut its run short
(recovery.py); it stays on the heap as long as the order does. Made of data only, so that it can be
kept with the order, and what holds in a run is what held when it was planned.
"""

from pump.errors import Refused
from pump.shown import format


class Bounds:
    """``library``: [name, version, crc]; ``item``: area/item; ``override``: [who, why] or None;
    ``edges``: kind: [lower hard, lower soft, upper soft, upper hard] in aL, aL/h or ms, each None
    where there is no such limit. Kinds: rate, bolus_rate, dose, bolus, duration."""

    def __init__(self, library, item, override, edges):
        self.data = [library, item, override, edges]
        self.item = item
        self.override = override
        self.edges = edges
        self.named = "%s of %s %d %s" % ((item,) + tuple(library))  # in the start event
        self.shown = {"library": item}  # in a status: all the time (I2, I5)
        if override:
            self.named += ", override by %s: %s" % tuple(override)
            self.shown["override"] = override[0]

    def check(self, kind, value, lower=True):
        """Raise Refused unless a value is within (I1, I2, C17). lower: lower limits hold, too."""
        edges = self.edges.get(kind)
        i = beyond(edges, value, self.override, lower) if edges else None
        if edges and i is not None:
            unit = kind if kind == "duration" else "rate" if kind[-4:] == "rate" else "volume"
            text = "%s %s" % (kind, format(value, unit))
            raise self.refusal(i, text, format(edges[i], unit))

    def bolus(self, volume_al, rate, square):
        """Raise Refused unless a dose may be given on top. A square one has no least rate."""
        self.check("bolus", volume_al)
        self.check("bolus_rate", rate, not square)  # C18

    def refusal(self, i, text, limit):
        """Return the refusal of what is beyond the edge i, named and with its limit as texts."""
        code, word = ("E_SOFT_LIMIT", "soft") if 0 < i < 3 else ("E_HARD_LIMIT", "hard")
        side = "below" if i < 2 else "above"
        text = "%s is %s the %s limit of %s" % (text, side, word, self.item)
        return Refused(code, text, limit, limit)


def beyond(edges, value, override, lower=True):
    """Return which edge a value is beyond, the hard ones first; None: none. With an override the
    soft ones don't count."""
    for i in (0, 3) if override else (0, 3, 1, 2):
        edge = edges[i]
        if edge is not None and (value > edge if i > 1 else lower and value < edge):
            return i
    return None
