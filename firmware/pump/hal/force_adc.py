"""A force sensor on an ADC pin: a load cell with an amplifier. Imported where the board has one.

The interface of every force sensor: ``read()`` returns a signed count, or None when it has none
ready yet. It never waits.
"""

from machine import ADC, Pin


class ForceAdc:
    """``number``: GPIO 26, 27 or 28."""

    def __init__(self, number):
        self._read = ADC(Pin(number)).read_u16

    def read(self):
        """Return the middle one of three conversions, 0 to 65535: a spike in one is no force."""
        read = self._read
        a, b, c = read(), read(), read()  # 2 us each
        return max(min(a, b), min(max(a, b), c))
