"""Drug library files: limits by care area and item (TOML, schema 1), and their compiled form.

Strict as orders are. The form of the compiled text is described in the firmware's `library.py`,
which checks it here as on the pump. What holds an order against one: `library_check.py`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from math import lcm
from pathlib import Path
from typing import Any

from doseloop import dose_units, quantities, resources
from doseloop.errors import Refused, UsageError
from doseloop.library_check import ROWS, read
from doseloop.strict import Field, Fields, Key, Reader, TomlFile, json_schema

KIND = "library"
SCHEMA = 1
CODE = "E_LIBRARY"

_TOP: Fields = {
    "schema": Field("int", "schema = 1", least=1, most=1),
    "name": Field("text", "what library it is, at most 24 characters"),
    "version": Field("int", "counts up with every release of it", least=1, most=9999),
    "date": Field("text", 'of this version, e.g. "2026-11-26"'),
    "about": Field("text", "who it is for, and what it is not", required=False),
    "area": Field("tables", "[[area]]: the care areas"),
    "entry": Field("tables", "[[entry]]: one for each item of an area"),
}
_AREA: Fields = {
    "id": Field("text", "what orders call it: a-z, 0-9 and -"),
    "name": Field("text", "what it is"),
}
_MEANING = {
    "concentration": "of the drug in the syringe",
    "dose": "of each intermittent dose; of all infusing steps together",
    "dose_rate": "of an infusion, as a dose: mcg/kg/min",
    "rate": "of an infusion: mL/h",
    "bolus": "a bolus, or a dose on demand; without it the limits of doses hold",
    "bolus_rate": "its rate; without it the limits of rates hold",
    "duration": "of an infusion, of each intermittent dose",
}
_ENTRY: Fields = {
    "area": Field("text", "id of its care area"),
    "item": Field("text", "what orders call it: a-z, 0-9 and -"),
    "drug": Field("text", "name of the drug"),
    "source": Field("text", "where every number comes from, and which are this library's choice"),
    **{name: Field("table", f"limits {text}", required=False) for name, text in _MEANING.items()},
}
LIMITS = ("lower_hard", "lower_soft", "typical", "upper_soft", "upper_hard")
_WORDS = {
    "lower_hard": "nothing below it is delivered",
    "lower_soft": "below it only with an override",
    "typical": "what is usual",
    "upper_soft": "above it only with an override",
    "upper_hard": "nothing above it is delivered",
}


@dataclass(frozen=True)
class _Limit:
    """One limit in the smallest unit of what it counts; per h for rates, ms for durations."""

    counts: str
    body: str
    value: Fraction


@dataclass(frozen=True)
class Entry:
    """An item of a care area; `rows`: kind of limit to its compiled form, `said` as written."""

    area: str
    item: str
    drug: str
    source: str
    rows: dict[str, list[Any]]
    said: dict[str, dict[str, str]]


@dataclass(frozen=True)
class Library:
    """A checked library."""

    name: str
    version: int
    date: str
    areas: dict[str, str]
    entries: tuple[Entry, ...] = field(repr=False)

    @property
    def sealed(self) -> str:
        """The compiled text as the pump takes and stores it."""
        head = {
            "name": self.name,
            "version": self.version,
            "date": self.date,
            "entries": len(self.entries),
        }
        lines = [_compact(head)]
        for entry in sorted(self.entries, key=lambda entry: (entry.area, entry.item)):
            lines.append(f"{entry.area} {entry.item} {_compact(entry.rows)}")
        sealed = resources.firmware_module("sealed")
        body = [f"{sealed.crc_hex(f'{nth} {line}')} {line}" for nth, line in enumerate(lines)]
        return str(sealed.seal(KIND, SCHEMA, "\n".join(body)))

    @property
    def crc(self) -> str:
        """The CRC that the pump shows of it."""
        return str(resources.firmware_module("sealed").crc_of(self.sealed))


def load_library(path: Path) -> Library:
    """Return the checked library in `path`. Raises `FileError`."""
    file = TomlFile(path, CODE)
    top = file.table((), file.data, _TOP)
    try:
        date.fromisoformat(top["date"])
    except ValueError:
        file.fail(("date",), f"'{top['date']}' is no date", next='write "2026-11-26"')
    if len(top["name"]) > 24 or not top["name"].isascii():
        file.fail(("name",), "more than 24 plain characters", next="shorten it")
    areas: dict[str, str] = {}
    for nth, raw in enumerate(top["area"]):
        area = file.table(("area", nth), raw, _AREA)
        _slug(file, ("area", nth, "id"), area["id"])
        areas[area["id"]] = area["name"]
    entries: dict[tuple[str, str], Entry] = {}
    for nth, raw in enumerate(top["entry"]):
        entry = _entry(file, nth, raw, areas)
        if (entry.area, entry.item) in entries:
            file.fail(("entry", nth, "item"), "is there twice in its area", next="remove one")
        entries[entry.area, entry.item] = entry
    library = Library(top["name"], top["version"], top["date"], areas, tuple(entries.values()))
    try:
        read(library.sealed)
    except Refused as error:
        file.fail((), error.message, next=error.next)
    return library


def _slug(file: TomlFile, key: Key, text: str) -> None:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,23}", text):
        file.fail(key, f"'{text}': at most 24 of a-z, 0-9 and -", next="as in opioid-pca")


def _entry(file: TomlFile, nth: int, raw: object, areas: dict[str, str]) -> Entry:
    values = file.table(("entry", nth), raw, _ENTRY)
    _slug(file, ("entry", nth, "item"), values["item"])
    if values["area"] not in areas:
        file.fail(("entry", nth, "area"), f"no care area '{values['area']}'", next="add [[area]]")
    rows = {
        name: _row(file, ("entry", nth, name), name, values[name])
        for name in ROWS
        if values[name] is not None
    }
    if not rows:
        file.fail(("entry", nth), "has no limits", next=f"add one of {', '.join(ROWS)}")
    said = {name: values[name] for name in rows}
    return Entry(values["area"], values["item"], values["drug"], values["source"], rows, said)


def _row(file: TomlFile, key: Key, name: str, raw: object) -> list[Any]:
    kind = ROWS[name]
    values = file.table(key, raw, _row_fields(kind), {kind: _reader(kind)})
    given: list[_Limit] = [values[limit] for limit in LIMITS if values[limit] is not None]
    if not given:
        file.fail(key, "has no limit", next=f"add one of {', '.join(LIMITS)}")
    if len({(limit.counts, limit.body) for limit in given}) > 1:
        file.fail(key, "its limits count different things", next="write all in one kind of unit")
    over = lcm(*(limit.value.denominator for limit in given))
    numbers = [None if values[limit] is None else values[limit].value for limit in LIMITS]
    row = [given[0].counts, given[0].body, over]
    row += [None if number is None else int(number * over) for number in numbers]
    try:
        resources.firmware_module("dose_limits").check_entry({name: row})
    except ValueError as error:
        file.fail(key, str(error), next=f"{' <= '.join(LIMITS)}")
    return row


def _row_fields(kind: str) -> Fields:
    return {limit: Field(kind, _WORDS[limit], required=False) for limit in LIMITS}


def _reader(kind: str) -> Reader:
    def read_limit(_key: Key, text: object) -> _Limit:
        name = text.partition(" ")[2] if isinstance(text, str) else ""
        if kind == "duration":
            limit = _Limit("time", "", Fraction(quantities.parse(text, kind)))
        elif dose_units.is_plain(name, kind):
            limit = _Limit("volume", "", Fraction(quantities.parse(text, kind)))
        else:
            dose = dose_units.parse(text, kind)
            limit = _Limit(dose.unit.counts, dose.unit.body, dose.value)
        if not limit.value:
            raise UsageError(f"'{text}' must be more than zero", code="E_NUMBER")
        return limit

    return read_limit


def library_json_schema() -> dict[str, Any]:
    """Return the JSON Schema of library files, made from the tables this module reads by."""
    rows = {
        name: json_schema(_row_fields(kind), {}, dose_units.pattern) for name, kind in ROWS.items()
    }
    nested = {
        "area": {"type": "array", "minItems": 1, "items": json_schema(_AREA, {})},
        "entry": {"type": "array", "minItems": 1, "items": json_schema(_ENTRY, rows)},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Doseloop drug library, schema 1",
        **json_schema(_TOP, nested),
    }


def _compact(data: dict[str, Any]) -> str:
    return json.dumps(data, separators=(",", ":"))
