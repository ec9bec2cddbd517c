"""What an order will use of what is allowed, and where it leaves the plunger: for the plan.

Nothing of the pump is written here a second time: the firmware's own order, ledger and rules for
doses on demand are asked on the host, with the configuration that the pump has in force.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from heapq import heappop, heappush
from typing import Any

from doseloop import resources
from doseloop.order import Order
from doseloop.results import SyringeState

HOUR_MS = 3_600_000
_SEEN_MS = 8 * HOUR_MS  # twice the longest window: later ones are like those before
_NO_ROOM_ASKED = 10**30  # aL: what is in the syringe is another question


@dataclass(frozen=True)
class Window:
    """The most that flows in any window of a patient-controlled run, and what may."""

    window_ms: int
    most_nl: int
    limit_al: int


@dataclass(frozen=True)
class Outlook:
    """Rates in aL/h: those of the order, KVO and doses on demand included, and the pump's limits.

    The plunger at the order's end: in which syringe, all but the first taken as full; steps
    since that one was loaded; `full`: it can't withdraw all that is ordered. Doses on demand and
    KVO after the end are not in it.
    """

    fastest_al_per_h: int
    slowest_al_per_h: int
    rate_max_al_per_h: int
    rate_min_al_per_h: int
    windows: tuple[Window, ...]
    syringes: int
    position_steps: int
    remaining_nl: int
    full: bool
    boluses_count: bool = True  # a clinician's, towards the limits of the windows

    def as_json(self) -> dict[str, Any]:
        """Return it for `--json`."""
        return asdict(self)


@dataclass
class _Plunger:
    syringes: int = 1
    position: int = 0  # steps since its syringe was loaded
    left: int = 0  # steps that it still has to infuse
    full: bool = False


def outlook(order: Order, config: dict[str, Any], syringe: SyringeState | None) -> Outlook:
    """Return what `order` will use, on a pump with `config` in force and `syringe` as its status
    has it: where the order declares no fill, it begins there."""
    made = resources.firmware_module("order").unseal(order.sealed, config)
    limits = config["limits"]
    rates = _rates(made)
    plunger = _walk(made, config, syringe)
    return Outlook(
        max(rates, default=0),
        min(rates, default=0),
        limits["rate_max_al_per_h"],
        limits["rate_min_al_per_h"],
        _windows(made.steps[0], limits["rate_max_al_per_h"]),
        plunger.syringes,
        plunger.position,
        plunger.left * config["motion"]["al_per_step"] // 10**9,
        plunger.full,
        made.steps[0].pca is None or made.steps[0].pca[4],
    )


def _rates(order: Any) -> list[int]:
    rates = [order.kvo or 0]
    for step in order.steps:
        rates += [step.rate, step.rate_end]
        if step.pca is not None:
            rates.append(step.rate + step.pca[1])
    return [rate for rate in rates if rate]


def _walk(order: Any, config: dict[str, Any], syringe: SyringeState | None) -> _Plunger:
    """Let the firmware's ledger run down the order, with a full syringe wherever one is empty."""
    al = config["motion"]["al_per_step"]
    run = resources.firmware_module("run").Run("plan", order, al)
    capacity = config["syringe"]["capacity_al"] // al
    plunger = _Plunger()
    if order.fill_al is not None:
        plunger.left = order.fill_al // al
    elif syringe is not None:
        plunger.left = -(-(syringe.remaining_nl or 0) * 10**9 // al)  # a step holds more than 1 nL
        plunger.position = syringe.position_steps
    while (item := run.item()) is not None:
        if not item.left():
            run.next_item()
            continue
        steps = min(item.left(), plunger.left if item.way > 0 else capacity - plunger.left)
        if steps <= 0 and item.way < 0:
            plunger.full = True
            break
        if not steps:
            plunger.left, plunger.position = capacity, 0
            plunger.syringes += 1
            continue
        plunger.left -= item.way * steps
        plunger.position += item.way * steps
        run.book(item.way, steps, steps)
    return plunger


def _windows(step: Any, rate_max: int) -> tuple[Window, ...]:
    """Let a patient ask at every instant at which a dose would be given; return the fullest."""
    if step.pca is None:
        return ()
    rules = resources.firmware_module("pca").Pca(step.rate, *step.pca[:4], rate_max)
    limits: list[tuple[int, int]] = step.pca[3]
    most = [0] * len(limits)
    end = min(step.duration_ms, _SEEN_MS)
    # A window is fullest where one of its ends lies on a change of flow: look there.
    looks = sorted([end, *(window for window, _ in limits)])
    rules.begin(0)
    asks: int | None = rules.allowed_from(0)
    while looks:
        if asks is not None and asks <= looks[0]:
            piece, _ = rules.demand(asks, _NO_ROOM_ASKED)
            for change in (asks, asks + piece[0]):
                for after in (0, *(window for window, _ in limits)):
                    heappush(looks, change + after)
            asks = None  # not before this one has ended
            continue
        now = heappop(looks)
        if now > end:
            break
        most = [max(pair) for pair in zip(most, rules.as_dict(now)["used_nl"], strict=True)]
        if asks is None:
            asks = rules.allowed_from(now)
    return tuple(
        Window(window, nl, limit) for (window, limit), nl in zip(limits, most, strict=True)
    )
