"""What `run`, `infuse` and `withdraw` have in common: plan, question, start, summary."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from doseloop import errors, interruption, library_view, output, results
from doseloop.cli.common import confirm, print_json, say
from doseloop.doses import Ordered
from doseloop.order import stop_ms_of
from doseloop.outlook import Outlook
from doseloop.progress import Progress
from doseloop.pump import Pump
from doseloop.running import (
    IN_RUN,
    REGAIN_S,
    RESTARTED,
    Follower,
    Outcome,
    Signals,
    stop_and_count,
    telemetry_ms,
)

if TYPE_CHECKING:
    from doseloop.report.edges import EdgeErrors
    from doseloop.store import Store

__all__ = ["LoadedOrder", "finish", "hold_order", "prepare", "run_order", "stop_and_count"]

_HOLD_S = 0.1  # a third of what the pump goes on without


@dataclass(frozen=True)
class LoadedOrder:
    """An order that the pump has planned, and what the record keeps about it."""

    plan: results.Plan
    name: str | None = None
    text: str | None = None
    trace: Path | None = None
    stop_ms: int | None = None  # how long the pump goes on without hearing from its host
    doses: tuple[Ordered, ...] = ()
    outlook: Outlook | None = None
    limits: results.Limits | None = None  # of the drug library


def prepare(pump: Pump, order: LoadedOrder, *, yes: bool, dry_run: bool, as_json: bool) -> bool:
    """Show the plan and ask; False when nothing is to be started. The order is dropped then."""
    syringe = pump.status().syringe
    al_per_step = 0 if syringe is None else syringe.al_per_step
    text = output.plan_text(order.plan, al_per_step, order.name, order.doses, order.outlook)
    text += "\n" + output.table(library_view.limits_rows(order.limits), "  ")
    if dry_run:
        pump.stop()
        if as_json:
            doses = [dose.as_json() for dose in order.doses]
            seen = {} if order.outlook is None else {"outlook": order.outlook.as_json()}
            plan = results.plain(order.plan)
            allowed = None if order.limits is None else results.named(order.limits)
            print_json({"schema": 1, "plan": plan, "doses": doses, "library": allowed, **seen})
        else:
            click.echo(text)
        return False
    say(text)
    try:
        confirm(yes, "Start?")
    except BaseException:
        pump.stop()
        raise
    return True


def run_order(
    pump: Pump,
    store: Store,
    order: LoadedOrder,
    *,
    started: Callable[[], None] | None = None,
    regain_s: float = REGAIN_S,
) -> Outcome:
    """Start the loaded order and follow it to its end; `started` is called in between."""
    plan = order.plan
    signals = Signals(pump.wake)
    with signals.installed():
        pump.watch(telemetry_ms(plan.duration_ms, order.stop_ms))
        run = pump.start(plan.order_crc)
        store.begin_run(
            pump.identity,
            run,
            order_name=order.name,
            order_text=order.text,
            plan=plan,
            trace=order.trace,
        )
        if started is not None:
            started()
        return _follow(pump, run, signals, order.stop_ms, regain_s=regain_s)


def hold_order(pump: Pump, store: Store, order: LoadedOrder) -> results.Status:
    """Hold the loaded order until it is over or Ctrl-C; return the status that it left."""
    known = store.last_event(pump.identity.serial, pump.identity.boot)
    with Progress(order.plan.ordered_steps) as progress:
        pump.hold()
        now = pump.status()
        if now.run is not None:
            store.begin_run(pump.identity, now.run.id, order_name=order.name, plan=order.plan)
        try:
            while now.state == "priming":
                progress.update(now)
                time.sleep(_HOLD_S)
                pump.hold()
                now = pump.status()
        except KeyboardInterrupt:
            pump.stop()
        except errors.Refused as refused:
            if refused.code != "E_STATE":  # else it was over before this hold
                raise
    list(pump.events(known))  # into the record, the end of it too
    return pump.status()


def attach(pump: Pump, store: Store) -> Outcome:
    """Take up the run in progress, or the end of the one that was going on when we left.

    Every event since the last one recorded is fetched first. Raises `Refused` without a run.
    """
    signals = Signals(pump.wake)
    with signals.installed():
        serial, boot = pump.identity.serial, pump.identity.boot
        known = store.last_event(serial, boot)
        status = pump.status()
        if status.run is None or (status.state not in IN_RUN and not _is_open(store, pump)):
            list(pump.events(known))
            raise errors.Refused(
                "there is no run to attach to", code="E_NO_RUN", next="doseloop logs --runs"
            )
        run = status.run
        store.begin_run(pump.identity, run.id)
        record = store.find_run(run.id, serial)
        stop_ms = None if record.order_text is None else stop_ms_of(record.order_text)
        begun = any(event.name == "start" for event in store.run_events(record))
        pump.follow(known)
        pump.watch(telemetry_ms(run.remaining_ms, stop_ms))
        return _follow(pump, run.id, signals, stop_ms, begun)


def _is_open(store: Store, pump: Pump) -> bool:
    """Whether the records still wait for the end of this pump's latest run."""
    for record in store.runs():
        if record.serial == pump.identity.serial:
            return record.ended is None
    return True


def _follow(
    pump: Pump,
    run: str,
    signals: Signals,
    stop_ms: int | None,
    begun: bool = False,
    regain_s: float = REGAIN_S,
) -> Outcome:
    now = pump.status()
    with Progress(0 if now.run is None else now.run.ordered_steps) as progress:
        progress.update(now)
        follower = Follower(
            pump,
            run,
            progress,
            signals,
            stop_ms=stop_ms,
            begun=begun,
            regain_s=regain_s,
            status=now,
        )
        outcome = follower.follow()
    pump.watch(0)
    if pump.lost_events:
        say(f"{pump.lost_events} events are missing: the pump no longer had them")
    return outcome


def finish(outcome: Outcome, *, as_json: bool, edges: EdgeErrors | None = None) -> int:
    """Print the summary. Raises `EndedShort` unless all of it was delivered."""
    if as_json:
        if not outcome.complete:
            raise outcome.short()
        worst = {} if edges is None else {"edges": edges.as_json()}
        print_json({**outcome.as_json(), **worst})
        return errors.OK
    click.echo(summary(outcome, edges))
    if not outcome.complete:
        raise outcome.short()
    return errors.OK


def _ended(outcome: Outcome) -> str:
    if outcome.reason in (interruption.STATE, "reset", RESTARTED):
        return outcome.reason  # it says more than the alarm that comes with it
    return outcome.alarm or outcome.reason


def summary(outcome: Outcome, edges: EdgeErrors | None = None) -> str:
    """Return the last lines of a run: the three counts, the two clocks, the worst edge."""
    rows = [
        ("run", f"{outcome.run}: {_ended(outcome)}"),
        ("ordered", f"{outcome.ordered_steps:,} steps"),
        ("commanded", f"{outcome.commanded_steps:,} steps"),
        ("witnessed", f"{outcome.witnessed_steps:,} steps"),
        ("delivered", output.ml(outcome.delivered_nl)),
    ]
    if outcome.withdrawn_nl:
        rows.append(("withdrawn", output.ml(outcome.withdrawn_nl)))
    if outcome.beyond:
        rows.append(("uncertain", outcome.beyond))
    if outcome.device_ms is not None:
        rows.append(("device time", output.clock(outcome.device_ms)))
    rows.append(("wall time", f"{outcome.wall_ms / 1000:.1f} s"))
    if edges is not None:
        rows.append(("worst edge", edges.as_text()))
    return output.table(rows)
