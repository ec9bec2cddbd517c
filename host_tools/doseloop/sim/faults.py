"""The faults that a simulated board can be given, and how they are written on a command line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from doseloop.errors import UsageError

# The names are a contract. What a fault does is the simulated board's business.
NAMES = (
    "occlusion disconnect stall step_lost end_switch open_wire syringe_out tick_dead "
    "isr_exception main_hang power_cut flash_fail battery overtemp host_deaf link_loss "
    "button_stuck clock_back bit_flip driver supply irq_off main_exception"
).split()

# Values: `step_lost COUNT`, `end_switch front|back`, `main_hang SECONDS` (else for good) and
# `irq_off SECONDS` (1 unless said: interrupts and main held, as by a flash erase that lasts).

# Those that the simulated board has a model of in this release. The others are refused, never
# ignored: a test that injects nothing would pass.
MODELLED = (
    "occlusion disconnect "
    "stall step_lost end_switch open_wire tick_dead isr_exception main_hang power_cut flash_fail "
    "host_deaf button_stuck syringe_out overtemp battery supply driver irq_off main_exception"
).split()

_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?", re.ASCII)


@dataclass(frozen=True)
class Fault:
    """One `NAME@SECONDS[:VALUE]`; `at_ns` counts from the start of the simulation."""

    name: str
    at_ns: int
    value: str | None


def check_name(name: str) -> str:
    """Return `name` if it is a fault, else raise `UsageError` with the list."""
    if name not in NAMES:
        raise UsageError(f"no fault is called {name!r}; there are: {' '.join(MODELLED)}")
    if name not in MODELLED:
        raise UsageError(
            f"the fault {name} has no model in this release; there are: {' '.join(MODELLED)}"
        )
    return name


def seconds_to_ns(text: str) -> int:
    """Return plain decimal seconds as nanoseconds, exactly; raise `UsageError` otherwise."""
    if not _SECONDS.fullmatch(text):
        raise UsageError(f"{text!r} is not a number of seconds such as 600 or 0.25")
    return int(Decimal(text).scaleb(9))


def parse(text: str) -> Fault:
    """Return the fault written as `NAME@SECONDS[:VALUE]`; raise `UsageError`."""
    name, at, rest = text.partition("@")
    if not at:
        raise UsageError(f"{text!r}: write a fault as NAME@SECONDS or NAME@SECONDS:VALUE")
    seconds, colon, value = rest.partition(":")
    return Fault(check_name(name), seconds_to_ns(seconds), value if colon else None)
