"""What people read about the drug library: which is in force, what it allows in an order."""

from __future__ import annotations

from collections.abc import Iterable

from doseloop import quantities
from doseloop.results import Limits, Status

_AL_PER_NL = 10**9
NONE = "none: the order names no item of a drug library, nothing is checked against one"


def in_force(status: Status, running: bool) -> str:
    """Return which library is in force, and whether the run is held against it (I2, I5)."""
    library, run = status.library, status.run
    text = "none in force"
    if library is not None:
        text = f"{library.name}, version {library.version}, {library.crc}"
    if run is None or not running:
        return text
    if run.library is None:
        return f"{text}; no library for this run"
    override = f", SOFT LIMITS OVERRIDDEN by {run.override}" if run.override else ""
    return f"{text}; this run: {run.library}{override}"


def limits_rows(limits: Limits | None, soft: Iterable[str] = ()) -> list[tuple[str, str]]:
    """Return what the library allows in an order, and which soft limits it is beyond."""
    if limits is None:
        return [("library", NONE)]
    name, version, crc = limits.library
    rows = [("library", f"{limits.item} of {name}, version {version}, {crc}")]
    for kind, edges in limits.edges.items():
        low_hard, low, high, high_hard = (_shown(kind, edge) for edge in edges)
        rows.append((kind, f"{low} … {high} (hard: {low_hard} … {high_hard})"))
    rows += [("! soft", text) for text in soft]
    if limits.override:
        rows.append(("! override", ": ".join(limits.override)))
    elif soft:
        rows.append(("! needed", "[override] in the order, with who and why"))
    return rows


def _shown(kind: str, edge: int | None) -> str:
    if edge is None:
        return "–"
    if kind == "duration":
        return quantities.show(edge, kind)
    unit = "rate" if kind.endswith("rate") else "volume"
    whole = edge // _AL_PER_NL * _AL_PER_NL
    return ("" if whole == edge else "≈ ") + quantities.show(whole, unit)
