"""The chip itself: who it is, why it started, its watchdog, and handing the board to a person."""

import sys
from binascii import hexlify

import machine
from micropython import const

from pump.hal import registers as reg

_WATCHDOG_MS = const(8000)  # the RP2040 counts to 8388 ms


def serial_number():
    """Return the chip's unique id as hex text."""
    return hexlify(machine.unique_id()).decode()


def tier():
    """Return where this firmware runs: simulated, emulated or hardware."""
    return getattr(machine, "TIER", "hardware")


def micropython_version():
    """Return MicroPython's version as text."""
    version = sys.implementation[1]
    text = ".".join(str(part) for part in version[:3])
    return text + "-" + version[3] if len(version) > 3 and version[3] else text


def reset_cause():
    """Return power, watchdog or reset. Both of the last two come from the watchdog's hardware."""
    if machine.reset_cause() == machine.PWRON_RESET:
        return "power"
    return "watchdog" if machine.mem32[reg.WATCHDOG_REASON] & 1 else "reset"


class Watchdog:
    """Armed with the first motion, fed by the main loop only. It can't be stopped, only fed."""

    def __init__(self):
        self._wdt = None

    def arm(self):
        """Start the watchdog if it is not running yet."""
        if self._wdt is None:
            self._wdt = machine.WDT(timeout=_WATCHDOG_MS)

    def feed(self):
        """Give main another eight seconds."""
        if self._wdt is not None:
            self._wdt.feed()


def reset():
    """Reset the chip: every pin becomes an input, the driver's pull-up switches it off."""
    machine.reset()


def stop_watchdog():
    """Clear the watchdog's enable bit, for a person at the REPL; there is no call for it."""
    machine.mem32[reg.WATCHDOG_CTRL + 0x3000] = 1 << 30
