"""Verbs that move or stop: `infuse withdraw bolus pause resume stop rate load clear` …"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from doseloop import errors, quantities, resources
from doseloop.cli.common import (
    base_units,
    confirm,
    json_option,
    need_terminal,
    open_pump,
    open_recorded,
    port_option,
    print_json,
    quantity_words,
    refined,
    say,
)

if TYPE_CHECKING:
    from doseloop.results import Delivered, Status


def _direct(mode: str) -> click.Command:
    @click.command(mode)
    @click.argument("quantity", nargs=-1)
    @click.option("--volume", help='e.g. "2.5 mL"')
    @click.option("--rate", help='e.g. "5 mL/h"')
    @click.option("--duration", help='e.g. "30 min"')
    @click.option("--dry-run", is_flag=True, help="show the plan, start nothing")
    @click.option("--yes", is_flag=True, help="start without asking")
    @port_option
    @json_option
    def command(
        quantity: tuple[str, ...],
        volume: str | None,
        rate: str | None,
        duration: str | None,
        dry_run: bool,
        yes: bool,
        port: str | None,
        as_json: bool,
    ) -> int:
        from doseloop.cli.follow import LoadedOrder, finish, prepare, run_order

        given = {"volume": volume, "rate": rate, "duration": duration}
        with refined(port):
            values = base_units(quantity_words(quantity, given))
        need_terminal(yes or dry_run)
        with open_recorded(port) as (pump, store):
            plan = getattr(pump, mode)(**values)
            order = LoadedOrder(plan, name=f"{mode} {' '.join(quantity)}".strip())
            if not prepare(pump, order, yes=yes, dry_run=dry_run, as_json=as_json):
                return errors.OK
            outcome = run_order(pump, store, order)
        return finish(outcome, as_json=as_json)

    command.help = (
        f"{mode.capitalize()} two of volume, rate and duration, and follow it: "
        f"doseloop {mode} 2.5 mL 5 mL/h"
    )
    return command


infuse = _direct("infuse")
withdraw = _direct("withdraw")
bolus = _direct("bolus")


@click.command()
@click.argument("quantity", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="start without asking")
@port_option
@json_option
def prime(quantity: tuple[str, ...], yes: bool, port: str | None, as_json: bool) -> int:
    """Fill the line, with the patient's end open: doseloop prime 2 mL 120 mL/h.

    It ends with its volume, with Ctrl-C, and 0.3 s after this program does. None of it counts as
    delivered.
    """
    from doseloop.cli.follow import LoadedOrder, hold_order, prepare

    with refined(port):
        values = base_units(quantity_words(quantity, {}))
    need_terminal(yes)
    with open_recorded(port) as (pump, store):
        order = LoadedOrder(pump.prime(**values), name=f"prime {' '.join(quantity)}")
        say("The patient must not be connected.")
        if not prepare(pump, order, yes=yes, dry_run=False, as_json=as_json):
            return errors.OK
        now = hold_order(pump, store, order)
    run = now.run
    assert run is not None
    if as_json:
        print_json({"schema": 1, "run": run.id, "primed_nl": run.primed_nl, "state": now.state})
    else:
        from doseloop import output

        click.echo(f"primed {output.ml(run.primed_nl)}: run {run.id}; none of it was delivered")
    return errors.ENDED_SHORT if now.state == "alarm" else errors.OK


@click.command(name="bolus-now")
@click.argument("quantity", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="give it without asking")
@port_option
@json_option
def bolus_now(quantity: tuple[str, ...], yes: bool, port: str | None, as_json: bool) -> None:
    """Give a dose on top of the run in progress: doseloop bolus-now 1 mL 60 mL/h.

    With a duration in place of the rate, doseloop bolus-now 1 mL 30 min, it is spread evenly over
    that time (a square bolus); a dose at a rate, or the patient's, suspends it.
    """
    with refined(port):
        values = base_units(quantity_words(quantity, {}))
    if "volume_al" not in values or len(values) != 2:
        raise errors.UsageError(
            "a volume, and either a rate or a duration", next="doseloop bolus-now 1 mL 60 mL/h"
        )
    need_terminal(yes)
    text = " ".join(quantity)
    with open_pump(port) as pump:
        status = pump.status()
        now = quantities.show(status.rate_al_per_h, "rate")
        arith = resources.firmware_module("arith")
        rate = values.get("rate_al_per_h")
        if rate is None:
            rate = arith.rate_of(values["volume_al"], values["duration_ms"])
        say(_fault_text(status.rate_al_per_h + rate, status))
        confirm(yes, f"Give {text} on top of {now}?")
        pump.bolus_now(**values)
    if as_json:
        print_json({"schema": 1, **values})
    else:
        click.echo(f"bolus {text}, on top of {now}")


@click.command()
@click.option("--look", is_flag=True, help="ask for nothing, only show")
@port_option
@json_option
def demand(look: bool, port: str | None, as_json: bool) -> int:
    """Ask for a dose in a patient-controlled run, as the patient's button does."""
    from doseloop import output, results

    with open_pump(port) as pump:
        found = pump.pca() if look else pump.demand()
        now_ms = pump.status().device_ms
    if as_json:
        print_json({"schema": 1, **results.plain(found)})
    else:
        click.echo(output.pca_text(found, now_ms, asked=not look))
    return errors.OK if look or found.given_now else errors.REFUSED


@click.command()
@port_option
@json_option
def pause(port: str | None, as_json: bool) -> None:
    """Pause the run in progress; `resume` goes on."""
    with open_pump(port) as pump:
        delivered = pump.pause()
        _say_delivered("paused", delivered, pump.status(), as_json)


@click.command()
@click.option("--yes", is_flag=True, help="go on without asking")
@port_option
@json_option
def resume(yes: bool, port: str | None, as_json: bool) -> None:
    """Go on with a paused run, or with what is left of one that a reset cut short."""
    from doseloop import interruption, output, results

    need_terminal(yes)
    with open_recorded(port) as (pump, store):
        now = pump.status()
        rows = interruption.rows(pump, now, store.name_of(pump.identity.serial, now.run))
        say(output.status_text(now, rows))
        cut_short = now.state == interruption.STATE
        confirm(yes, "Go on with the rest?" if cut_short else "Go on?")
        pump.resume()
        after = pump.status()
    if cut_short:
        say("to follow it: doseloop run --attach")
    if as_json:
        print_json(results.plain(after))
    else:
        click.echo(f"resumed: {after.state}")


@click.command()
@port_option
@json_option
def stop(port: str | None, as_json: bool) -> None:
    """End the run and say what was delivered. Does no harm when nothing runs."""
    from doseloop.cli.follow import stop_and_count

    with open_pump(port) as pump:
        delivered = stop_and_count(pump)
        _say_delivered("stopped", delivered, pump.status(), as_json)


@click.command()
@click.argument("value", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="change it without asking")
@port_option
@json_option
def rate(value: tuple[str, ...], yes: bool, port: str | None, as_json: bool) -> None:
    """Change the rate of the run in progress: doseloop rate 10 mL/h."""
    with refined(port):
        rate_al_per_h = quantities.parse(" ".join(value), "rate")
    need_terminal(yes)
    with open_pump(port) as pump:
        change = pump.propose_rate(rate_al_per_h)
        say(_fault_text(rate_al_per_h, pump.status()))
        confirm(yes, f"Change the rate from {change.old} to {change.new}?")
        pump.confirm(change.digest)
    if as_json:
        was = change.old_al_per_h
        print_json({"schema": 1, "rate_al_per_h": rate_al_per_h, "old_al_per_h": was})
    else:
        click.echo(f"rate {change.new} (was {change.old})")


@click.command()
@click.argument("value", nargs=-1, required=True)
@port_option
@json_option
def load(value: tuple[str, ...], port: str | None, as_json: bool) -> None:
    """Declare the syringe that was just mounted, by its volume: doseloop load 40 mL."""
    text = " ".join(value)
    volume_al = quantities.parse(text, "volume")
    with open_pump(port) as pump:
        pump.load(volume_al)
        now = pump.status()
    if as_json:
        print_json({"schema": 1, "volume_al": volume_al, "state": now.state})
    else:
        click.echo(f"loaded {text}; {now.state}")


@click.command()
@port_option
@json_option
def clear(port: str | None, as_json: bool) -> None:
    """Clear the alarms whose cause is gone; exit code 5 when one is still in force."""
    from doseloop import results
    from doseloop.explain import alarm_row

    with open_pump(port) as pump:
        pump.clear()
        now = pump.status()
    if now.alarms:
        rows = [(alarm.code, *alarm_row(alarm.code)[3:]) for alarm in now.alarms]
        raise errors.Refused(
            "still in force: " + ", ".join(f"{code}: {text}" for code, text, _ in rows),
            code=rows[0][0],
            next=rows[0][2] or None,
            details={"status": results.plain(now)},
        )
    if as_json:
        print_json(results.plain(now))
    else:
        click.echo(f"no alarm; {now.state}")


def _fault_text(rate_al_per_h: int, now: Status) -> str:
    """Return what any single fault may deliver while this flows."""
    from doseloop import output

    if now.syringe is None:
        return ""
    arith = resources.firmware_module("arith")
    return output.fault_text(arith.fault_volume(rate_al_per_h, now.syringe.al_per_step))


def _say_delivered(word: str, delivered: Delivered, now: Status, as_json: bool) -> None:
    from doseloop import interruption, output
    from doseloop.results import plain

    uncertain = 0 if now.run is None else now.run.uncertain_steps
    if as_json:
        print_json({"schema": 1, **plain(delivered), "uncertain_steps": uncertain})
        return
    if delivered.run is None:
        click.echo("nothing was running")
        return
    click.echo(
        f"{word}: run {delivered.run} delivered {output.ml(delivered.delivered_nl)} "
        f"({delivered.witnessed_steps:,} of {delivered.ordered_steps:,} steps witnessed)"
    )
    if uncertain:
        al = 0 if now.syringe is None else now.syringe.al_per_step
        click.echo(interruption.beyond(uncertain, al))
