"""Breadth-first through all that can happen to a pump, up to a depth, with the rules looked at.

A state of the search is an abstraction of the real pump (``_key``); the first path that led to it
stands for it. The firmware holds generators and closures, so a state is reached again by walking
its path from power-on.
"""

from __future__ import annotations

from dataclasses import dataclass

from unit.firmware.modes.rules import Broken, Watch
from unit.firmware.modes.world import EVENTS, World


@dataclass(frozen=True)
class Found:
    """What an exploration came to. ``broken``: the rule, and the path that breaks it."""

    states: int
    transitions: int
    depth: int
    broken: tuple[str, tuple[str, ...]] | None


def explore(depth: int, most: int, configured: bool = True, seeds: tuple[tuple[str, ...], ...] = ((),)) -> Found:
    """Explore from power-on, to ``depth`` events after each seed path, ``most`` states at most."""
    seen: set[tuple[object, ...]] = set()
    front: list[tuple[str, ...]] = []
    transitions = 0
    try:
        for seed in seeds:
            watch, key = _walk(seed, configured)
            if key not in seen:
                seen.add(key)
                front.append(seed)
                path = seed
                watch.ends_safely()
        for level in range(1, depth + 1):
            after: list[tuple[str, ...]] = []
            for path in front:
                for event in EVENTS:
                    path_now = (*path, event)
                    transitions += 1
                    try:
                        watch, key = _walk(path_now, configured)
                        if key in seen:
                            continue
                        seen.add(key)
                        after.append(path_now)
                        watch.ends_safely()
                    except Broken as broken:
                        return Found(len(seen), transitions, level, (str(broken), path_now))
                    if len(seen) >= most:
                        return Found(len(seen), transitions, level, None)
            front = after
    except Broken as broken:
        return Found(len(seen), transitions, 0, (str(broken), path))
    return Found(len(seen), transitions, depth, None)


def _walk(path: tuple[str, ...], configured: bool) -> tuple[Watch, tuple[object, ...]]:
    watch = Watch(World(configured))
    for event in path:
        watch.do(event)
    return watch, key_of(watch)


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
        c._resumable,
        c._then,
        c._resume_at is not None,
        c.pending.digest is not None,
        (c._bolus.held, c._bolus.item is not None, c._bolus.square is not None),
        motor and (motor.moving, motor.taking_up, motor._refill > 0, motor.remaining_steps() > 0),
        (pins.on, pins.stop, bool(pins.ends), pins.clamped),
        (w.line.blocked_at is not None, w.guard.codes),
        c.sensing and (c.sensing._backing is not None, c.sensing._restart.due_ms is not None),
        patient and (patient.ready, patient.flowing),
        c._unmet > 0,
        w.bench.dose._broken,
        watch.may_move,
        min(w.boots, 3),
    )
