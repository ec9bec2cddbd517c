"""Pressure in the line, from the force on the plunger: how high, how it got there, what it means.

Pure integers; knows no pin, no state, no time. Fed by occlusion.py with counts and with the place
of the plunger. Imported where the board has a force sensor.
"""

from array import array

from micropython import const

# The rise to the threshold is kept as the places of the plunger at 64 levels: what a back-off
# leaves is two of them at most, 0.07 mL in a 50 mL syringe at the highest threshold.
LEVELS = const(64)

# Compliance of a syringe for its capacity, aL a Pa per aL, as 1 / 10**6: 5e-8 L/Pa for 50 mL, more
# than twice the softest published (2.1e-8, Snijder 2015): a rise that is slower than this makes it
# is no closed line. And the stiffest, half of the stiffest published (9e-9): what rises faster
# than this is not the pump's own flow.
SOFT = const(1_000_000)
STIFF = const(11_000_000)


class Pressure:
    """``force``: that section of the configuration; capacity and step of the syringe in aL."""

    def __init__(self, force, capacity_al, al_per_step):
        self._zero, self._least, self._most = force["zero"], force["least"], force["most"]
        # force_mn = (counts - zero) * 1000 / gain; pressure = force / area: 10**9 mN/um2 to Pa
        self._num, self._den = 1000 * force["gain_den"], force["gain_num"]
        self._friction_mn, self._area_um2 = force["friction_mn"], force["area_um2"]
        self._capacity_al, self._al = capacity_al, al_per_step
        # A fall or leap must exceed what friction can make of itself: a seal that breaks away
        # after a rest lets go of half of it, a stopped one of twice.
        self.jump_pa = 10**9 * self._friction_mn // self._area_um2
        self.set_threshold(force["occlusion_pa"])
        self._sum = None  # filtered counts, times 16
        self._at = array("i", [0] * (LEVELS + 1))
        self.begin(0)

    def set_threshold(self, threshold_pa):
        """Put another occlusion threshold in force; what was seen of a rise is forgotten."""
        self.threshold_pa = threshold_pa
        soft = threshold_pa * self._capacity_al // (SOFT * LEVELS * self._al)
        self._pace = soft + 1  # steps from one level to the next in the softest closed line
        self._over = 0

    def begin(self, position):
        """The plunger begins to infuse from here after a standstill."""
        self._over = 0
        self._at[0] = self._was = position
        self.again()

    def again(self):
        """The flow changes: what it was before is nothing to compare with."""
        self._old = self._older = None

    # -- counts -------------------------------------------------------------------------------

    def take(self, counts):
        """Add a reading to the mean; return False when it is no force: a wire is broken."""
        if not self._least <= counts <= self._most:
            return False
        if self._sum is None:
            self._sum = counts << 4
        self._sum += ((counts << 4) - self._sum) >> 1
        return True

    def forget(self):
        """The next reading is the mean: the last one is old."""
        self._sum = None

    def force_mn(self):
        """Return the force in mN, None before the first reading."""
        if self._sum is None:
            return None
        return (self._sum - (self._zero << 4)) * self._num // (self._den << 4)

    def pressure_pa(self, way):
        """Return the pressure in Pa, None before the first reading.

        way: 1 and -1 where the plunger slides so, friction then being against it; 0: unknown.
        """
        force = self.force_mn()
        if force is None:
            return None
        return (force - way * self._friction_mn) * 10**9 // self._area_um2

    # -- what it means ------------------------------------------------------------------------

    def look(self, pa, position, steps):
        """Return what a pressure says while the plunger infuses: None, or an alarm's code.

        position: of the plunger in steps; steps: those since the last look.
        """
        over = min(LEVELS, max(0, pa * LEVELS // self.threshold_pa))
        at = self._at
        while self._over < over:
            self._over += 1
            at[self._over] = position
        self._over = over
        if over == 0:
            at[0] = position
        if over == LEVELS:
            return "A_OCCLUSION"
        old, older = self._old, self._older
        self._old, self._older = pa, old
        if old is None or older is None:
            return None
        # Pulled away, or never held: the pusher bears nothing that it bore a moment ago.
        if max(old, older) - pa > self.jump_pa:
            return "A_DISCONNECT"
        own = 2 * steps * self._al * STIFF // self._capacity_al
        if pa - min(old, older) > self.jump_pa + own:
            return "A_LEAP"
        return None

    def rise(self, position):
        """Return (steps since the onset of the rise to the threshold, pressure there in Pa).

        As far down from the top as each level followed the one below it at the pace of a closed
        line, less one: so the onset was before, and no more than this went in since (D6).
        """
        at, level = self._at, LEVELS
        while level > 0 and at[level] - at[level - 1] <= self._pace:
            level -= 1
        level = min(LEVELS, level + 1)
        return position - at[level], level * self.threshold_pa // LEVELS
