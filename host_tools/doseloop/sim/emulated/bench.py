"""What is wired to the emulated chip: driver, witness bridge, end switches, stop input; the trace.

Pin-level: it knows no dose and reads nothing of the firmware's memory. Positions are microsteps of
the motor, infusing counted up, from where it stood at power-on. First cut: the syringe has no
ends, so the switches stay closed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rp2040py.gpio_pin import GPIOPinState

from doseloop.errors import FileError
from doseloop.sim.emulated.chip import Chip


class Bench:
    """A driver and its switches on `chip`, wired as `board`, a configuration's section, says."""

    def __init__(self, chip: Chip, board: dict[str, Any], trace: Path | None = None) -> None:
        pins: dict[str, int | None] = board["pins"]
        self._chip = chip
        self._dir = chip.pin(_wired(pins, "dir"))
        self._enable = chip.pin(_wired(pins, "enable"))
        self._witness = chip.pin(_wired(pins, "witness"))
        self._infuse = GPIOPinState(board["dir_infuse"])
        self._on = GPIOPinState(board["enable_active"])
        self.position = 0
        self.edges = 0
        try:
            self._trace = None if trace is None else open(trace, "w", encoding="ascii")  # noqa: SIM115
        except OSError as error:
            raise FileError(f"cannot write the trace {trace}: {error.strerror}") from error
        chip.pin(_wired(pins, "stop")).set_input_value(False)
        for name in ("end_front", "end_back"):
            number = pins.get(name)
            if number is not None:
                chip.pin(number).set_input_value(not board["end_open"])
        self._witness.set_input_value(False)
        chip.pin(_wired(pins, "step")).add_listener(self._step)

    def flush(self) -> None:
        """Write the trace out."""
        if self._trace is not None:
            self._trace.flush()

    def close(self) -> None:
        """Write the trace out and close it."""
        if self._trace is not None:
            self._trace.close()

    def _step(self, now: GPIOPinState, before: GPIOPinState) -> None:
        # A pin that a reset made an input is low: the driver's input pulls it down.
        high = now == GPIOPinState.HIGH
        if high == (before == GPIOPinState.HIGH):
            return
        self._witness.set_input_value(high)
        if not high:
            return
        self.edges += 1
        if self._enable.value == self._on:
            self.position += 1 if self._dir.value == self._infuse else -1
        if self._trace is not None:
            self._trace.write(f"{self._chip.ns} {self.position}\n")


def _wired(pins: dict[str, int | None], name: str) -> int:
    number = pins.get(name)
    if number is None:
        raise FileError(f"the board file names no GPIO for {name}", code="E_CONFIG")
    return number
