"""What is wired to the emulated chip: driver, screw, plunger, switches, stop button; the trace.

Pin-level: it knows no dose and reads nothing of the firmware's memory. Positions are microsteps of
the motor, infusing counted up, from where it stood at power-on; the plunger then stands in the
middle of its travel, as on the simulated board. It is soldered once: a configuration pushed later
changes neither pins nor mechanism.
"""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rp2040py.gpio_pin import GPIOPinState

from doseloop import resources
from doseloop.errors import FileError, UsageError
from doseloop.sim.emulated.chip import Chip

_ADC_0 = 26  # GPIO of the ADC's channel 0
_EXTERNAL_MV = 13_800
_COOL = 2047  # of 4095: an NTC as large as its pull-up, 25 °C

End = Literal["front", "back"]
_NO_FORCE = 205  # of 4095: 0.165 V, the zero of boards/pico_tmc2209.toml
ENDS: tuple[End, ...] = ("front", "back")


def _driver_model() -> Any:
    """Return the simulated board's model of the chip: one of ours for both."""
    path = resources.sim_device_root() / "tmc2209.py"
    spec = importlib.util.spec_from_file_location("doseloop_device_tmc2209", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Tmc2209


@dataclass(frozen=True)
class Mechanism:
    """What the motor turns, in microsteps."""

    travel_steps: int  # from the middle to either end switch
    backlash_steps: int = 0

    @classmethod
    def of(cls, sealed: str) -> Mechanism:
        """Return the mechanism of a sealed configuration."""
        config = json.loads(sealed.split("\n")[1])
        # The switches stand a fifth of the stroke beyond what a full syringe can travel.
        travel = config["syringe"]["stroke_steps"] * 6 // 5
        return cls(travel, config["motion"]["backlash_steps"])


class Bench:
    """A driver, its mechanism and switches on `chip`.

    `board` is the section of a configuration; without a `mechanism` the travel has no ends.
    """

    def __init__(
        self,
        chip: Chip,
        board: dict[str, Any],
        trace: Path | None = None,
        mechanism: Mechanism | None = None,
    ) -> None:
        self._board = board
        self._pins: dict[str, int | None] = board["pins"]
        self._mechanism = mechanism
        self._infuse = GPIOPinState(board["dir_infuse"])
        self._on = GPIOPinState(board["enable_active"])
        self.position = 0  # of the motor
        self.plunger = 0  # of the pusher, behind the backlash
        self.edges = 0  # that reached the driver
        self.lost = 0  # that left the chip and did not
        self.last_edge_ns: int | None = None
        self._origin = 0  # where the syringe in place was mounted; the switches count from it
        self._losing = 0
        self._stalled = False
        self._pressed = self._stop_cut = self._witness_cut = False
        self._bolus_down = self._bolus_stuck = False
        self._forced: set[End] = set()
        try:
            self._trace = None if trace is None else open(trace, "w", encoding="ascii")  # noqa: SIM115
        except OSError as error:
            raise FileError(f"cannot write the trace {trace}: {error.strerror}") from error
        self._before_ns = 0
        self._solder(chip)

    @property
    def chip(self) -> Chip:
        """Get the chip that it is wired to."""
        return self._chip

    @property
    def ns(self) -> int:
        """Get the time since the first power-on in ns; it goes on over power cuts."""
        return self._before_ns + self._chip.ns

    @property
    def enabled(self) -> bool:
        """Whether the driver powers the motor."""
        # A pin that a reset made an input is at rest: the driver's own resistor switches it off.
        return self._enable.value == self._on

    def rewire(self, chip: Chip) -> None:
        """Go on with another chip: the same one after its power was cut."""
        self._before_ns += self._chip.ns
        self._unplug()
        self._solder(chip)

    def mount(self) -> None:
        """Put a syringe in: the pusher touches its plunger, the travel is new."""
        self.plunger = self._origin = self.position
        self._drive_ends()

    def at_end(self, end: End) -> bool:
        """Tell whether an end switch is open: by the plunger or by `hold_end`."""
        if end in self._forced:
            return True
        if self._mechanism is None:
            return False
        moved = self.plunger - self._origin
        return (moved if end == "front" else -moved) >= self._mechanism.travel_steps

    # -- by hand ------------------------------------------------------------------------------

    def press_stop(self) -> None:
        """Press the stop button and keep it pressed."""
        self._pressed = True
        self._drive_stop()

    def release_stop(self) -> None:
        """Release the stop button."""
        self._pressed = False
        self._drive_stop()

    def press_bolus(self, down: bool = True) -> None:
        """Press the bolus button and keep it pressed, or release it.

        Raises UsageError when the board has none.
        """
        self._need_button()
        self._bolus_down = down
        self._drive_bolus()

    def stick_bolus(self, stuck: bool = True) -> None:
        """Make the bolus button stick while nobody presses it. Raises UsageError as above."""
        if stuck:
            self._need_button()
        self._bolus_stuck = stuck
        self._drive_bolus()

    def cut_stop_wire(self, cut: bool = True) -> None:
        """Cut or mend the wire of the stop button: normally closed, so a cut is a stop."""
        self._stop_cut = cut
        self._drive_stop()

    def cut_witness(self, cut: bool = True) -> None:
        """Cut or mend the wire from the driver's STEP to the witness; steps are still made."""
        self._witness_cut = cut
        if cut:
            self._witness.release_input()
        else:
            self._witness.set_input_value(self._high)

    def hold_end(self, end: End) -> None:
        """Press an end switch by hand."""
        self._forced.add(end)
        self._drive_ends()

    def free_end(self, end: End) -> None:
        """Let go of an end switch; the plunger may still press it."""
        self._forced.discard(end)
        self._drive_ends()

    def lose_steps(self, count: int) -> None:
        """Break the contact of STEP for the next `count` edges: driver and witness miss them."""
        self._losing = count

    def stall(self, stalled: bool = True) -> None:
        """Make the motor hum: it takes the steps, the plunger does not move."""
        self._stalled = stalled

    def flush(self) -> None:
        """Write the trace out."""
        if self._trace is not None:
            self._trace.flush()

    def close(self) -> None:
        """Let go of the chip, write the trace out and close it."""
        self._unplug()
        if self._trace is not None:
            self._trace.close()

    # -- wires ----------------------------------------------------------------------------------

    def _solder(self, chip: Chip) -> None:
        self._chip = chip
        self._dir = chip.pin(self._wired("dir"))
        self._enable = chip.pin(self._wired("enable"))
        self._witness = chip.pin(self._wired("witness"))
        self._high = False  # STEP as the driver's input has it
        self._swallowed = False
        self._open = dict.fromkeys(ENDS, False)
        self._drive_stop()
        self._drive_bolus()
        self._equip()
        force = self._pins.get("force")
        if force is not None:  # no force on the plunger; GPIO 26 is ADC channel 0
            chip.analog(force - 26, _NO_FORCE)
        for end in ENDS:
            self._drive_end(end, False)
        self._drive_ends()
        if not self._witness_cut:
            self._witness.set_input_value(False)
        self._unplug = chip.pin(self._wired("step")).add_listener(self._step)

    def _equip(self) -> None:
        """Wire what a guard watches, all of it well: the driver's UART, clamp, supply, heat."""
        pins, chip = self._pins, self._chip
        for name in ("clamp", "diag"):
            number = pins.get(name)
            if number is not None:
                chip.drive(number, False)
        if "tmc2209" in self._board:
            settings = self._board["tmc2209"]
            driver = _driver_model()(settings["address"], 256 >> settings["mres"])
            self._driver = driver
            chip.one_wire((self._wired("uart_tx") + 4) // 8 % 2, self._to_driver)
        if "supply" in self._board:
            full_mv = self._board["supply"]["full_mv"]
            chip.analog(self._wired("battery") - _ADC_0, _EXTERNAL_MV * 4095 // full_mv)
        if "hot_counts" in self._board:
            chip.analog(self._wired("temperature") - _ADC_0, _COOL)

    def _to_driver(self, data: bytes) -> bytes:
        self._driver.dir = int(self._dir.value == GPIOPinState.HIGH)
        return self._driver.receive(data)

    def _wired(self, name: str) -> int:
        number = self._pins.get(name)
        if number is None:
            raise FileError(f"the board file names no GPIO for {name}", code="E_CONFIG")
        return number

    def _drive_stop(self) -> None:
        self._chip.drive(self._wired("stop"), self._pressed or self._stop_cut)

    def _need_button(self) -> None:
        if self._pins.get("bolus") is None:
            raise UsageError("this board has no bolus button")

    def _drive_bolus(self) -> None:
        number = self._pins.get("bolus")
        if number is not None:
            down = self._bolus_down or self._bolus_stuck
            self._chip.drive(number, bool(self._board["bolus_pressed"]) == down)

    def _drive_ends(self) -> None:
        for end in ENDS:
            is_open = self.at_end(end)
            if is_open != self._open[end]:
                self._open[end] = is_open
                self._drive_end(end, is_open)

    def _drive_end(self, end: End, is_open: bool) -> None:
        number = self._pins.get(f"end_{end}")
        if number is not None:
            self._chip.drive(number, bool(self._board["end_open"]) == is_open)

    # -- motion ---------------------------------------------------------------------------------

    def _step(self, now: GPIOPinState, before: GPIOPinState) -> None:
        # A pin that a reset made an input is low: the driver's input pulls it down. The emulator
        # tells nobody of that fall, so the level before is our own.
        high = now == GPIOPinState.HIGH
        if self._swallowed and not high:
            self._swallowed = False
            return
        if high == self._high:
            return
        if high and self._losing:
            self._losing -= 1
            self.lost += 1
            self._swallowed = True
            return
        self._high = high
        if not self._witness_cut:
            self._witness.set_input_value(high)
        if not high:
            return
        self.edges += 1
        self.last_edge_ns = self.ns
        if self.enabled:
            way = 1 if self._dir.value == self._infuse else -1
            self.position += way
            if not self._stalled:
                self._push(way)
        if self._trace is not None:
            self._trace.write(f"{self.last_edge_ns} {self.position}\n")

    def _push(self, way: int) -> None:
        # The nut moves within the backlash before it pushes; at rest it touches infusing.
        gap = 0 if self._mechanism is None else self._mechanism.backlash_steps
        reach = self.position if way > 0 else self.position + gap
        if (reach - self.plunger) * way > 0:
            self.plunger = reach
            self._drive_ends()
