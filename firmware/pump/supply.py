"""The supply voltage: in range, on external power, or how long the battery lasts.

Exact integers. The table in the board file says how many minutes the pump runs on at a voltage of
the battery, at its usual load; between two points the estimate is a straight line, rounded down.
Imported when the board measures its supply.
"""

from micropython import const

_READINGS = const(10)  # GIP 5.1.3
_FULL = const(10 * 65535)
# IEC 60601-2-24 49.2 asks for 30 and 3 minutes. A reading is at most a minute old (guard.py) and
# the estimate rounded down to a minute: so two before.
_WARN_MIN = const(32)
_END_MIN = const(5)

_LEVELS = ((), ("A_BATTERY",), ("A_BATTERY_END", "A_BATTERY"))


class Supply:
    """``read()``: 16 bits of an ADC behind a divider. ``settings``: of the board file, in mV."""

    def __init__(self, read, settings):
        self._read = read
        self._settings = settings
        self._level = 0  # of the battery: it only gets worse, so a reading's noise clears nothing

    def mv(self):
        """Return the voltage, a mean of ten readings, rounded down to a millivolt."""
        return sum([self._read() for _ in range(_READINGS)]) * self._settings["full_mv"] // _FULL

    def look(self):
        """Return the alarms that the supply calls for now, those that stop first."""
        mv, settings = self.mv(), self._settings
        if not settings["low_mv"] <= mv <= settings["high_mv"]:
            return ("A_SUPPLY",) + _LEVELS[self._level]
        if mv >= settings["external_mv"]:
            self._level = 0
        else:
            left = minutes(settings["curve"], mv)
            self._level = max(self._level, (left <= _WARN_MIN) + (left <= _END_MIN))
        return _LEVELS[self._level]


def minutes(curve, mv):
    """Return for how many minutes the battery lasts at a voltage, rounded down.

    curve: (mV, minutes) falling in both; above its first point no more is promised, below its
    last nothing.
    """
    above = None
    for point in curve:
        if mv >= point[0]:
            if above is None:
                return point[1]
            span = above[0] - point[0]
            return point[1] + (mv - point[0]) * (above[1] - point[1]) // span
        above = point
    return 0
