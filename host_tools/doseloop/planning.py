"""The whole plan of an order, for people: the pump's totals with every stretch of the order.

A reply holds only the first stretches of a long plan. The rest is worked out here from the order
that was sent, for tables and charts; what will really happen is the pump's own plan.
"""

from __future__ import annotations

import msgspec

from doseloop.limits import step_rate, step_volume
from doseloop.order import Order, Step
from doseloop.results import Plan, Stretch

_HOUR_MS = 3_600_000


def whole_plan(plan: Plan, order: Order, al_per_step: int) -> Plan:
    """Return `plan` with a stretch for each step of `order`; volumes floored to microsteps."""
    if len(plan.stretches) >= len(order.steps):
        return plan
    stretches = [_stretch(step, al_per_step) for step in order.steps]
    return msgspec.structs.replace(plan, stretches=stretches)


def _stretch(step: Step, al_per_step: int) -> Stretch:
    if step.mode == "pause":
        return Stretch("pause", 0, 0, step.duration_ms or 0)
    rate, volume = step_rate(step), step_volume(step)
    duration_ms = step.duration_ms
    if duration_ms is None:
        duration_ms = int(volume * _HOUR_MS / rate)
    return Stretch(step.mode, int(rate), int(volume) // max(al_per_step, 1), duration_ms)
