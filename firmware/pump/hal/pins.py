"""The board's pins by their use, from the pins table of the configuration in force."""

from machine import Pin
from micropython import const

from pump.hal import registers as reg

INFUSE = const(1)
WITHDRAW = const(-1)


class Pins:
    """Driver enable and direction, stop input, end switches; bolus button, syringe clamp and the
    driver's DIAG output where there are any.

    Motion pins belong to the PIOs.
    """

    def __init__(self, board):
        pins = board["pins"]
        pull = Pin.PULL_UP if board["stop_pull"] == "up" else Pin.PULL_DOWN
        self._enable_on = board["enable_active"]
        self._infuse = board["dir_infuse"]
        # Driver off before anything else is set up; its external pull keeps it off until here.
        self._enable = Pin(pins["enable"], Pin.OUT, value=1 - self._enable_on)
        self.way = self._infuse  # the level that DIR is driven to
        self._dir = Pin(pins["dir"], Pin.OUT, value=self.way)
        self.step = Pin(pins["step"], Pin.OUT, value=0)
        self.witness = Pin(pins["witness"], Pin.IN)
        self.stop = Pin(pins["stop"], Pin.IN, pull)
        self._front = self._switch(pins.get("end_front"), pull)
        self._back = self._switch(pins.get("end_back"), pull)
        self._open = board["end_open"]
        self._masks = {
            INFUSE: _bit(pins.get("end_front")),
            WITHDRAW: _bit(pins.get("end_back")),
        }
        self._clamp = self._switch(pins.get("clamp"), pull)
        self._clamp_bit = _bit(pins.get("clamp"))
        self._diag_bit = _bit(pins.get("diag"))
        self._switch(pins.get("diag"), Pin.PULL_DOWN)
        self.inputs = reg.window(reg.SIO_GPIO_IN, 1)
        self.button = None
        if pins.get("bolus") is not None:
            from pump.hal.button_pin import ButtonPin

            self.button = ButtonPin(pins["bolus"], pull, board["bolus_pressed"])

    def _switch(self, number, pull):
        return None if number is None else Pin(number, Pin.IN, pull)

    def enable(self, on):
        """Power the driver or release it."""
        self._enable.value(self._enable_on if on else 1 - self._enable_on)

    def direction(self, way):
        """Set the direction, INFUSE or WITHDRAW. Call it only at standstill."""
        self.way = self._infuse if way == INFUSE else 1 - self._infuse
        self._dir.value(self.way)

    def end_mask(self, way):
        """Return (GPIO mask, bits to invert) that make each input to be watched a set bit.

        The end switch ahead, and the one behind once it has been left: it is met only by a motor
        that runs the wrong way, with its DIR wire cut or stuck. Clamp and DIAG are high when they
        forbid motion.
        """
        mask = self._masks[way]
        if not self.end_hit(-way):
            mask |= self._masks[-way]
        return mask | self._clamp_bit | self._diag_bit, 0 if self._open else mask

    def cause(self, bits):
        """Return the alarm for the inputs of end_mask() that have ended a motion."""
        if bits & self._clamp_bit:
            return "A_SYRINGE_OUT"
        if bits & self._diag_bit:
            return "A_STALL"
        return "A_ENDS" if self.ends_hit() else "A_END_SWITCH"

    def end_hit(self, way):
        """True when the end switch in this direction is hit, or its wire is open."""
        pin = self._front if way == INFUSE else self._back
        return pin is not None and pin.value() == self._open

    def ends_hit(self):
        """True when both end switches are hit at once: no carriage does that, a wire is open."""
        return self.end_hit(INFUSE) and self.end_hit(WITHDRAW)

    def syringe_out(self):
        """True when no syringe is clamped in, or the clamp's wire is open."""
        return self._clamp is not None and bool(self._clamp.value())

    def stop_open(self):
        """True when the stop input is open: the pump must not move."""
        return bool(self.stop.value())


def _bit(number):
    return 0 if number is None else 1 << number
