"""The registers of a TMC2209 motor driver over its one-wire UART, and what its flags say.

Nothing is written here (tmc2209_setup.py does), not what an alarm makes of its flags (guard.py).
Imported when the board file wires the UART. Sections: TMC2209 datasheet, rev. 1.03.

    from pump.hal.tmc2209 import Tmc2209
    driver = Tmc2209(uart, settings)  # a UART whose read() gives up after some milliseconds
    driver.read(0x6F)

Transmitter and receiver share the wire, so what is sent comes back first: if it does not, the
line is stuck or cut; if it does and nothing follows, the driver doesn't answer.
"""

import sys

from micropython import const

_GSTAT = const(0x01)
_IOIN = const(0x06)
_DRV_STATUS = const(0x6F)

_SYNC = const(0x05)
_MASTER = const(0xFF)  # whom an answer is for
_DATAGRAM = const(8)
_TRIES = const(3)

# GSTAT (5.1): reset is set by a power-up; drv_err by heat or a short; uv_cp by a low supply.
_RESET = const(1)
_CHARGE_PUMP = const(4)
_DIR = const(9)  # of IOIN (5.1): the level at its pin
# DRV_STATUS (5.5.3): otpw and ot (120 and 143 C by default), then four bits of shorts. Its
# open-load bits are no fault: they are set at standstill too.
_HEAT = const(0b11)
_SHORTS = const(0b111100)


class DriverError(Exception):
    """No register was read or written; the text says why."""


def crc8(data):
    """Return the CRC of a datagram's bytes: x^8 + x^2 + x + 1 from 0, low bit first (4.2)."""
    crc = 0
    for byte in data:
        for _ in range(8):
            crc = (crc << 1 & 0xFF) ^ (7 if (crc >> 7) ^ (byte & 1) else 0)
            byte >>= 1
    return crc


class Tmc2209:
    """One of up to four drivers on a line. ``settings``: those of the board file; its address is
    0 ... 3, by the pins MS1 and MS2."""

    def __init__(self, uart, settings):
        self._uart = uart
        self._settings = settings
        self.address = settings["address"]

    def read(self, register):
        """Return a register's 32 bits, or raise DriverError when three requests were in vain."""
        head = bytes((_SYNC, _MASTER, register))
        for _ in range(_TRIES):
            answer, why = self.ask(bytes((_SYNC, self.address, register)), _DATAGRAM)
            if why is None:
                if answer[:3] == head and crc8(answer[:7]) == answer[7]:
                    return int.from_bytes(answer[3:7], "big")
                why = "its answers are damaged"
        raise DriverError(why)

    def ask(self, request, length):
        """Send a request, its CRC added; return (answer of a length, what went wrong or None)."""
        uart = self._uart
        request += bytes((crc8(request),))
        waiting = uart.any()
        if waiting:
            uart.read(waiting)  # the late end of an exchange that went wrong
        uart.write(request)
        got = uart.read(len(request) + length) or b""
        if got[: len(request)] != request:
            return b"", "its line is stuck or cut"
        answer = got[len(request) :]
        if len(answer) == length:
            return answer, None
        return answer, "its answers are damaged" if answer else "it does not answer"

    def set_up(self):
        """Write all settings, or raise DriverError. At standstill: it loads a module."""
        from pump import hal
        from pump.hal import tmc2209_setup

        del sys.modules["pump.hal.tmc2209_setup"], hal.tmc2209_setup  # pyright: ignore[reportAttributeAccessIssue]
        tmc2209_setup.set_up(self, self._settings)

    def look(self, way):
        """Return (too hot, what is wrong or None) by its flags, and by its DIR pin: ``way`` is the
        level that it should have, None while that does not matter."""
        try:
            state, status = self.read(_GSTAT), self.read(_DRV_STATUS)
            seen = way if way is None else self.read(_IOIN) >> _DIR & 1
        except DriverError as error:
            return False, str(error)
        why = None
        if state & _RESET:
            why = "it has lost its settings"
        elif status & _SHORTS:
            why = "a short"
        elif state & _CHARGE_PUMP:
            why = "its supply is too low"
        elif seen != way:
            why = "its DIR input does not follow"
        return bool(status & _HEAT), why
