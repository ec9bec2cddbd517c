"""What the analog inputs of the board see: battery or external supply, and the driver's heat.

The battery: three lithium-ion cells in series, by the model of Tremblay, Dessaint and Dekkiche (A
generic battery model for the dynamic simulation of hybrid electric vehicles, VPPC 2007; its Li-ion
row, for 1 Ah): V = E0 - K Q/(Q - it) + A exp(-B it) - R i, discharged at Q/5 an hour to 3.0 V a
cell. The heat: a first-order lag. An ADC reading has 12 bits and a noise of some steps.
"""

import math

_E0, _R, _K, _A, _B = 3.7348, 0.09, 0.00876, 0.468, 3.5294
_CELLS = 3
_CURRENT = 0.2  # of Q in an hour
_EMPTY_V = 3.0  # a cell; its pack's protection opens below
LIFE_US = 17_784_329_614  # until then, from full: 296.4 min
_EXTERNAL_MV = 13_800
_LAG_US = 60_000_000
_REST_C, _DRIVEN_C, _OVER_C = 25.0, 40.0, 80.0


class Noise:
    """The same noise every time: -2 ... 2 steps of a 12-bit converter."""

    def __init__(self):
        self._seed = 1

    def read_u16(self, share):
        """Return a share of full scale as MicroPython's read_u16 gives it, 12 bits stretched."""
        self._seed = (self._seed * 1103515245 + 12345) & 0x7FFFFFFF
        value = int(share * 4095) + (self._seed >> 16) % 5 - 2
        value = min(4095, max(0, value))
        return value << 4 | value >> 8


class Supply:
    """External power, or a battery since an instant. ``divider``: mV at which the ADC is full."""

    def __init__(self, full_mv):
        self._full_mv = full_mv
        self._noise = Noise()
        self._from_us = None  # when the battery was full; None: external power
        self.forced_mv = None

    def on_battery(self, now_us, left_min=None):
        """Unplug the external power: the battery is full, or lasts so many minutes more."""
        left_us = LIFE_US if left_min is None else left_min * 60_000_000
        self._from_us = now_us - (LIFE_US - left_us)

    def plug_in(self):
        """External power is back."""
        self._from_us = None

    def mv(self, now_us):
        """Return the voltage."""
        if self.forced_mv is not None:
            return self.forced_mv
        if self._from_us is None:
            return _EXTERNAL_MV
        drawn = min(0.9999, max(0.0, (now_us - self._from_us) / 3.6e9 * _CURRENT))
        cell = _E0 - _K / (1 - drawn) + _A * math.exp(-_B * drawn) - _R * _CURRENT
        return int(1000 * _CELLS * cell) if cell > _EMPTY_V else 0

    def read_u16(self, now_us):
        """Return what the ADC reads behind the divider."""
        return self._noise.read_u16(self.mv(now_us) / self._full_mv)


class Heat:
    """The driver's heat sink, and an NTC of 10 k and B = 3435 K to ground with 10 k to 3.3 V."""

    def __init__(self):
        self._noise = Noise()
        self._celsius = _REST_C
        self._at_us = 0
        self.over = None  # what it heads for by a fault, C
        self.cut = False  # the sensor's wire

    def overheat(self, celsius=None):
        """Make it head for a temperature."""
        self.over = _OVER_C if celsius is None else float(celsius)

    def celsius(self, now_us, driven):
        """Return the temperature; ``driven``: since it was asked last, the motor had current."""
        target = self.over if self.over is not None else _DRIVEN_C if driven else _REST_C
        part = 1 - math.exp(-(now_us - self._at_us) / _LAG_US)
        self._at_us = now_us
        self._celsius += (target - self._celsius) * part
        return self._celsius

    def read_u16(self, now_us, driven):
        """Return what the ADC reads at the NTC."""
        ohm = 10_000 * math.exp(3435 * (1 / (self.celsius(now_us, driven) + 273.15) - 1 / 298.15))
        return self._noise.read_u16(1.0 if self.cut else ohm / (ohm + 10_000))
