"""The faults that the emulated board can be given: of what is wired to the chip, and of power.

What happens inside the chip (a dead tick, a hung main) is left to the simulated board: here the
firmware is never touched. Used by control.
"""

from __future__ import annotations

from collections.abc import Callable

from doseloop.errors import UsageError
from doseloop.sim.emulated.bench import ENDS, Bench
from doseloop.sim.faults import Fault

_STEPS_LOST = 20
POWER_CUT = "power_cut"


def _step_lost(bench: Bench, value: str | None) -> None:
    bench.lose_steps(_STEPS_LOST if value is None else int(value))


def _end_switch(bench: Bench, value: str | None) -> None:
    for end in ENDS:
        if value in (None, end):
            bench.hold_end(end)


def _no_end_switch(bench: Bench) -> None:
    for end in ENDS:
        bench.free_end(end)


def _open_wire(bench: Bench, value: str | None) -> None:
    if value == "witness":
        bench.cut_witness()
    else:
        bench.cut_stop_wire()


def _no_open_wire(bench: Bench) -> None:
    bench.cut_witness(False)
    bench.cut_stop_wire(False)


# name: (values it takes, begin, end). A power cut is the server's, and has no end.
_MODELS: dict[
    str, tuple[tuple[str, ...], Callable[[Bench, str | None], None], Callable[[Bench], None]]
] = {
    "stall": ((), lambda bench, _: bench.stall(), lambda bench: bench.stall(False)),
    "step_lost": (("COUNT",), _step_lost, lambda bench: bench.lose_steps(0)),
    "end_switch": (ENDS, _end_switch, _no_end_switch),
    "button_stuck": (
        (),
        lambda bench, _: bench.stick_bolus(),
        lambda bench: bench.stick_bolus(False),
    ),
    "open_wire": (("stop", "witness"), _open_wire, _no_open_wire),
}
FAULTS = (*_MODELS, POWER_CUT)


def check(fault: Fault) -> Fault:
    """Return a fault that the emulated board has a model of; raise UsageError for another."""
    if fault.name not in FAULTS:
        raise UsageError(
            f"the fault {fault.name} happens inside the chip, or to what the emulated board has no"
            f" model of; there are: {' '.join(FAULTS)}",
            next="the simulated board has it: leave out --emulated",
        )
    takes = _MODELS[fault.name][0] if fault.name in _MODELS else ()
    value = fault.value
    good = value is None or value in takes or ("COUNT" in takes and value.isdecimal())
    if not good:
        what = " or ".join(takes) if takes else "no value"
        raise UsageError(f"the fault {fault.name} takes {what}, not {value!r}")
    return fault


def begin(bench: Bench, fault: Fault) -> None:
    """Switch a checked fault on; not a power cut."""
    _MODELS[fault.name][1](bench, fault.value)


def end(bench: Bench, name: str) -> None:
    """Switch a fault off; nothing happens when it is not on."""
    if name in _MODELS:
        _MODELS[name][2](bench)
