"""The settings of a TMC2209, written and read back. Needed for a moment: at boot, and at a start
after its supply was off. Sections are those of the TMC2209 datasheet, rev. 1.03.
"""

from micropython import const

from pump.hal.tmc2209 import DriverError

_TRIES = const(3)
_SYNC = const(0x05)
_WRITE = const(0x80)
_IFCNT = const(0x02)

_GCONF_AT = const(0x00)
_GSTAT = const(0x01)
_IHOLD_IRUN = const(0x10)
_TPWMTHRS = const(0x13)
_TCOOLTHRS = const(0x14)
_SGTHRS = const(0x40)
_CHOPCONF_AT = const(0x6C)

# GCONF (5.1): current by VREF (0), UART instead of power-down on its pin (6), microsteps by
# CHOPCONF (7), pulse filter (8). StealthChop stays on: StallGuard4 works in nothing else (11).
_GCONF = const(0b1_1100_0001)
# CHOPCONF (5.5.1) as it is after power-up: interpolation to 256 microsteps, hstrt 5, toff 3.
_CHOPCONF = const(0x10000053)
_HOLD_DELAY = const(1 << 16)  # IHOLD_IRUN (5.2): as after power-up
_CLEAR_ALL = const(0b111)  # GSTAT


def set_up(driver, settings):
    """Write all settings of the board file, or raise DriverError.

    What can be read is read back; the rest is vouched for by the driver's count of datagrams.
    """
    chopper = _CHOPCONF | settings["mres"] << 24
    for register, value in (
        (_GCONF_AT, _GCONF),
        (_CHOPCONF_AT, chopper),
        (_IHOLD_IRUN, settings["ihold"] | settings["irun"] << 8 | _HOLD_DELAY),
        (_TPWMTHRS, 0),  # StealthChop at every velocity
        (_TCOOLTHRS, settings["tcoolthrs"]),
        (_SGTHRS, settings["sgthrs"]),
        (_GSTAT, _CLEAR_ALL),
    ):
        write(driver, register, value)
    if driver.read(_GCONF_AT) != _GCONF or driver.read(_CHOPCONF_AT) != chopper:
        raise DriverError("it did not keep its settings")


def write(driver, register, value):
    """Write a register; the count of good datagrams must grow (4.1.1), or DriverError."""
    request = bytes((_SYNC, driver.address, register | _WRITE)) + value.to_bytes(4, "big")
    count = driver.read(_IFCNT)
    for _ in range(_TRIES):
        why = driver.ask(request, 0)[1]
        if why is not None:
            continue
        before, count = count, driver.read(_IFCNT)
        if count == before + 1 & 0xFF:
            return
        why = "it took no setting"
    raise DriverError(why)
