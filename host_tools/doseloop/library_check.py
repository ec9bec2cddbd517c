"""A compiled drug library, and an order held against it, by the firmware's own rules.

Nothing of them is written here a second time: `library.py`, `dose_limits.py` and `bounds.py` of
the firmware are asked, as on the pump.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from doseloop import dose_units, quantities, resources
from doseloop.dose_units import Quantity
from doseloop.errors import DoseloopError, Refused, from_device
from doseloop.order import Order
from doseloop.results import Limits, named

# row: kind of quantity
ROWS = {
    "concentration": "concentration",
    "dose": "volume",
    "dose_rate": "rate",
    "rate": "rate",
    "bolus": "volume",
    "bolus_rate": "rate",
    "duration": "duration",
}


@dataclass(frozen=True)
class Judged:
    """An order held against a library, by the firmware's own rules.

    `hard` and `soft`: what it is beyond; the soft ones hold unless `limits` has an override.
    """

    limits: Limits
    hard: tuple[DoseloopError, ...] = ()
    soft: tuple[DoseloopError, ...] = ()

    def raise_first(self, where: str) -> None:
        """Raise what the pump would refuse it with, if it would; `where` it stands."""
        for error in (*self.hard, *(() if self.limits.override else self.soft)):
            raise type(error)(
                f"{where}: {error.message}",
                code=error.code, limit=error.limit, nearest=error.nearest, next=error.next,
            )  # fmt: skip

    def as_json(self) -> dict[str, Any]:
        """Return it for `--json`."""
        return {
            **named(self.limits),
            "beyond_hard": [error.message for error in self.hard],
            "beyond_soft": [error.message for error in self.soft],
        }


def read(sealed: str) -> dict[str, Any]:
    """Return the head of a compiled library: name, version, date, entries, crc.

    Checked whole, as the pump does. Raises `Refused` (E_LIBRARY).
    """
    return _read(sealed)[0]


def _read(sealed: str, *which: str) -> tuple[dict[str, Any], dict[str, list[Any]] | None]:
    try:
        head, entry, _ = resources.firmware_module("library").read(
            io.BytesIO(sealed.encode()), *which
        )
    except resources.firmware_module("errors").Refused as refused:
        raise from_device(refused.as_dict()) from None
    return head, entry


def entries_of(sealed: str) -> list[tuple[str, str, dict[str, list[Any]]]]:
    """Return area, item and rows of every entry of a compiled library that `read` found whole."""
    lines = [line.split(" ", 3) for line in sealed.splitlines()[2:]]
    return [(area, item, json.loads(rows)) for _, area, item, rows in lines]


def row_text(kind: str, row: list[Any]) -> str:
    """Return a compiled row for people: the five limits, – where there is none."""
    counts, body, over, *numbers = row
    values = [None if number is None else Fraction(number, over) for number in numbers]
    if counts in ("volume", "time") and not body:
        texts = [None if v is None else quantities.show(int(v), ROWS[kind]) for v in values]
    else:
        texts = _texts(ROWS[kind], counts, body, values)
    return " | ".join(text or "–" for text in texts)


def _texts(kind: str, counts: str, body: str, values: list[Fraction | None]) -> list[str | None]:
    """Return all of a row in the one unit that reads best: whole numbers, few digits, per mL."""
    found: list[tuple[bool, int, bool, list[str | None]]] = []
    for name, unit in dose_units.UNITS[kind].items():
        shares = [None if v is None else v / unit.factor for v in values]
        if (unit.counts, unit.body) == (counts, body) and all(
            s is None or _decimal(s) for s in shares
        ):
            texts = [None if s is None else dose_units.show(Quantity(s, unit)) for s in shares]
            digits = "".join(text.split(" ")[0] for text in texts if text)
            found.append(("." in digits, len(digits), name.endswith("/L"), texts))
    return min(found, key=lambda each: each[:3])[3]


def _decimal(number: Fraction) -> bool:
    rest = number.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return rest == 1


# A pump without limits of its own: what board and syringe allow is another question.
_ANY_PUMP = {
    "syringe": {"model": "", "capacity_al": 10**21},
    "motion": {
        "al_per_step": 1,
        "pull_in_hz": 10**24,
        "max_hz": 10**24,
        "accel_hz_per_s": 1,
        "backlash_steps": 0,
        "takeup_hz": 1,
    },
    "limits": {"rate_max_al_per_h": 10**24, "rate_min_al_per_h": 1},
}


def judge(sealed: str, order: Order) -> Judged | None:
    """Return an order held against a compiled library; None: it names no item.

    Raises `Refused`: E_LIBRARY for an item that is not there, or that can't be compared.
    """
    if order.drug is None or order.drug.library_item is None:
        return None
    firmware = resources.firmware_module
    area, item = str(order.drug.care_area), order.drug.library_item
    head, entry = _read(sealed, area, item)
    if entry is None:
        raise Refused(
            f"the library {head['name']} has no item {item} in area {area}", code="E_LIBRARY",
            next="doseloop library check, or another item",
        )  # fmt: skip
    limits, bounds = firmware("dose_limits"), firmware("bounds")
    config = {**_ANY_PUMP, "syringe": {**_ANY_PUMP["syringe"], "model": order.syringe}}
    library = (head["name"], head["version"], head["crc"])
    try:
        made = firmware("order").unseal(order.sealed, config)
        edges = limits.edges_of(entry, limits.check_drug(made.drug))
        strict = bounds.Bounds(list(library), f"{area}/{item}", None, edges)
        refusals = limits.judge(made, entry, strict, bounds.beyond)
    except firmware("errors").Refused as refused:
        raise from_device(refused.as_dict()) from None
    found = [from_device(refusal.as_dict()) for refusal in refusals]
    return Judged(
        Limits(library, strict.item, order.override, edges),
        tuple(error for error in found if error.code == "E_HARD_LIMIT"),
        tuple(error for error in found if error.code == "E_SOFT_LIMIT"),
    )
