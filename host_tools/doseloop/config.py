"""Compile a board and a syringe to the configuration that the pump stores.

All fractions end here: the volume of one microstep is fixed once, in whole attolitres, and
everything after is integers. The device checks kind, version and CRC again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from doseloop import force_sensor, resources
from doseloop.boards import Board
from doseloop.errors import UsageError
from doseloop.syringes import Syringe

KIND = "config"
SCHEMA = 1

PI = Fraction(3141592653589793, 10**15)
NM3_PER_AL = 10**6  # 1 aL = 10^-21 m³
TICK_HZ = 1_000_000
# A hard interrupt keeps intervals as small integers: 30 bits, about 17.9 min a step.
MAX_PERIOD_TICKS = 2**30 - 1


@dataclass(frozen=True)
class Compiled:
    """A configuration: its data, its canonical text, and what rounding cost."""

    data: dict[str, Any]
    exact_al_per_step: Fraction

    @property
    def text(self) -> str:
        """The JSON text: ASCII, keys sorted, no spaces."""
        return json.dumps(self.data, sort_keys=True, separators=(",", ":"))

    @property
    def sealed(self) -> str:
        """The text with kind, version and CRC, as the pump takes and stores it."""
        return str(resources.firmware_module("sealed").seal(KIND, SCHEMA, self.text))

    @property
    def al_per_step(self) -> int:
        """Volume of one microstep in whole attolitres."""
        return int(self.data["motion"]["al_per_step"])

    @property
    def rounding_ppt(self) -> Fraction:
        """Relative error of `al_per_step` in parts per trillion (10^-12), signed."""
        exact = self.exact_al_per_step
        return (self.al_per_step - exact) / exact * 10**12


def step_volume_al(board: Board, syringe: Syringe) -> Fraction:
    """Return the volume of one microstep in aL, exact but for the fixed value of pi."""
    return area_nm2(syringe) * board.microstep_nm / NM3_PER_AL


def area_nm2(syringe: Syringe) -> Fraction:
    """Return the area of the plunger, exact but for the fixed value of pi."""
    return PI / 4 * syringe.diameter_nm**2


def compile_config(board: Board, syringe: Syringe) -> Compiled:
    """Return the configuration for `syringe` on `board`.

    Raises `UsageError` (E_CONFIG) when the two can't work together.
    """
    exact = step_volume_al(board, syringe)
    al_per_step = (2 * exact.numerator + exact.denominator) // (2 * exact.denominator)
    if syringe.stroke_nm is None:
        stroke_steps = syringe.capacity_al // al_per_step
    else:
        stroke_steps = int(syringe.stroke_nm // board.microstep_nm)
        if stroke_steps < syringe.capacity_al // al_per_step:
            raise UsageError(
                f"{syringe.model}: a stroke of {syringe.stroke_nm} nm does not hold its capacity",
                code="E_CONFIG",
                next="check diameter, capacity and stroke in syringes.toml",
            )
    if stroke_steps < 1:
        raise UsageError(
            f"{syringe.model} on {board.name}: less than one microstep of travel",
            code="E_CONFIG",
            next="choose a larger syringe or a finer mechanism",
        )
    # Smallest rate whose step period still fits: P = al·3600·tick_hz/rate, rounded up.
    rate_min = -(-al_per_step * 3600 * TICK_HZ // MAX_PERIOD_TICKS)
    signals = ("step", "dir", "enable", "witness", "stop", "end_front", "end_back")
    data: dict[str, Any] = {
        "schema": SCHEMA,
        "board": {
            "name": board.name,
            "driver": board.driver,
            "pins": {signal: board.gpio(signal) for signal in signals},
            "enable_active": board.enable_active,
            "dir_infuse": board.dir_infuse,
            "stop_pull": board.stop_pull,
            "end_open": board.end_open,
            "witness_bridge": "step pin jumpered to witness pin",
        },
        "motion": {
            "al_per_step": al_per_step,
            "pull_in_hz": board.pull_in_hz,
            "max_hz": board.max_hz,
            "accel_hz_per_s": board.accel_hz_per_s,
            "backlash_steps": board.backlash_steps,
            "takeup_hz": board.take_up_hz,
        },
        "syringe": {
            "model": syringe.model,
            "capacity_al": syringe.capacity_al,
            "stroke_steps": stroke_steps,
        },
        "limits": {
            "rate_max_al_per_h": al_per_step * 3600 * board.max_hz,
            "rate_min_al_per_h": rate_min,
        },
        "alarms": {"near_empty_ms": board.near_empty_ms},
    }
    data["alarms"].update({f"{name}_ms": ms for name, ms in board.reminders_ms.items()})
    # What not every board has is named only where it is there.
    section: dict[str, Any] = data["board"]
    signals = "bolus clamp diag uart_tx uart_rx battery temperature buzzer lamp_red lamp_yellow"
    for signal in (*signals.split(), "force"):
        gpio = board.gpio(signal)
        if gpio is not None:
            section["pins"][signal] = gpio
    for key, value in (
        ("bolus_pressed", board.bolus_pressed),
        ("tmc2209", board.watched.tmc2209),
        ("hot_counts", board.watched.hot_counts),
        ("supply", board.watched.supply),
    ):
        if value is not None:
            section[key] = value
    if board.force is not None:
        data["force"] = force_sensor.compiled(board.force, syringe, area_nm2(syringe))
    return Compiled(data, exact)
