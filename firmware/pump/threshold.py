"""Another occlusion threshold: proposed, and put in force when confirmed. Borrowed (borrow.py)."""

from micropython import const

from pump import sealed, shown
from pump.errors import Refused

_NPA = const(1_000_000_000)
_LEAST_PA = const(10_000)
_MOST_PA = const(137_895)  # D1: below 20 psi
_SHOW = (("kPa", 12, 0),)  # as quantity.py reads it


def answer(c, threshold_npa):
    """Return threshold and pressure; or check another threshold, which confirm puts in force, at
    motion too. ``c``: the controller, with a sensor."""
    sensing = c.sensing
    if threshold_npa is None:
        pa = sensing.pressure.threshold_pa
        return {"threshold_pa": pa, "pressure_pa": sensing.now_pa(c)}
    most = _kpa(_MOST_PA * _NPA)
    pa = threshold_npa // _NPA  # at most 1 Pa early
    if not _LEAST_PA <= pa <= _MOST_PA:
        near = most if pa > _MOST_PA else _kpa(_LEAST_PA * _NPA)
        raise Refused("E_LIMIT", "an occlusion is 10 kPa to " + most, limit=near, nearest=near)
    old = sensing.pressure.threshold_pa

    def act():
        sensing.pressure.set_threshold(pa)
        sensing.events.add("threshold", old_pa=old, pressure_pa=pa)
        return {"threshold_pa": pa}

    reply = c.pending.propose(
        sealed.crc_hex("occlusion %d %d" % (old, pa)),
        act,
        lambda: sensing.pressure.threshold_pa == old,
    )
    reply["old"] = _kpa(old * _NPA)
    reply["new"] = _kpa(threshold_npa)
    return reply


def _kpa(npa):
    return shown.format(npa, "pressure", _SHOW)
