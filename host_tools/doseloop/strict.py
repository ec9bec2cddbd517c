"""Read TOML files strictly: what nobody declared is an error that names file, key and remedy.

A table is declared once, as `Field`s; reading, messages and JSON Schema come from that one
declaration. Used for orders, boards and syringes. What the values mean together is checked
by the module that owns the file.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, cast

from doseloop import quantities
from doseloop.errors import FileError, UsageError

Key = tuple[str | int, ...]
# Reads what stands at a key; raises `UsageError`.
Reader = Callable[[Key, object], Any]


@dataclass(frozen=True)
class Field:
    """One key of a table.

    `kind` is a quantity kind (the value becomes an integer in its base unit), or "text",
    "word" (one of `words`), "int" (`least` … `most`), "table" or "tables" (read by the caller).
    """

    kind: str
    help: str
    required: bool = True
    words: tuple[str, ...] = ()
    least: int = 0
    most: int = 10**9
    zero: bool = False  # a quantity of zero is allowed


Fields = Mapping[str, Field]


def key_text(key: Key) -> str:
    """Return a key path as a person would say it: `step 2, rate`; counting starts at 1."""
    parts: list[str] = []
    for part in key:
        if isinstance(part, int):
            parts[-1] = f"{parts[-1]} {part + 1}"
        else:
            parts.append(part)
    return ", ".join(parts)


class TomlFile:
    """One parsed TOML file; knows where its keys stand, so that errors can point."""

    def __init__(self, path: Path, code: str) -> None:
        """Read `path`; `code` is the E_ code of its errors. Raises `FileError`."""
        self.path = path
        self.code = code
        try:
            self.text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise FileError(f"{path}: no such file", code="E_FILE") from None
        except (OSError, UnicodeDecodeError) as error:
            raise FileError(f"{path}: cannot be read: {error}", code="E_FILE") from None
        try:
            self.data: dict[str, Any] = tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            raise FileError(f"{path}: not TOML: {error}", code=code) from None

    def line_of(self, key: Key) -> int | None:
        """Return the line on which `key` stands, or the header of its table; None if neither.

        Good for files written table by table; a key inside an inline table gives its table.
        """
        names = [part for part in key if isinstance(part, str)]
        want = next((part for part in key if isinstance(part, int)), None)
        table: list[str] = []
        count: dict[str, int] = {}
        found: int | None = None
        for number, line in enumerate(self.text.splitlines(), 1):
            header = re.match(r"\s*\[\[?\s*([^\]]+?)\s*\]\]?", line)
            if header:
                table = [part.strip(" \"'") for part in header[1].split(".")]
                count[header[1]] = count.get(header[1], -1) + 1
                if table == names[: len(table)] and want in (None, count[header[1]]):
                    found = number
                continue
            entry = re.match(r"\s*([A-Za-z0-9_.\"'-]+)\s*=", line)
            if entry:
                path = table + [part.strip(" \"'") for part in entry[1].split(".")]
                nth = count.get(".".join(table), 0)
                if path == names[: len(path)] and want in (None, nth):
                    found = number
        return found

    def fail(
        self,
        key: Key,
        message: str,
        *,
        code: str | None = None,
        nearest: str | None = None,
        next: str | None = None,
    ) -> NoReturn:
        """Raise the `FileError` that names this file, the line, the key and the remedy."""
        line = self.line_of(key)
        place = f"{self.path}:{line}" if line else f"{self.path}"
        where = f"{place}: {key_text(key)}: " if key else f"{place}: "
        raise FileError(where + message, code=code or self.code, nearest=nearest, next=next)

    def table(
        self, key: Key, raw: object, fields: Fields, readers: Mapping[str, Reader] | None = None
    ) -> dict[str, Any]:
        """Return the values of one table: every key declared, every required key there.

        Quantities become integers in their base unit, or what `readers` makes of their kind;
        optional keys that are missing are None.
        """
        if not isinstance(raw, dict):
            self.fail(key, "must be a table", next=f"write [{key_text(key)}] and its keys")
        values = cast("dict[str, Any]", raw)
        for name in values:
            if name not in fields:
                close = difflib.get_close_matches(name, fields, 1)
                hint = f"did you mean '{close[0]}'?" if close else "remove it"
                self.fail((*key, name), f"unknown key; known: {', '.join(fields)}", next=hint)
        for name, field in fields.items():
            if field.required and name not in values:
                self.fail((*key, name), "missing", next=f"add it: {field.help}")
        return {
            name: self._value((*key, name), values[name], field, (readers or {}).get(field.kind))
            if name in values
            else None
            for name, field in fields.items()
        }

    def _value(self, key: Key, value: Any, field: Field, reader: Reader | None) -> Any:
        checked = value  # a name that the tests below do not narrow
        if field.kind == "table":
            if not isinstance(value, dict):
                self.fail(key, "must be a table", next=f"write it as a table: {field.help}")
        elif field.kind == "tables":
            if not isinstance(value, list) or not value:
                self.fail(key, "must be a list of tables", next=f"write [[{key_text(key)}]]")
        elif field.kind == "text":
            if not isinstance(value, str) or not value.strip() or "\n" in value:
                self.fail(key, "must be a text of one line", next=field.help)
        elif field.kind == "word":
            if value not in field.words:
                self.fail(key, f"{value!r} is not one of {', '.join(field.words)}")
        elif field.kind == "int":
            # A bool is an int to Python, but true is not a number to a reader.
            if type(value) is not int or not field.least <= value <= field.most:
                self.fail(
                    key, f"must be a whole number, {field.least} … {field.most}", next=field.help
                )
        else:
            return self._quantity(key, value, field, reader)
        return checked

    def _quantity(self, key: Key, value: Any, field: Field, reader: Reader | None) -> Any:
        try:
            number = reader(key, value) if reader else quantities.parse(value, field.kind)
        except UsageError as error:
            remedy = error.next or field.help
            self.fail(key, error.message, code=error.code, nearest=error.nearest, next=remedy)
        if number == 0 and not field.zero:
            self.fail(key, f"'{value}' must be more than zero", code="E_NUMBER", next=field.help)
        return number


def json_schema(
    fields: Fields,
    nested: Mapping[str, Mapping[str, Any]],
    pattern: Callable[[str], str] = quantities.pattern,
) -> dict[str, Any]:
    """Return the JSON Schema of a table; `nested` holds the schemas of its table fields.

    `pattern` gives the regular expression of a kind of quantity.
    """
    properties: dict[str, Any] = {}
    for name, field in fields.items():
        entry: dict[str, Any] = {"description": field.help}
        if field.kind in ("table", "tables"):
            entry |= nested[name]
        elif field.kind == "word":
            entry["enum"] = list(field.words)
        elif field.kind == "int":
            entry |= {"type": "integer", "minimum": field.least, "maximum": field.most}
        elif field.kind == "text":
            entry |= {"type": "string", "minLength": 1}
        else:
            entry |= {"type": "string", "pattern": pattern(field.kind)}
        properties[name] = entry
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [name for name, field in fields.items() if field.required],
        "properties": properties,
    }
