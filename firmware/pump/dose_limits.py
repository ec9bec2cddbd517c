"""One entry of the drug library and one order: the bounds for this patient and this syringe.

Borrowed at planning (library.py), and asked by the host for files. What must hold later, when a
rate is changed or a bolus given on top, is bounds.py's.

An entry has rows: kind: [counts, body, over, lower hard, lower soft, typical, upper soft, upper
hard]. The five are whole numbers or null; a limit is number/over, in the smallest unit of what it
counts (ng, milliunits, mmol, mEq, aL; for rates per h; concentrations per mL; durations ms) and,
with a body, per kg or m2. In aL and aL/h it is floored as the doses of orders are (doses.py on
the host), so that a dose that equals its limit is within.
"""

from pump import borrow
from pump.errors import Refused
from pump.shown import format

# kind of row: what it becomes
KINDS = {
    "concentration": None,  # compared as it is
    "dose": "volume",  # of each intermittent dose; of all infusing steps together
    "dose_rate": "rate",
    "rate": "rate",
    "bolus": "volume",  # where there is none, the row of doses holds
    "bolus_rate": "rate",  # where there is none, those of rates hold
    "duration": "duration",  # as dose
}
_COUNTS = ("mass", "units", "mmol", "mEq", "volume", "time")
_AL_PER_ML = 10**15
_MOST = 10**30
_SHOW = (("mg/mL", 6, 10**6), ("mcg/mL", 3, 10**3), ("ng/mL", 0, 0))


def check_entry(entry):
    """Raise ValueError unless an entry has the form above, its limits in order (I3)."""
    if not isinstance(entry, dict) or not entry:
        raise ValueError("an entry without limits")
    for kind, row in entry.items():
        good = kind in KINDS and isinstance(row, list) and len(row) == 8
        good = good and row[0] in _COUNTS and row[1] in ("", "weight", "surface")
        # Only durations are times; a concentration is no volume in a volume, and nobody's.
        good = good and (kind == "duration") == (row[0] == "time")
        good = good and (KINDS[kind] in ("rate", "volume") or not row[1])
        good = good and (kind != "concentration" or row[0] != "volume")
        numbers = [number for number in row[2:] if number is not None] if good else []
        good = good and row[2] is not None and len(numbers) > 1
        good = good and not [n for n in numbers if type(n) is not int or not 0 < n < _MOST]
        if not good:
            raise ValueError("%s makes no sense" % str(kind)[:16])
        if numbers[1:] != sorted(numbers[1:]):
            raise ValueError("%s: its limits are not in order" % kind)


def check_drug(drug):
    """Return what an order says of its drug. Raise Refused(E_ORDER) unless it makes sense."""
    good = isinstance(drug, dict)
    for key, most in (("area", 24), ("item", 24), ("who", 16), ("why", 80)) if good else ():
        text = drug.get(key)
        if text is None and key[0] == "w":
            good = good and drug.get("who") is drug.get("why")
            continue
        good = good and isinstance(text, str) and 0 < len(text) <= most
        good = good and " " <= min(text) and max(text) <= "~"  # the status line counts on that
    for key in ("concentration", "weight", "surface") if good else ():
        value = drug.get(key)
        if value is None:
            continue
        good = good and isinstance(value, list) and len(value) == 2 + (key == "concentration")
        for number in value[-2:] if good else ():
            good = good and type(number) is int and 0 < number < _MOST
    if not good:
        raise Refused("E_ORDER", "what it says of the drug makes no sense")
    return drug


def edges_of(entry, drug):
    """Return {kind: [lower hard, lower soft, upper soft, upper hard]} in aL, aL/h, ms; None: no
    such limit. Raise Refused(E_LIBRARY) where the order lacks what a limit is reckoned with."""
    found = {}
    for kind, row in entry.items():
        if kind != "concentration":
            found[kind] = _edges(kind, row, drug)
    rates = [found.pop(kind) for kind in ("rate", "dose_rate") if kind in found]
    if rates:
        found["rate"] = _narrower(rates)
    for kind, instead in (("bolus", "dose"), ("bolus_rate", "rate")):
        if kind not in found and instead in found:
            found[kind] = found[instead]
    return found


def _edges(kind, row, drug):
    counts, body, below = row[:3]
    above = 1
    if body:
        value = drug.get(body)
        if value is None:
            raise _lacks("%s of the library is by %s" % (kind, body), body)
        above, below = value[0], below * value[1]
    if counts not in ("volume", "time"):
        value = _strength(kind, counts, drug)
        above, below = above * value[2] * _AL_PER_ML, below * value[1]
    edges = row[3:5] + row[6:8]
    return [None if edge is None else edge * above // below for edge in edges]


def _strength(kind, counts, drug):
    value = drug.get("concentration")
    if value is None:
        raise _lacks("%s of the library is an amount" % kind, "concentration")
    if value[0] != counts:
        text = "%s of the library counts %s, the concentration %s" % (kind, counts, value[0])
        raise Refused("E_LIBRARY", text, next_step="give the concentration in %s" % counts)
    return value


def _lacks(text, key):
    return Refused("E_LIBRARY", "%s, and the order has none" % text, next_step="add %s" % key)


def _narrower(rows):
    picked = []
    for i in range(4):
        edges = [row[i] for row in rows if row[i] is not None]
        picked.append((max(edges) if i < 2 else min(edges)) if edges else None)
    return picked


def hold(order, library, entry):
    """Hold an order against its entry. Raise the first refusal, hard ones first; else keep with
    the order what must hold later. library: its name, version and crc."""
    drug = order.drug
    override = None if drug.get("who") is None else [drug["who"], drug["why"]]
    named = [library["name"], library["version"], library["crc"]]
    item = "%s/%s" % (drug["area"], drug["item"])
    bounds = borrow.take("bounds")
    kept = bounds.Bounds(named, item, override, edges_of(entry, drug))
    refusals = judge(order, entry, kept, bounds.beyond)
    for code in ("E_HARD_LIMIT", "E_SOFT_LIMIT"):
        for refusal in refusals:
            if refusal.code == code:
                raise refusal
    order.library = kept


def judge(order, entry, kept, beyond):
    """Return the refusals of all that an order is beyond; soft ones not with an override.
    beyond: that of bounds.py."""
    found = []
    row = entry.get("concentration")
    if row is not None:
        _, num, den = _strength("concentration", row[0], order.drug)
        edges = row[3:5] + row[6:8]
        i = beyond([edge and edge * den for edge in edges], num * row[2], kept.override)
        if i is not None:
            text = "concentration " + _shown(num, den, row[0])
            found.append(kept.refusal(i, text, _shown(edges[i], row[2], row[0])))
    for kind, value, lower in _values(order):
        try:
            kept.check(kind, value, lower)
        except Refused as refusal:
            found.append(refusal)
    return found


def _shown(num, den, counts):
    if counts == "mass":
        return format(num // den, "concentration", _SHOW)
    text = "%d" % (num // den) if num % den == 0 else "%d/%d" % (num, den)
    return "%s %s/mL" % (text, "milliunits" if counts == "units" else counts)


def _values(order):
    """Yield (kind, value, whether lower limits hold as well) of all that an order will infuse."""
    volume = ms = 0
    for step in order.steps:
        if step.way <= 0:
            continue
        if step.pca is not None:
            if step.rate:
                yield "rate", step.rate, True
            yield "bolus", step.pca[0], True
            yield "bolus_rate", step.pca[1], True
            yield "duration", step.duration_ms, True
        elif step.mode == "bolus":
            yield "bolus", step.volume_al, True
            yield "bolus_rate", step.rate, True
        else:
            yield "rate", step.rate, True
            if step.mode == "ramp":
                yield "rate", step.rate_end, True
            if step.mode == "intermittent":
                yield "dose", step.volume_al, True
                yield "duration", step.duration_ms, True
            else:
                volume += step.volume_al
                ms += step.duration_ms
    if ms:  # one infusion, however many steps it is cut into
        yield "dose", volume * order.repeat, True
        yield "duration", ms * order.repeat, True
    if order.kvo is not None:
        yield "rate", order.kvo, False
