"""What is watched around the motor beside its own inputs: driver chip, its heat, the supply.

It looks when a motion begins and every few seconds, and says which alarms stand; the controller
acts. It knows alarm codes, no registers: hal's parts are passed in, each None where the board has
none. Clamp, end switches and the driver's DIAG output are faster: the tick looks at them
(hal/pins.py). Imported when the board has one of these parts.
"""

from micropython import const

# Heat and a dead driver take effect in tens of seconds; H1 asks for the supply every 3 min. The
# main loop comes by at least every 2 s.
_EVERY_MS = const(10_000)
_SUPPLY_EVERY = const(3)  # looks, so 30 s
_OPEN = const(64_000)  # of 65535: an open wire lets the pull-up have it; no NTC is so cold


class Guard:
    """``driver``: hal's Tmc2209. heat() and ``hot_counts``: the 16-bit reading of an NTC to
    ground, and what it is at 55 C. ``supply``: supply.Supply.
    """

    def __init__(self, clock, driver, heat, hot_counts, supply):
        self._clock = clock
        self._driver = driver
        self._heat = heat
        self._hot_counts = hot_counts
        self._supply = supply
        self._due = 0
        self._motion = None  # the number of the one it has looked at
        self._looks = 0
        self._supply_codes = ()
        self.codes = ()  # alarms that stand
        self.why = None  # what the driver says

    def look(self, motor):
        """Return the alarms that stand. The driver is asked only while it moves."""
        now = self._clock.ms()
        moving = motor is not None and motor.moving
        if now >= self._due or moving and motor.number != self._motion:
            self._due = now + _EVERY_MS
            if moving:
                self._motion = motor.number
            self._read(moving, motor.way() if moving else None)
        return self.codes

    def ready(self):
        """Return (alarm that forbids a start or None, what the driver says). At standstill.

        A driver that has lost its settings gets them again.
        """
        self._looks = 0  # the supply too, as it is now
        self._read(True)
        if "A_DRIVER" in self.codes:
            try:
                self._driver.set_up()
            except Exception as error:
                self.why = str(error)
            else:
                self._read(True)
        for code in self.codes:
            if code != "A_BATTERY":
                return code, self.why if code == "A_DRIVER" else None
        return None, None

    def stalled(self):
        """DIAG has ended a motion: return the alarm, by what the driver says of itself."""
        self._read(True)
        for code in self.codes:
            if code in ("A_DRIVER", "A_HOT"):
                return code
        return "A_STALL"

    def _read(self, moving, way=None):
        hot, self.why = False, None
        if self._driver is not None and moving:
            hot, self.why = self._driver.look(way)
        if self._heat is not None:
            counts = self._heat()
            hot = hot or counts <= self._hot_counts or counts >= _OPEN
        if self._supply is not None:
            if not self._looks:
                self._supply_codes = self._supply.look()
            self._looks = (self._looks + 1) % _SUPPLY_EVERY
        codes = ("A_HOT",) if hot else ()
        if self.why is not None:
            codes += ("A_DRIVER",)
        self.codes = codes + self._supply_codes
