"""Read and write quantity strings on the host, by the firmware's own grammar.

A thin typed door to `firmware/pump/quantity.py`: kinds, units and rules are described there.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import cache
from types import ModuleType

from doseloop import resources
from doseloop.errors import UsageError


@cache
def _grammar() -> ModuleType:
    return resources.firmware_module("quantity")


def parse(text: object, kind: str) -> int:
    """Return `text` as an integer in the base unit of `kind` ("volume": aL, "rate": aL/h …).

    Raises `UsageError` with code E_UNIT or E_NUMBER and, where there is one, the nearest
    quantity that is whole in base units.
    """
    grammar = _grammar()
    try:
        return int(grammar.parse(text, kind))
    except grammar.QuantityError as error:
        raise UsageError(error.message, code=error.code, nearest=error.nearest) from None


def number(text: str, number: str) -> Fraction:
    """Return `number`, the first word of `text`, exactly; plain decimal by the same rules.

    Raises `UsageError` with code E_NUMBER that quotes all of `text`.
    """
    grammar = _grammar()
    try:
        digits, decimals = grammar.digits(text, number)
    except grammar.QuantityError as error:
        raise UsageError(error.message, code=error.code) from None
    return Fraction(digits, 10**decimals)


def show(value: int, kind: str) -> str:
    """Return `value` (base unit of `kind`) as a text that `parse` reads back."""
    return str(_grammar().format(value, kind))


def pattern(kind: str) -> str:
    """Return a regular expression for quantities of `kind`, for JSON Schema."""
    if kind == "count":
        return "^(0|[1-9][0-9]*)$"
    groups = [
        "(" + "|".join(re.escape(unit) for unit in group.strip("()").split()) + ")"
        for group in str(_grammar().units(kind)).split(" / ")
    ]
    return r"^(0|[1-9][0-9]*)(\.[0-9]+)? " + "/".join(groups) + "$"


def two_given(
    volume_al: int | None, rate_al_per_h: int | None, duration_ms: int | None
) -> dict[str, int]:
    """Return the two that are given of three, by name; raise `UsageError` unless there are two."""
    args = {
        "volume_al": volume_al,
        "rate_al_per_h": rate_al_per_h,
        "duration_ms": duration_ms,
    }
    given = {name: value for name, value in args.items() if value is not None}
    if len(given) != 2:
        raise UsageError(
            "give exactly two of volume, rate and duration", next="doseloop infuse --help"
        )
    return given
