"""The whole plan of an order, for people: the pump's totals with every stretch of the order.

A reply holds only the first stretches of a long plan, and of a ramp or of intermittent doses
only the sums. The rest is worked out here from the order that was sent, for tables and charts;
what will really happen is the pump's own plan.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from doseloop.limits import step_duration_ms, step_rate, step_volume
from doseloop.order import Order, Step
from doseloop.results import Plan, Stretch


def whole_plan(plan: Plan, order: Order, al_per_step: int) -> Plan:
    """Return `plan` with a stretch for each step of `order`; volumes floored to microsteps."""
    stretches = [_stretch(step, al_per_step) for step in order.steps]
    return msgspec.structs.replace(plan, stretches=stretches)


def flows(plan: Plan) -> Iterator[tuple[str, int, int, int, int]]:
    """Yield (mode, rate at its begin, rate at its end, steps, ms) of all that flows or stands,
    doses and repeats one by one; the KVO between is left out."""
    for _ in range(plan.repeat):
        for part in plan.stretches:
            last = part.rate_al_per_h if part.rate_end_al_per_h is None else part.rate_end_al_per_h
            if part.every_ms is None:
                yield part.mode, part.rate_al_per_h, last, part.steps, part.duration_ms
                continue
            dose_ms = part.duration_ms - part.every_ms * (part.count - 1)
            for nth in range(1, part.count + 1):
                steps = part.steps * nth // part.count - part.steps * (nth - 1) // part.count
                yield part.mode, part.rate_al_per_h, last, steps, dose_ms
                if nth < part.count:
                    yield "pause", 0, 0, 0, part.every_ms - dose_ms


def _stretch(step: Step, al_per_step: int) -> Stretch:
    if step.mode == "pause":
        return Stretch("pause", 0, 0, step.duration_ms or 0)
    return Stretch(
        step.mode,
        int(step_rate(step)),
        int(step_volume(step)) // max(al_per_step, 1),
        int(step_duration_ms(step)),
        step.rate_end_al_per_h,
        step.every_ms,
        step.count or 1,
    )
