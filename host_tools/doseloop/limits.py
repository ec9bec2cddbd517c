"""May this order run on this board with this syringe? The host's check before the device's.

Never clips: what is beyond a limit is `Refused`, with the nearest allowed value. An order
larger than the fill is allowed: the pump stops at empty and asks for a new syringe.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from doseloop import quantities, resources
from doseloop.errors import FileError, Refused, from_device
from doseloop.order import Order, Pca, Step

HOUR_MS = 3_600_000


def step_rate(step: Step) -> Fraction:
    """Return the rate of a moving step in aL/h, exact, whichever two quantities it gives.

    Of a ramp: the rate it begins with, below zero when the volume is too little for its end.
    """
    if step.rate_al_per_h is not None:
        return Fraction(step.rate_al_per_h)
    assert step.volume_al is not None and step.duration_ms is not None
    mean = Fraction(step.volume_al * HOUR_MS, step.duration_ms)
    return mean if step.rate_end_al_per_h is None else 2 * mean - step.rate_end_al_per_h


def step_volume(step: Step) -> Fraction:
    """Return the volume of a step in aL, exact, all its doses together; a pause has none."""
    if step.mode == "pause":
        return Fraction(0)
    if step.volume_al is not None:
        return Fraction(step.volume_al * (step.count or 1))
    assert step.duration_ms is not None
    return _mean_rate(step) * step.duration_ms / HOUR_MS * (step.count or 1)


def step_duration_ms(step: Step) -> Fraction:
    """Return the time of a step in ms, exact; of intermittent doses to the end of the last."""
    if step.duration_ms is not None:
        dose = Fraction(step.duration_ms)
    else:
        assert step.volume_al is not None
        dose = step.volume_al * HOUR_MS / _mean_rate(step)
    return dose + (step.every_ms or 0) * ((step.count or 1) - 1)


def _mean_rate(step: Step) -> Fraction:
    rate = step_rate(step)
    return rate if step.rate_end_al_per_h is None else (rate + step.rate_end_al_per_h) / 2


def total_volume(order: Order) -> Fraction:
    """Return the volume infused by all steps in aL, exact; withdrawn volume not counted off."""
    steps = [step for step in order.steps if step.mode != "withdraw"]
    return order.repeat * sum((step_volume(step) for step in steps), Fraction(0))


def syringe_changes(order: Order, capacity_al: int) -> int:
    """Return how many more full syringes the order needs, as the pump's plan counts them."""
    if order.fill_al is None:
        return 0  # the pump counts from what is mounted
    level, changes = Fraction(order.fill_al), 0
    for step in order.steps * order.repeat:
        level += step_volume(step) if step.mode == "withdraw" else -step_volume(step)
        if level < 0:
            changes -= level // capacity_al
            level %= capacity_al
    return changes


def check_fill(order: Order, capacity_al: int, model: str, path: Path) -> None:
    """Raise `FileError` when the file fills its own syringe beyond what it holds."""
    if order.fill_al is not None and order.fill_al > capacity_al:
        capacity = quantities.show(capacity_al, "volume")
        fill = quantities.show(order.fill_al, "volume")
        raise FileError(
            f"{path}: syringe, fill: {fill} is more than a {model} holds",
            code="E_VOLUME",
            limit=capacity,
            nearest=capacity,
            next="lower the fill or take a larger syringe",
        )


def check_order(order: Order, config: dict[str, Any]) -> None:
    """Raise `Refused` if `order` does not fit the compiled `config` (`Compiled.data`).

    E_SYRINGE: another syringe; E_VOLUME: fill or withdrawal beyond the
    plunger, or less than one microstep;
    E_RATE_HIGH, E_RATE_LOW: a rate the mechanism can't make.
    """
    syringe = config["syringe"]
    if order.syringe is not None and order.syringe != syringe["model"]:
        raise Refused(
            f"the order is for {order.syringe}, the pump is set up for {syringe['model']}",
            code="E_SYRINGE",
            next=f"doseloop config push --board {config['board']['name']} "
            f"--syringe {order.syringe}",
        )
    if order.fill_al is not None and order.fill_al > syringe["capacity_al"]:
        capacity = quantities.show(syringe["capacity_al"], "volume")
        raise Refused(
            f"a fill of {quantities.show(order.fill_al, 'volume')} is more than "
            f"a {syringe['model']} holds",
            code="E_VOLUME",
            limit=capacity,
            nearest=capacity,
            next="lower the fill or take a larger syringe",
        )
    for nth, step in enumerate(order.steps, 1):
        if step.pca is not None:
            _check_pca(f"step {nth}", step, step.pca, config)
        elif step.mode != "pause":
            _check_step(f"step {nth}", step, config)
    _check_travel(order, syringe["capacity_al"])
    _check_size(order)
    if order.kvo_al_per_h is not None:
        _check_rate("after: kvo", Fraction(order.kvo_al_per_h), config["limits"])


def _check_size(order: Order) -> None:
    """Refuse what the pump would not unroll: too many doses, stairs and steps."""
    program = resources.firmware_module("program")
    most = resources.firmware_module("order").UNROLLED_MAX
    items = order.repeat * sum(
        program.Step(
            step.mode, 0, 0, int(step_duration_ms(replace(step, count=1))), count=step.count or 1
        ).size()
        for step in order.steps
    )
    if items > most:
        raise Refused(
            f"{items:,} doses, stairs of ramps and steps; the pump takes {most:,}",
            code="E_ORDER",
            next="repeat it less often, or run two orders",
        )


def _check_travel(order: Order, capacity_al: int) -> None:
    """Refuse a withdrawal that the plunger has no room for."""
    # Unknown fill: the syringe may be empty, so a withdrawal has at most its whole capacity.
    level = Fraction(order.fill_al or 0)
    for nth, step in enumerate(order.steps * order.repeat):
        nth = nth % len(order.steps) + 1
        volume = step_volume(step)
        if step.mode == "withdraw" and level + volume > capacity_al:
            room = quantities.show(int(capacity_al - level), "volume")
            raise Refused(
                f"step {nth}: withdrawing {quantities.show(int(volume), 'volume')} goes beyond "
                "the plunger's travel",
                code="E_VOLUME",
                limit=room,
                nearest=room,
                next="withdraw less, or take a larger syringe",
            )
        level += volume if step.mode == "withdraw" else -volume
        # Below empty a syringe was changed in between; how full it is, is not known here.
        level = max(level, Fraction(0))


def _check_step(where: str, step: Step, config: dict[str, Any]) -> None:
    _check_rate(where, step_rate(step), config["limits"])
    if step.rate_end_al_per_h is not None:
        _check_rate(f"{where}, rate_end", Fraction(step.rate_end_al_per_h), config["limits"])
    if step.every_ms is not None and step.every_ms <= step_duration_ms(replace(step, count=1)):
        raise Refused(
            f"{where}: a dose takes longer than `every`",
            code="E_DURATION",
            limit=quantities.show(int(step_duration_ms(replace(step, count=1))), "duration"),
            next="raise the rate or `every`",
        )
    al_per_step = config["motion"]["al_per_step"]
    if step_volume(step) < al_per_step:
        least = quantities.show(al_per_step, "volume")
        raise Refused(
            f"{where}: less than one microstep",
            code="E_VOLUME",
            limit=least,
            nearest=least,
            next="ask for more volume or take a smaller syringe",
        )


def _check_pca(where: str, step: Step, pca: Pca, config: dict[str, Any]) -> None:
    """Refuse rates that can't be made, and what the pump's own rules say can never work."""
    basal = step_rate(step)
    if basal:
        _check_rate(f"{where}, basal", basal, config["limits"])
    _check_rate(f"{where}, basal and dose_rate", basal + pca.dose_rate_al_per_h, config["limits"])
    windows = [
        (hours * HOUR_MS, volume)
        for hours, volume in ((1, pca.limit_1h_al), (4, pca.limit_4h_al))
        if volume is not None
    ]
    most = config["limits"]["rate_max_al_per_h"]
    try:
        resources.firmware_module("pca").Pca(
            int(basal), pca.dose_al, pca.dose_rate_al_per_h, pca.lockout_ms, windows, most
        )
    except resources.firmware_module("errors").Refused as refused:
        error = from_device(refused.as_dict())
        raise Refused(
            f"{where}: {error.message}",
            code=error.code,
            limit=error.limit,
            nearest=error.nearest,
            next=error.next,
        ) from None


def _check_rate(where: str, rate: Fraction, limits: dict[str, Any]) -> None:
    # Whole aL/h are enough to say which rate it was; the comparison itself is exact.
    shown = quantities.show(int(rate), "rate")
    for name, code, beyond, word in (
        ("rate_max_al_per_h", "E_RATE_HIGH", rate > limits["rate_max_al_per_h"], "fastest"),
        ("rate_min_al_per_h", "E_RATE_LOW", rate < limits["rate_min_al_per_h"], "slowest"),
    ):
        if beyond:
            limit = quantities.show(limits[name], "rate")
            raise Refused(
                f"{where}: {shown} is beyond the {word} rate of this board and syringe",
                code=code,
                limit=limit,
                nearest=limit,
                next="change the rate, or take another syringe",
            )
