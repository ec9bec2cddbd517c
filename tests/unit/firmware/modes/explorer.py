"""Breadth first through all that can happen to a pump, up to a depth, with the rules looked at.

A state of the search is an abstraction of the real pump (``key_of``); the first path that led to
it stands for it. The firmware holds generators and closures, so a state is reached again by
walking its path from power-on, at some 0.1 ms an event.
"""

from __future__ import annotations

from dataclasses import dataclass

from unit.firmware.modes.rules import Broken, Watch
from unit.firmware.modes.world import EVENTS, World

Path = tuple[str, ...]

_PRESSED = ("plan fast", "start", "line blocked", "0.2 s", "0.2 s")
_GIVEN = ("plan infusion", "start", "0.2 s")
_PAUSES = ("plan pauses", "start", "0.2 s", "0.2 s", "0.2 s")
_PCA = ("plan pca", "start")

# Where therapy leads, and a search from power-on would come late: in a back-off, in a pause of
# the order's own, with doses in flight, after a reset.
SEEDS: tuple[Path, ...] = (
    (),
    _GIVEN,
    (*_GIVEN, "pause"),
    (*_GIVEN, "reset"),
    (*_GIVEN, "stop opens"),
    (*_GIVEN, "rate"),
    (*_GIVEN, "end hit"),
    ("plan infusion", "start", "3 s"),
    ("plan infusion", "start", "line blocked", "0.2 s", "3 s"),
    ("plan infusion", "start", "line blocked", "3 s", "line free", "3 s", "3 s"),
    (*_PRESSED, "50 ms", "50 ms"),
    (*_PRESSED, "3 s"),
    (*_PRESSED, "3 s", "line free", "3 s"),
    ("plan fast", "start", "0.2 s"),
    ("plan fast", "start", "0.2 s", "pause"),
    _PAUSES,
    (*_PAUSES, "stop opens"),
    ("plan long", "start", "0.2 s"),
    ("plan long", "start", "0.2 s", "square", "0.2 s", "bolus_now"),
    ("plan held", "hold"),
    ("plan held", "hold", "pause"),
    ("plan prime", "hold"),
    ("plan pca",),
    (*_PCA, "3 s", "demand"),
    (*_PCA, "3 s", "square", "0.2 s"),
    (*_PCA, "3 s", "reset"),
    (*_PCA, "3 s", "reset", "resume"),
    (*_PCA, "stop", "plan pca"),
    (*_PCA, "history damaged"),
    (*_PCA, "bolus_now", "3 s", "bolus_now", "3 s", "bolus_now", "3 s"),
)


@dataclass(frozen=True)
class Found:
    """What an exploration came to. ``broken``: the rule, and the path that breaks it."""

    states: int
    transitions: int
    broken: tuple[str, Path] | None = None


def explore(depth: int, seeds: tuple[Path, ...] = SEEDS, configured: bool = True) -> Found:
    """Explore all paths of ``depth`` events after each seed, until one breaks a rule."""
    seen: set[tuple[object, ...]] = set()
    front, transitions = list(seeds), 0
    for level in range(depth + 1):
        after: list[Path] = []
        for path in front:
            for more in EVENTS if level else (None,):  # at first the seeds themselves
                way = path if more is None else (*path, more)
                transitions += 1
                try:
                    watch = _walk(way, configured)
                    key = key_of(watch)
                    if key in seen:
                        continue
                    seen.add(key)
                    after.append(way)
                    watch.ends_safely()
                except Broken as broken:
                    return Found(len(seen), transitions, (str(broken), way))
        front = after
    return Found(len(seen), transitions)


def _walk(path: Path, configured: bool) -> Watch:
    watch = Watch(World(configured))
    for event in path:
        watch.do(event)
    return watch


def key_of(watch: Watch) -> tuple[object, ...]:
    """Return what makes two pumps the same to the search."""
    w = watch.world
    c, pins, motor = w.bench.controller, w.bench.pins, w.bench.motor
    run, patient = c.run, c._patient
    item = run.item() if run else None
    return (
        c.state,
        c.order is not None and c.order.steps[0].mode,
        run is not None and (run.ended, item and item.kind, len(run.ahead()) > 1),
        tuple(sorted(w.bench.alarms.standing())),
        (c._resumable, c.reset_due, c.library_fault),
        (c._then, c._resume_at is not None, c.pending.digest is not None),
        (c._bolus.held, c._bolus.item is not None, c._bolus.square is not None),
        motor and (motor.moving, motor.taking_up, motor._refill > 0, motor.remaining_steps() > 0),
        (pins.on, pins.stop, bool(pins.ends), pins.clamped),
        (w.line.blocked_at is not None, w.guard.codes),
        c.sensing and (c.sensing._backing is not None, c.sensing._restart.due_ms is not None),
        patient and (patient.ready, patient.flowing),
        (c._unmet > 0, w.bench.dose._broken),
        (watch.may_move, min(w.boots, 3)),
    )
