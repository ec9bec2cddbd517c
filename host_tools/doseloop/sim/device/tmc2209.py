"""A model of the TMC2209: its one-wire UART, the registers the firmware uses, StallGuard4, DIAG.

A model of the chip by its datasheet (rev. 1.03; sections are named), not of our pump. Used by the
simulated board and, on CPython, by the emulated one.
"""

_GCONF, _GSTAT, _IFCNT, _IOIN, _IHOLD_IRUN = 0x00, 0x01, 0x02, 0x06, 0x10
_TPWMTHRS, _TCOOLTHRS, _SGTHRS, _SG_RESULT = 0x13, 0x14, 0x40, 0x41
_CHOPCONF, _DRV_STATUS = 0x6C, 0x6F
_READABLE = (_GCONF, _GSTAT, _IFCNT, _IOIN, _SG_RESULT, _CHOPCONF, _DRV_STATUS)
_WRITABLE = (_GCONF, _GSTAT, _IHOLD_IRUN, _TPWMTHRS, _TCOOLTHRS, _SGTHRS, _CHOPCONF)
_CLOCKS_PER_US = 12  # 14: its own clock
_SPREAD_CYCLE, _MSTEP_REG = 1 << 2, 1 << 7
# 11, figure 11.1: the reading falls in a line with the load; its start depends on the motor.
_SG_UNLOADED = 400
_VERSION = 0x21 << 24  # 5.1
SHORT = 1 << 2  # DRV_STATUS: s2ga
HOT = 1  # otpw, 120 C


def crc8(data):
    """4.2: the polynomial as a shift register, bit by bit."""
    crc = 0
    for byte in data:
        for i in range(8):
            bit = (crc >> 7) ^ (byte >> i & 1)
            crc = ((crc << 1) & 0xFF) ^ (bit * 0b111)
    return crc


class Tmc2209:
    """``address``: by MS1 and MS2. ``strapped``: the microsteps that they select without UART."""

    def __init__(self, address, strapped):
        self._address = address
        self._strapped = strapped
        self.load = 20  # percent of what stalls the motor
        self.status = 0  # DRV_STATUS bits of faults
        self.dir = 0  # the level at its DIR pin; open it is low, by a resistor inside (2)
        self.power_up()

    def power_up(self):
        """The motor supply came: every register as after a reset (5)."""
        self._set = {_GCONF: 0x101, _GSTAT: 1, _IFCNT: 0, _CHOPCONF: 0x10000053,
                     _IHOLD_IRUN: 0x1F10, _TPWMTHRS: 0, _TCOOLTHRS: 0, _SGTHRS: 0}  # fmt: skip
        self._before_us = None
        self._sub = 0
        self._stall = False

    # -- UART ---------------------------------------------------------------------------------

    def receive(self, data):
        """Return what it answers to the bytes of one datagram: nothing, or eight bytes (4.1)."""
        if len(data) < 4 or data[0] & 15 != 5 or data[1] != self._address:
            return b""
        if crc8(data[:-1]) != data[-1]:
            return b""
        register = data[2] & 0x7F
        if data[2] & 0x80:
            if len(data) == 8 and register in _WRITABLE:
                self._set[_IFCNT] = (self._set[_IFCNT] + 1) & 0xFF
                self._write(register, int.from_bytes(data[3:7], "big"))
            return b""
        if len(data) != 4 or register not in _READABLE:
            return b""
        head = bytes((5, 0xFF, register)) + self._read(register).to_bytes(4, "big")
        return head + bytes((crc8(head),))

    def _write(self, register, value):
        if register == _GSTAT:
            self._set[_GSTAT] &= ~value  # 5.1: write 1 to clear
        else:
            self._set[register] = value

    def _read(self, register):
        if register == _SG_RESULT:
            return self.sg_result()
        if register == _IOIN:
            return _VERSION | self.dir << 9
        if register == _DRV_STATUS:
            return self.status
        if register == _GSTAT and self.status & SHORT:
            return self._set[_GSTAT] | 2  # drv_err
        return self._set[register]

    # -- motion -------------------------------------------------------------------------------

    def microsteps(self):
        """Return the microsteps in effect: by pins, or by CHOPCONF if GCONF says so (5.5.1)."""
        if self._set[_GCONF] & _MSTEP_REG:
            return 256 >> (self._set[_CHOPCONF] >> 24 & 15)
        return self._strapped

    def sg_result(self):
        """Return the StallGuard4 reading; its lowest bit is always 0 (5.4)."""
        return max(0, _SG_UNLOADED * (100 - self.load) // 100) & ~1

    def step(self, now_us):
        """A STEP edge at ``now_us``. Return True when DIAG has changed by it.

        The reading is taken once a full step (11.3), and counts in StealthChop only, while
        TCOOLTHRS >= TSTEP > TPWMTHRS (11.2). TSTEP is in clocks a 1/256 step.
        """
        microsteps = self.microsteps()
        before, self._before_us = self._before_us, now_us
        self._sub = (self._sub + 1) % microsteps
        if before is None or self._sub:
            return False
        tstep = (now_us - before) * _CLOCKS_PER_US * microsteps // 256
        valid = self._set[_TPWMTHRS] < tstep <= self._set[_TCOOLTHRS]
        valid = valid and not self._set[_GCONF] & _SPREAD_CYCLE
        was = self._stall
        self._stall = valid and self.sg_result() <= 2 * self._set[_SGTHRS]
        return self._stall != was

    def diag(self):
        """Return the level of DIAG: a stall, or a fault that has switched the bridges off (2)."""
        return 1 if self._stall or self.status & SHORT else 0

    def disabled(self):
        """ENN went high: faults are reset, nothing turns."""
        self._stall = False
        self._before_us = None
