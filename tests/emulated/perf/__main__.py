"""`make perf`: measure everything, print the tables, write the JSON.

    python -m emulated.perf [--image FILE] [--json FILE] [--jobs N]

`cp out/performance.json docs/ && make docs` makes the figures those of the repository.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from emulated.perf import deployed, measure, table
from emulated.rig import ROOT, Fork
from rich.progress import Progress

from doseloop import resources
from doseloop.errors import DoseloopError
from doseloop.flash.build import MICROPYTHON_VERSION, build
from doseloop.sim.emulated import image as images

Case = tuple[str, Callable[..., Any], tuple[Any, ...]]


def cases(boards: measure.Boards) -> list[Case]:
    """Return (where the figure goes, function, arguments) of every case, the longest first."""
    pump, bare = boards.pump, boards.bare
    out: list[Case] = [
        (f"stops/{how}", measure.dead, (pump, hz, how))
        for how, rates in (("hang", (1_000,)), ("die", (1, 1_000, 10_000)))
        for hz in rates
    ]
    for loaded in (False, True):
        out += [("steps", measure.steps, (pump, hz, loaded)) for hz in measure.RATES]
        for name, work in (("break", measure.line_break), ("stop_command", measure.stop_command)):
            where = f"stops/{name}_loaded" if loaded else f"stops/{name}"
            out += [(where, work, (pump, hz, loaded)) for hz in (100, 1_000)]
        out += [
            ("others", measure.others, (bare, kind, hz, loaded))
            for kind in table.KINDS
            for hz in measure.RATES
        ]
    out += [("masked", measure.masked, (pump, hz)) for hz in (100, 1_000, 10_000)]
    out += [("tick", measure.tick, (pump, hz)) for hz in (100, 1_000, 10_000, 100_000)]
    for name, work in (
        ("stop_input", measure.stop_input),
        ("end_switch", measure.end_switch),
        ("exception", measure.exception),
    ):
        out += [(f"stops/{name}", work, (pump, hz)) for hz in (100, 1_000, 10_000)]
    return out


def run(image: Path, jobs: int) -> table.Figures:
    """Measure all cases, `jobs` at a time."""
    figures: table.Figures = {
        "schema": 1,
        "measured_on": {
            "micropython": MICROPYTHON_VERSION,
            "image_sha256": hashlib.sha256(image.read_bytes()).hexdigest(),
            "firmware": build(resources.firmware_root()).hash,
            "emulator": version("rp2040py"),
        },
        "stops": {},
    }
    with Progress() as progress:
        task = progress.add_task("booting", total=None)
        boards = measure.boards(image)
        todo = cases(boards)
        progress.update(task, description="measuring", total=len(todo) + 1)
        running: list[tuple[str, Fork]] = []
        for where, work, arguments in [("board", deployed.board, (image,)), *todo]:
            if len(running) == jobs:
                _take(figures, *running.pop(0))
                progress.advance(task)
            running.append((where, Fork(work, *arguments)))
        for one in running:
            _take(figures, *one)
            progress.advance(task)
    loaded = [one for one in figures["steps"] if one["loaded"]]
    figures["board"]["heap_prompt"] = boards.heap_prompt
    figures["board"]["heap_low_after"] = min(one["heap_low"] for one in loaded)
    figures["board"]["heap_low_before"] = min(one["heap_low_before"] for one in loaded)
    figures["board"]["longest_pass_ms"] = round(
        max(one["longest_pass_us"] for one in loaded) / 1000
    )
    return figures


def _take(figures: table.Figures, where: str, fork: Fork) -> None:
    result = fork.result()
    if where == "board":
        figures["board"] = result
        return
    place = figures
    *path, last = where.split("/")
    for name in path:
        place = place[name]
    place.setdefault(last, []).append(result)


def main() -> int:
    """Run; return the exit code."""
    options = argparse.ArgumentParser(prog="make perf")
    options.add_argument("--image", type=Path)
    options.add_argument("--json", type=Path, default=ROOT / "out" / "performance.json")
    options.add_argument("--jobs", type=int, default=2)
    chosen = options.parse_args()
    try:
        image = images.find(chosen.image)
    except DoseloopError as error:
        print(f"{error.message}\n  next: {error.next}", file=sys.stderr)
        return error.exit_code
    figures = run(image, chosen.jobs)
    chosen.json.parent.mkdir(parents=True, exist_ok=True)
    chosen.json.write_text(json.dumps(figures, indent=1) + "\n")
    print(table.page(figures))
    print(f"\nwritten: {chosen.json}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
