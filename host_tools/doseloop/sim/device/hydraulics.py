"""The line behind the plunger: friction, compliance, resistance, occlusion, force.

The physical model of docs/model.md in SI units, for one syringe and its line. Floats are at home
here: this is the world, not the pump. Lazy: nothing is computed until somebody reads the sensor or
asks; then the time since the last look passes in exact first-order steps, one while all slides.
"""

from math import exp, pi, sin

ATMOSPHERE_PA = 101_325.0
# docs/model.md says where these come from, and which are our own assumptions.
SYRINGE_PER_PA = 3.0e-7  # compliance of a syringe for its capacity: 1.5e-8 L/Pa for 50 mL
DRIVE_SHARE = 0.2  # the part of it that lies in rubber and drive, between sensor and fluid
LINE_M3_PER_PA = 1.0e-12
LINE_PA_S_PER_M3 = 1.2e10  # 1.5 m of 1.5 mm bore, water
OPEN_SHARE = 0.01  # of the line's resistance that is left when it comes off at the syringe
BREAK_AWAY = 1.5  # times the sliding friction, after a rest
REST_S = 60.0

# What `line KEY VALUE` on the control socket may set, with the bounds of each.
SETTINGS = {
    "back_pressure_pa": (-50_000, 200_000),
    "air_ul": (0, 10_000),
    "noise_counts": (0, 2_000),
    "drift_mn": (-5_000, 5_000),
    "resistance_percent": (1, 100_000),
}


class Hydraulics:
    """``shape``: area_m2, step_m3, capacity_m3, friction_n, counts_per_n, zero_counts."""

    def __init__(self, shape, seed=1):
        self.step_m3 = shape["step_m3"]
        self.area = shape["area_m2"]
        syringe = shape["capacity_m3"] * SYRINGE_PER_PA
        self.drive = syringe * DRIVE_SHARE  # area^2 / stiffness
        self.fluid = syringe - self.drive + LINE_M3_PER_PA
        self.stiffness = self.area * self.area / self.drive
        self.slide_n = shape["friction_n"]
        self._gain, self._zero = shape["counts_per_n"], shape["zero_counts"]
        self._seed = seed
        self.set = dict.fromkeys(SETTINGS, 0)
        self.set["resistance_percent"] = 100
        self.set["noise_counts"] = 20
        self.closed_percent = 0
        self.siphon_pa = None  # a number once the line is off: the pressure at its open end
        self.out_m3 = 0.0  # what has left the line's end
        self._at = 0.0
        self._position = 0
        self.mount(0, 0)

    def mount(self, position, now_us):
        """A person has put a syringe in, its line filled and open: no force yet."""
        self._at, self._position = now_us / 1e6, position
        self.pressure = 0.0
        self.force = 0.0
        self._way = 1
        self._stuck = True
        self._still_s = REST_S

    @property
    def compliance(self):
        """All that gives way while the plunger slides, in m^3/Pa."""
        return self.drive + self._fluid()

    def _fluid(self):
        air = self.set["air_ul"] * 1e-9
        if not air:
            return self.fluid
        # Isothermal air at ambient pressure when it came in: V = V0 * Pa / (Pa + P).
        return self.fluid + air * ATMOSPHERE_PA / (ATMOSPHERE_PA + self.pressure) ** 2

    # -- time ---------------------------------------------------------------------------------

    def advance(self, position, now_us):
        """Let time pass up to now; the pusher is at a position in microsteps, infused up."""
        now = now_us / 1e6
        dt, steps = now - self._at, position - self._position
        if dt <= 0 and not steps:
            return
        self._at, self._position = now, position
        # In pieces of a second where C changes with P, or where the seal may slip meanwhile.
        pieces = self._stuck or not steps or self.set["air_ul"]
        parts = max(1, min(1000, int(dt))) if pieces else 1
        for _ in range(parts):
            self._pass(steps * self.step_m3 / parts, max(dt, 1e-6) / parts)

    def _pass(self, moved, dt):
        if moved:
            rested = self._still_s >= REST_S
            self._still_s = 0.0
            way = 1 if moved > 0 else -1
            if way != self._way:
                self._way, self._stuck, rested = way, True, False
        else:
            self._still_s += dt
            rested = self._still_s >= REST_S
            self._stuck = self._stuck or rested
        if not self._stuck:
            self._flow(moved, dt, self.compliance)
            self.force = self.area * self.pressure + self._way * self.slide_n
            return
        self.force += self.stiffness * moved / self.area
        self._flow(0.0, dt, self._fluid())
        grip = self.slide_n * (BREAK_AWAY if rested else 1.0)
        pull = self.force - self.area * self.pressure
        if abs(pull) > grip:
            self._slip(1 if pull > 0 else -1)

    def _slip(self, way):
        # The rubber jumps until the friction of sliding holds it: force and pressure meet.
        fluid = self._fluid()
        over = self.force - self.area * self.pressure - way * self.slide_n
        jump = over / (self.stiffness + self.area * self.area / fluid)
        self.pressure += jump * self.area / fluid
        self.force = self.area * self.pressure + way * self.slide_n
        self._way, self._stuck = way, False

    def _flow(self, moved, dt, compliance):
        """C dP/dt = q - (P - Pb) / R with q constant over dt: an exact step."""
        if self.closed_percent == 100:
            self.pressure += moved / compliance
            return
        resistance = LINE_PA_S_PER_M3 * self.set["resistance_percent"] / 100
        resistance *= 100 / (100 - self.closed_percent)
        behind = self.set["back_pressure_pa"]
        if self.siphon_pa is not None:
            resistance, behind = LINE_PA_S_PER_M3 * OPEN_SHARE, self.siphon_pa
        final = behind + moved / dt * resistance
        after = final + (self.pressure - final) * exp(-dt / (resistance * compliance))
        self.out_m3 += moved - compliance * (after - self.pressure)
        self.pressure = after

    # -- the sensor ---------------------------------------------------------------------------

    def counts(self):
        """Return what a 16-bit converter reads of the force: gain, zero, drift and noise."""
        # Drift: 50 mN to and fro in six hours, and what a test adds.
        drift = 0.05 * sin(2 * pi * self._at / 21_600) + self.set["drift_mn"] / 1000
        value = self._zero + self._gain * (self.force + drift) + self._noise()
        return max(0, min(65_535, int(value)))

    def _noise(self):
        # Twelve uniform numbers less six are all but normal; four do for a sensor.
        total = 0
        for _ in range(4):
            self._seed = (self._seed * 1_103_515_245 + 12_345) & 0x3FFFFFFF
            total += self._seed >> 10
        return (total / (1 << 20) - 2.0) * 1.732 * self.set["noise_counts"]

    # -- a person -----------------------------------------------------------------------------

    def adjust(self, key, value):
        """Set one of SETTINGS; ValueError says what is wrong."""
        if key not in SETTINGS:
            raise ValueError("line takes %s" % ", ".join(sorted(SETTINGS)))
        least, most = SETTINGS[key]
        if not least <= value <= most:
            raise ValueError("%s is %d to %d" % (key, least, most))
        self.set[key] = value

    def fault(self, name, value):
        """Close the line (occlusion, by so many percent), or take it off (disconnect, to a
        pressure in Pa)."""
        if name == "occlusion":
            percent = int(value or "100")
            if not 1 <= percent <= 100:
                raise ValueError("occlusion takes 1 to 100 percent")
            self.closed_percent = percent
        else:
            self.siphon_pa = int(value or "0")

    def clear(self, name):
        """Open the line, or put it back."""
        if name == "occlusion":
            self.closed_percent = 0
        else:
            self.siphon_pa = None

    def view(self):
        """Return the state for the control socket: integers, SI units in the names."""
        return {
            "pressure_pa": int(self.pressure),
            "force_mn": int(self.force * 1000),
            "out_nl": round(self.out_m3 * 1e12),
            "compliance_nl_per_kpa": round(self.compliance * 1e15),
        }
