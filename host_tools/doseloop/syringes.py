"""The syringe library: inner diameter and capacity with the source of each (syringes.toml)."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from doseloop import resources
from doseloop.errors import UsageError
from doseloop.strict import Field, Fields, TomlFile

CODE = "E_CONFIG"

_TOP: Fields = {
    "schema": Field("int", "schema = 1", least=1, most=1),
    "source": Field("table", "[source.<id>]: where numbers were published"),
    "syringe": Field("table", "[syringe.<model>]"),
}
_SOURCE: Fields = {
    "title": Field("text", "title of the document"),
    "where": Field("text", "where it was published"),
}
_SYRINGE: Fields = {
    "maker": Field("text", "who makes it"),
    "title": Field("text", "its name, for people"),
    "diameter": Field("length", 'inner diameter, e.g. "26.59 mm"'),
    "diameter_source": Field("text", "id of a [source.<id>]"),
    "capacity": Field("volume", 'nominal capacity, e.g. "50 mL"'),
    "capacity_source": Field("text", "id of a [source.<id>]"),
    "stroke": Field("length", 'usable plunger travel, e.g. "60 mm"', required=False),
    "stroke_source": Field("text", "id of a [source.<id>]", required=False),
}


@dataclass(frozen=True)
class Syringe:
    """One syringe model. Lengths in nm, capacity in aL; `sources` by key, as full texts.

    Without a published `stroke_nm` the plunger's end follows from the capacity.
    """

    model: str
    maker: str
    title: str
    diameter_nm: int
    capacity_al: int
    stroke_nm: int | None
    sources: tuple[tuple[str, str], ...]


def load_syringes(path: Path | None = None) -> dict[str, Syringe]:
    """Return every syringe of `path` (default: the library) by model. Raises `FileError`."""
    file = TomlFile(path or resources.boards_root() / "syringes.toml", CODE)
    top = file.table((), file.data, _TOP)
    sources: dict[str, str] = {}
    for name, raw in cast("dict[str, Any]", top["source"]).items():
        source = file.table(("source", name), raw, _SOURCE)
        sources[name] = f"{source['title']} ({source['where']})"
    return {
        model: _syringe(file, model, raw, sources)
        for model, raw in cast("dict[str, Any]", top["syringe"]).items()
    }


def find_syringe(model: str) -> Syringe:
    """Return the syringe `model` of the library. Raises `UsageError` naming close ones."""
    library = load_syringes()
    if model not in library:
        close = difflib.get_close_matches(model, library, 3) or sorted(library)[:3]
        raise UsageError(
            f"no syringe model '{model}'; close: {', '.join(close)}",
            code="E_SYRINGE",
            next="doseloop config show --list",
        )
    return library[model]


def _syringe(file: TomlFile, model: str, raw: object, sources: dict[str, str]) -> Syringe:
    key = ("syringe", model)
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", model) or len(model) > 32:
        file.fail(key, "a model is small letters, digits and dashes, 32 at most")
    row = file.table(key, raw, _SYRINGE)
    if (row["stroke"] is None) != (row["stroke_source"] is None):
        file.fail(key, "stroke and stroke_source go together", next="give both or neither")
    cited: list[tuple[str, str]] = []
    for number in ("diameter", "capacity", "stroke"):
        name = row[f"{number}_source"]
        if name is None:
            continue
        if name not in sources:
            file.fail(
                (*key, f"{number}_source"),
                f"'{name}' is not a source; known: {', '.join(sources)}",
                next="add a [source.<id>]: no source, no row",
            )
        cited.append((number, sources[name]))
    return Syringe(
        model=model,
        maker=row["maker"],
        title=row["title"],
        diameter_nm=row["diameter"],
        capacity_al=row["capacity"],
        stroke_nm=row["stroke"],
        sources=tuple(cited),
    )
