"""Verbs about alarms: `alarms list|ack|silence|test` and `explain`."""

from __future__ import annotations

import click

from doseloop import errors
from doseloop.cli.common import json_option, need_terminal, open_pump, port_option, print_json
from doseloop.cli.motion import clear


@click.group()
def alarms() -> None:
    """Alarms of the pump: what stands, what to do, silence, and a test of the signals."""


@alarms.command("list")
@port_option
@json_option
def list_(port: str | None, as_json: bool) -> int:
    """List the alarms that stand, the highest first; exit code 6 when there are any."""
    from doseloop import results
    from doseloop.explain import alarm_row

    with open_pump(port) as pump:
        found = pump.alarms()
    if as_json:
        print_json({"schema": 1, "alarms": [results.plain(alarm) for alarm in found]})
    elif not found:
        click.echo("no alarm")
    else:
        for alarm in found:
            _, act, end, text, after = alarm_row(alarm.code)
            quiet = ", silenced" if alarm.silenced else ""
            click.echo(f"{alarm.code} ({alarm.priority}{quiet}): {text}")
            click.echo(f"  the pump {act}; ends {end}\n  next: {after}")
    return errors.ENDED_SHORT if found else errors.OK


alarms.add_command(clear, "ack")


@alarms.command()
@port_option
@json_option
def silence(port: str | None, as_json: bool) -> None:
    """Silence what sounds, for two minutes at most; lamps and texts stay."""
    with open_pump(port) as pump:
        silent_ms = pump.silence()
    if as_json:
        print_json({"schema": 1, "silent_ms": silent_ms})
    else:
        click.echo(f"silent for {silent_ms // 1000} s; a new alarm ends it")


@alarms.command()
@click.option("--heard/--not-heard", default=None, help="answer: both sounds were heard, or not")
@click.option("--seen/--not-seen", default=None, help="answer: both lamps were seen, or not")
@port_option
@json_option
def test(heard: bool | None, seen: bool | None, port: str | None, as_json: bool) -> int:
    """Give every sound and lamp once and ask whether they were noticed; a no is an alarm."""
    need_terminal(heard is not None and seen is not None)
    with open_pump(port) as pump:
        ms = pump.alarm_test()
        click.echo(
            f"for {ms / 1000:g} s: ten high beeps with the red lamp, three with the yellow one",
            err=True,
        )
        if heard is None:
            heard = click.confirm("Did you hear both?", err=True)
        if seen is None:
            seen = click.confirm("Did you see both lamps?", err=True)
        standing = pump.alarm_noticed(sound=heard, lamp=seen)
    if as_json:
        print_json({"schema": 1, "sound": heard, "lamp": seen, "alarms": standing})
    else:
        click.echo("recorded" + (f"; {', '.join(standing)} stands" if standing else ""))
    return errors.OK if heard and seen else errors.ENDED_SHORT


@click.command()
@click.argument("code")
@json_option
def explain(code: str, as_json: bool) -> None:
    """Say what an alarm or error code means and what to do: doseloop explain A_EMPTY."""
    from doseloop import explain as explained
    from doseloop import output

    found = explained.explain(code)
    if as_json:
        print_json({"schema": 1, **found})
    else:
        click.echo(output.table(found.items()))
