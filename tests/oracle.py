"""The oracle: recomputes every edge from the board and syringe files, in fractions.

Imports nothing from the firmware and nothing of the host tools' arithmetic: only the rules of the
project's contracts. What it reads are the files a user wrote, the pump's events, and the trace.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PI = Fraction(3141592653589793, 10**15)
ML = 10**15  # attolitres

_NM = {"um": 10**3, "mm": 10**6}


def _length_nm(text: str) -> Fraction:
    number, unit = text.split(" ")
    return Fraction(number) * _NM[unit]


def al_per_step(board: str, syringe: str) -> int:
    """Volume of a microstep in whole attolitres, rounded half up, from the TOML files."""
    path = Path(board) if board.endswith(".toml") else ROOT / "boards" / f"{board}.toml"
    mech = tomllib.loads(path.read_text())
    barrels = tomllib.loads((ROOT / "boards" / "syringes.toml").read_text())["syringe"]
    diameter = _length_nm(barrels[syringe]["diameter"])
    motor, screw = mech["driver"], mech["mechanism"]
    turns, of = (int(part) for part in screw["gear"].split(":"))
    steps = screw["full_steps"] * motor["microsteps"] * Fraction(turns, of)
    # nm^3 = 10^-27 m^3 = 10^-24 L = 10^-6 aL
    volume = PI / 4 * diameter**2 * _length_nm(screw["lead"]) / steps / 10**6
    return int(volume + Fraction(1, 2))


@dataclass(frozen=True)
class Edge:
    """One line of a trace."""

    ns: int
    position: int


def read_trace(path: Path) -> list[Edge]:
    """Read a trace file."""
    return [Edge(*map(int, line.split(" "))) for line in path.read_text().splitlines()]


@dataclass
class Judgement:
    """What the oracle found: edges by stretch, the worst distance in ticks, the total."""

    edges: int
    worst_ticks: Fraction
    counts: list[int]


def judge(edges: list[Edge], events: list[dict], step_al: int) -> Judgement:
    """Hold a run's edges against its stretch events. AssertionError says where it differs.

    events: the run's stretch and stretch_end events in order, as dicts. A stretch's edges are the
    next ``steps`` ones, or as many as its stretch_end says.
    """
    at = 0
    worst = Fraction(0)
    counts = []
    for i, event in enumerate(events):
        if event["e"] != "stretch":
            continue
        assert event["al_per_step"] == step_al
        end = events[i + 1] if i + 1 < len(events) else None
        n = end["steps"] if end is not None and end["e"] == "stretch_end" else event["steps"]
        period = Fraction(step_al * 3600 * event["tick_hz"], event["rate"])
        tick_ns = Fraction(10**9, event["tick_hz"])
        for k in range(1, n + 1):
            edge = edges[at]
            due = event["t0"] + k * period.numerator // period.denominator
            off = abs(edge.ns / tick_ns - due)
            assert off <= 1, f"step {k} of stretch {event}: {edge.ns} ns, due tick {due}"
            worst = max(worst, off)
            at += 1
        counts.append(n)
    assert at == len(edges), f"{len(edges)} edges, {at} in the stretches"
    return Judgement(at, worst, counts)
