"""`doseloop run`: an order from file to record, on a real or a simulated pump."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from doseloop import errors
from doseloop.cli.common import json_option, need_terminal, open_recorded, port_option, say
from doseloop.cli.sim import speed as check_speed
from doseloop.errors import UsageError

if TYPE_CHECKING:
    from doseloop.order import Order
    from doseloop.report.edges import EdgeErrors
    from doseloop.running import Outcome
    from doseloop.sim.child import SimProcess

_DEFAULT_BOARD = "pico_tmc2209"
_DEFAULT_SYRINGE = "bd-plastipak-50"
_SILENCE_REAL_MS = 2000  # what on_link_loss's time lasts at least, in a simulation


def _speed(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    return None if value is None else check_speed(ctx, param, value)


@click.command()
@click.argument("order", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--attach", is_flag=True, help="take up the run in progress, with what was missed")
@click.option("--dry-run", is_flag=True, help="show the plan, start nothing")
@click.option("--yes", is_flag=True, help="start without asking")
@click.option("--report", type=click.Path(path_type=Path, dir_okay=False), help="write a page")
@click.option("--sim", is_flag=True, help="on a simulated pump of its own")
@click.option("--board", help=f"with --sim: board by name [{_DEFAULT_BOARD}]")
@click.option(
    "--speed",
    callback=_speed,
    help="with --sim: N or max [max; slower for an order that stops without its host]",
)
@click.option("--fault", "faults", multiple=True, help="with --sim: NAME@SECONDS[:VALUE]")
@click.option(
    "--trace", type=click.Path(path_type=Path, dir_okay=False), help="with --sim: log STEP edges"
)
@port_option
@json_option
@click.pass_context
def run(
    ctx: click.Context,
    order: Path | None,
    attach: bool,
    dry_run: bool,
    yes: bool,
    report: Path | None,
    sim: bool,
    board: str | None,
    speed: str | None,
    faults: tuple[str, ...],
    trace: Path | None,
    port: str | None,
    as_json: bool,
) -> int:
    """Run ORDER, a TOML file: show the plan, ask, start, follow, record, sum up.

    Ctrl-C stops the pump. SIGTERM and SIGHUP detach: the pump goes on, --attach follows it again.
    """
    _check_usage(ctx, order, attach, sim, port)
    if report is not None:
        from doseloop.report import page

        page.need_jinja()  # told now, not after hours of infusion
    if attach:
        return _attach(port, report, as_json)
    assert order is not None
    from doseloop.order import load_order

    loaded = load_order(order)
    need_terminal(yes or dry_run)
    if not sim:
        return _run(loaded, order, port, dry_run, yes, report, as_json)
    own = _own_pump(loaded, board or _DEFAULT_BOARD, speed or _sim_speed(loaded), faults, trace)
    return _run(loaded, order, own.port, dry_run, yes, report, as_json, own, trace)


def _check_usage(
    ctx: click.Context, order: Path | None, attach: bool, sim: bool, port: str | None
) -> None:
    if attach == (order is not None):
        raise UsageError("name an order file, or --attach", next="doseloop run ORDER.toml")
    if sim and (attach or port is not None):
        raise UsageError("--sim brings its own pump: leave out --port and --attach")
    if not sim:
        for name in ("board", "speed", "faults", "trace"):
            if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
                option = "--fault" if name == "faults" else f"--{name}"
                raise UsageError(f"{option} goes with --sim", next="add --sim")


def _sim_speed(order: Order) -> str:
    """Return the speed of a simulation that nobody chose; "max" wherever silence is harmless."""
    if order.stop_ms is None:
        return "max"
    # The host answers in real time: what it may be silent for must not fly by meanwhile.
    factor = min(order.stop_ms // _SILENCE_REAL_MS, 999_999)
    least = order.stop_ms * 1000 // _SILENCE_REAL_MS
    speed = str(factor) if factor else f"0.{max(least, 1):03d}"
    say(f"on_link_loss is stop: simulated at speed {speed}, not max, so that the host keeps up")
    return speed


def _own_pump(
    order: Order, board: str, speed: str, faults: tuple[str, ...], trace: Path | None
) -> SimProcess:
    from doseloop.sim import faults as fault_names
    from doseloop.sim.child import SimProcess

    for text in faults:
        fault_names.parse(text)  # a bad one is told before anything starts
    arguments = ["--board", board, "--syringe", order.syringe or _DEFAULT_SYRINGE]
    arguments += ["--speed", speed]
    for text in faults:
        arguments += ["--fault", text]
    if trace is not None:
        arguments += ["--trace", str(trace)]
    return SimProcess(arguments)


def _run(
    order: Order,
    path: Path,
    port: str | None,
    dry_run: bool,
    yes: bool,
    report: Path | None,
    as_json: bool,
    own: SimProcess | None = None,
    trace: Path | None = None,
) -> int:
    from doseloop.cli import follow
    from doseloop.information import read_config
    from doseloop.outlook import outlook
    from doseloop.planning import whole_plan
    from doseloop.running import REGAIN_S, Detached

    text = path.read_text(encoding="utf-8")
    try:
        with open_recorded(port) as (pump, store):
            plan = pump.order(order.sealed)
            limits = pump.limits() if order.drug and order.drug.library_item else None
            syringe = pump.status().syringe
            plan = whole_plan(plan, order, 0 if syringe is None else syringe.al_per_step)
            config = read_config(pump)
            ahead = None if config is None else outlook(order, config, syringe)
            loaded = follow.LoadedOrder(
                plan, order.name, text, trace, order.stop_ms, order.doses, ahead, limits
            )
            if not follow.prepare(pump, loaded, yes=yes, dry_run=dry_run, as_json=as_json):
                return errors.OK
            go = None if own is None else own.go
            wait_s = REGAIN_S if own is None else 0.0  # one that ended by itself is gone
            outcome = follow.run_order(pump, store, loaded, started=go, regain_s=wait_s)
            serial = pump.identity.serial
    except errors.LinkError as error:
        if own is not None and own.died():
            raise errors.DoseloopError(
                f"the simulated pump ended by itself: {own.talk()}", code="E_SIM"
            ) from error
        raise
    except Detached:
        if own is not None:
            say(f"the simulated pump runs on: {own.port}, process {own.pid}")
            own.leave()
            own = None
        raise
    finally:
        if own is not None:
            own.close()  # flushes the trace
    return _sum_up(outcome, serial, report, as_json)


def _attach(port: str | None, report: Path | None, as_json: bool) -> int:
    from doseloop.cli import follow

    with open_recorded(port) as (pump, store):
        outcome = follow.attach(pump, store)
        serial = pump.identity.serial
    return _sum_up(outcome, serial, report, as_json)


def _sum_up(outcome: Outcome, serial: str, report: Path | None, as_json: bool) -> int:
    from doseloop.cli import follow

    if report is not None:
        from doseloop.report import page

        page.write(outcome.run, serial, report)
        say(f"report: {report}")
    return follow.finish(outcome, as_json=as_json, edges=_edges(outcome, serial))


def _edges(outcome: Outcome, serial: str) -> EdgeErrors | None:
    """Return how far the traced edges are from their ideal instants, if there is a trace."""
    from doseloop.report import edges
    from doseloop.store import Store

    with Store() as store:
        record = store.find_run(outcome.run, serial)
        if record.trace is None or not Path(record.trace).exists():
            return None
        return edges.measure(Path(record.trace), store.run_events(record))
