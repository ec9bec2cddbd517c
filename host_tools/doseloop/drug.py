"""[drug] and [override] of an order file: what is infused, which item of the drug library it is.

What the pump makes of them: firmware/pump/dose_limits.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from doseloop.dose_units import Quantity
from doseloop.doses import DRUG_READERS
from doseloop.strict import Field, Fields, TomlFile

DRUG: Fields = {
    "name": Field("text", "name of the drug"),
    "concentration": Field("concentration", 'e.g. "100 mg/mL", "50 units/mL"', required=False),
    "weight": Field("weight", 'for doses per kg, e.g. "10 kg"', required=False),
    "surface": Field("surface", 'of the body, for doses per m2, e.g. "1.73 m2"', required=False),
    "library_item": Field("text", "item of the pump's drug library, with care_area", False),
    "care_area": Field("text", "care area of the drug library, with library_item", False),
}
OVERRIDE: Fields = {
    "who": Field("text", "who takes it on, at most 16 plain characters"),
    "why": Field("text", "why, at most 80 plain characters"),
}


@dataclass(frozen=True)
class Drug:
    """What is infused, and what its doses are reckoned with."""

    name: str
    concentration: Quantity | None
    weight: Quantity | None
    surface: Quantity | None
    library_item: str | None = None
    care_area: str | None = None

    def compiled(self) -> dict[str, Any]:
        """Return what the pump looks up and reckons with; {} when that is nothing."""
        if self.library_item is None:
            return {}
        given: dict[str, Any] = {"area": self.care_area, "item": self.library_item}
        for name in ("weight", "surface", "concentration"):
            quantity: Quantity | None = getattr(self, name)
            if quantity is not None:
                counts = [quantity.unit.counts] if name == "concentration" else []
                given[name] = [*counts, *quantity.value.as_integer_ratio()]
        return given


def read_drug(file: TomlFile, raw: object) -> Drug | None:
    """Return the [drug] of an order. Raises `FileError`."""
    if raw is None:
        return None
    drug = file.table(("drug",), raw, DRUG, DRUG_READERS)
    names = ("care_area", "library_item")
    for name, other in (names, names[::-1]):
        if drug[name] is not None and drug[other] is None:
            file.fail(("drug", name), f"goes with {other}", next=f"add {other}, or remove it")
        if drug[name] is not None and not re.fullmatch("[a-z0-9-]{1,24}", drug[name]):
            file.fail(("drug", name), "at most 24 of a-z, 0-9 and -", next="doseloop library show")
    return Drug(
        *(drug[name] for name in ("name", "concentration", "weight", "surface")),
        library_item=drug["library_item"],
        care_area=drug["care_area"],
    )


def read_override(file: TomlFile, raw: object, drug: Drug | None) -> tuple[str, str] | None:
    """Return who goes beyond soft limits, and why. Raises `FileError`."""
    if raw is None:
        return None
    table = file.table(("override",), raw, OVERRIDE)
    if drug is None or drug.library_item is None:
        file.fail(("override",), "there is no library_item", next="add it, or remove this")
    for name, most in (("who", 16), ("why", 80)):
        if len(table[name]) > most or not table[name].isascii() or not table[name].isprintable():
            file.fail(("override", name), f"at most {most} plain characters", next="shorten it")
    return table["who"], table["why"]
