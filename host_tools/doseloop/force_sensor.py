"""The force sensor of a board file, `[force]`: what it reads, when it alarms, for which bore.

Strict as boards.py, which reads the rest. All fractions end here: the pump gets integers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from doseloop import quantities
from doseloop.errors import UsageError
from doseloop.strict import Field, Fields, Key, TomlFile
from doseloop.syringes import Syringe

# D1: below 20 psi, which are 137,895.1 Pa (GIP 1.10.3). The lowest: where friction, which only
# roughly is what the board file says, would trip it.
PRESSURE_LEAST_PA, PRESSURE_MOST_PA = 10_000, 137_895
NPA_PER_PA = 10**9
ADC_GPIOS = (26, 27, 28)  # RP2040 datasheet, 4.9: ADC inputs 0 to 2; 29 measures VSYS on a Pico

FIELDS: Fields = {
    "sensor": Field("word", "how it is read", words=("adc",)),
    "gain": Field("ratio", 'counts a newton, e.g. "500" or "4096/9"'),
    "zero": Field("int", "counts without force", most=65_535),
    "least": Field("int", "lowest count that is a force; below, a wire is broken", most=65_535),
    "most": Field("int", "highest count that is a force; above, a wire is broken", most=65_535),
    "friction": Field("force", 'plunger friction while it slides, per mm of bore, "150 mN"'),
    "occlusion": Field("pressure", 'pressure that is an occlusion, e.g. "60 kPa"'),
    "auto_restart": Field(
        "int", "restarts by itself after an occlusion, in 10 min; 0: none", most=9
    ),
}


@dataclass(frozen=True)
class Force:
    """A checked sensor: counts a newton, counts, mN per mm of bore, Pa."""

    sensor: str
    gain: Fraction
    zero: int
    least: int
    most: int
    friction_mn_per_mm: Fraction
    occlusion_pa: int
    auto_restart: int


def read(file: TomlFile, raw: object, gpio: int | None) -> Force | None:
    """Return the sensor of a board file, None without one; `gpio`: of the pin called force."""
    key: Key = ("force",)
    if raw is None:
        if gpio is not None:
            file.fail(key, "missing, but a pin is called force", next="add [force]")
        return None
    readers = {"ratio": _ratio, "force": _force}
    values = file.table(key, raw, FIELDS, readers)
    if gpio not in ADC_GPIOS:
        known = ", ".join(map(str, ADC_GPIOS))
        file.fail(("pins", "force", "gpio"), "no ADC input", next=f"one of {known}")
    if not values["least"] <= values["zero"] < values["most"]:
        file.fail((*key, "zero"), "not between least and most", next="measure it without force")
    pressure_pa = values["occlusion"] // NPA_PER_PA  # at most 1 Pa early, never late
    if not PRESSURE_LEAST_PA <= pressure_pa <= PRESSURE_MOST_PA:
        near = min(max(pressure_pa, PRESSURE_LEAST_PA), PRESSURE_MOST_PA)
        file.fail(
            (*key, "occlusion"),
            f"must be {PRESSURE_LEAST_PA} to {PRESSURE_MOST_PA} Pa",
            nearest=quantities.show(near * NPA_PER_PA, "pressure"),
        )
    return Force(
        values["sensor"],
        values["gain"],
        values["zero"],
        values["least"],
        values["most"],
        values["friction"],
        pressure_pa,
        values["auto_restart"],
    )


def compiled(force: Force, syringe: Syringe, area_nm2: Fraction) -> dict[str, Any]:
    """Return what the pump stores of the sensor with this syringe: whole numbers."""
    return {
        "sensor": force.sensor,
        "gain_num": force.gain.numerator,
        "gain_den": force.gain.denominator,
        "zero": force.zero,
        "least": force.least,
        "most": force.most,
        "friction_mn": int(force.friction_mn_per_mm * syringe.diameter_nm / 10**6),
        "area_um2": int(area_nm2 / 10**6),
        "occlusion_pa": force.occlusion_pa,
        "auto_restart": force.auto_restart,
    }


def _ratio(_: Key, value: object) -> Fraction:
    match = re.fullmatch(r"([1-9][0-9]{0,6})(?:/([1-9][0-9]{0,6}))?", str(value), re.ASCII)
    if not match or not isinstance(value, str):
        raise UsageError(
            f"'{value}' is not a ratio", code="E_NUMBER", next='e.g. "500" or "4096/9"'
        )
    return Fraction(int(match[1]), int(match[2] or 1))


def _force(_: Key, value: object) -> Fraction:
    number, _space, unit = str(value).partition(" ")
    if not isinstance(value, str) or unit not in ("N", "mN"):
        raise UsageError(f"'{value}' is not a force", code="E_UNIT", next='e.g. "150 mN"')
    return quantities.number(value, number) * (1000 if unit == "N" else 1)
