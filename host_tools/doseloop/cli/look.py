"""Verbs that only look: `status`, `info`, `ports`."""

from __future__ import annotations

import click

from doseloop.cli.common import (
    json_option,
    open_pump,
    open_recorded,
    port_option,
    print_json,
)


@click.command()
@port_option
@json_option
def status(port: str | None, as_json: bool) -> None:
    """Show what the pump does now."""
    from doseloop import interruption, output, results

    with open_recorded(port) as (pump, store):
        now = pump.status()
        if as_json:
            print_json(results.plain(now))
            return
        rows = interruption.rows(pump, now, store.name_of(pump.identity.serial, now.run))
    click.echo(output.status_text(now, rows))


@click.command()
@port_option
@json_option
def info(port: str | None, as_json: bool) -> None:
    """Show identity, versions, configuration and limits of the pump."""
    from doseloop import information

    with open_pump(port) as pump:
        facts = information.gather(pump)
    if as_json:
        print_json(facts.as_json())
    else:
        click.echo(facts.as_text())


@click.command()
@json_option
def ports(as_json: bool) -> None:
    """List the ports that pumps are on, real and simulated. Opens none of them."""
    from dataclasses import asdict

    from doseloop import output
    from doseloop import ports as found_ports

    found = found_ports.find()
    if as_json:
        print_json({"schema": 1, "ports": [asdict(info) for info in found]})
    elif found:
        click.echo(output.table((info.port, info.description) for info in found))
    else:
        click.echo("no pump found; a simulated one: doseloop sim", err=True)
