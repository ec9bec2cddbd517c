"""Start cut.py for a scenario and a history, and read what it found."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

import unit.firmware.conftest  # noqa: F401  # what CPython lacks to import the firmware
from unit.firmware import drugs

from doseloop import resources
from doseloop.flash import scripts
from doseloop.sim import interpreter

SCENARIOS = ["boot", "settings", "alarms", "run", "doses", "library", "deploy"]
HISTORIES = 17  # as many commits as a metadata block of 4 KiB holds in pages of 256 B, and one
_CUT = Path(__file__).with_name("cut.py")
_HEAP = "8m"  # the rig's own; collecting a large one takes long


@dataclass
class Cuts:
    """How many were made, and [id, why] of those that left something wrong."""

    cuts: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)

    def add(self, more: Cuts) -> None:
        """Take over another's."""
        self.cuts += more.cuts
        self.failed += more.failed


def made(work: list[tuple[str, int]], every: int = 1, jobs: int = 1) -> Iterator[tuple[str, Cuts]]:
    """Yield (scenario, its cuts) for each (scenario, history), as they are done."""
    with ThreadPoolExecutor(jobs) as pool:
        tasks = {pool.submit(run, name, history, str(every)): name for name, history in work}
        for task in as_completed(tasks):
            yield tasks[task], task.result()


def again(mark: str) -> list[tuple[str, str]]:
    """Make one cut by its id; return what it left wrong."""
    name, history, what = mark.split(":")
    return run(name, int(history), what).failed


def run(name: str, history: int, what: str) -> Cuts:
    """Run one; `what` is each how manyth first cut, or an id within."""
    with tempfile.TemporaryDirectory(prefix="doseloop-cuts-") as folder:
        data, result = Path(folder) / "data", Path(folder) / "result"
        data.write_text(json.dumps({"libraries": _libraries(), "scripts": _scripts()}))
        words = [str(resources.firmware_root()), str(data), str(result), name, str(history), what]
        done = subprocess.run(
            [*interpreter.find(), "-X", f"heapsize={_HEAP}", str(_CUT), *words],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode or not result.exists():
            raise RuntimeError(f"{name}:{history}: {(done.stdout + done.stderr)[-2000:]}")
        found = json.loads(result.read_text())
    failed = [(f"{name}:{history}:{mark}", why) for mark, why in found["failed"]]
    return Cuts(found["cuts"], failed)


def _libraries() -> list[str]:
    items = [("ward", f"morphine-{n}") for n in range(9)]
    return [
        drugs.library(dict.fromkeys(items[:count], drugs.MORPHINE), version=count)
        for count in (1, 4, 9)
    ]


def _scripts() -> dict[str, str]:
    return {name: getattr(scripts, name) for name in ("PREPARE", "SWITCH")}
