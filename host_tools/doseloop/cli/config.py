"""`doseloop config`: show what board and syringe compile to, or push it to the pump."""

from __future__ import annotations

from typing import Any, cast

import click

from doseloop import errors, output, quantities
from doseloop.boards import board_names, find_board
from doseloop.cli.common import confirm, say
from doseloop.config import Compiled, compile_config
from doseloop.syringes import find_syringe, load_syringes


@click.group()
def config() -> None:
    """Show or push the configuration: board and syringe."""


command = config


@config.command()
@click.option("--board", help="Compile this board (name or file) instead of asking the pump.")
@click.option("--syringe", help="Syringe model to compile with --board.")
@click.option("--port", help="Port of the pump to ask.")
@click.option("--list", "list_all", is_flag=True, help="List boards and syringes.")
@click.option("--json", "as_json", is_flag=True, help="The compiled configuration as JSON.")
def show(
    board: str | None, syringe: str | None, port: str | None, list_all: bool, as_json: bool
) -> None:
    """Show a compiled configuration, or the sealed one in force in the pump."""
    if list_all:
        _list()
    elif board is None and syringe is None:
        from doseloop.pump import Pump

        with Pump.open(port) as pump:
            click.echo(pump.config_text(), nl=False)
    else:
        compiled = _compiled(board, syringe)
        if as_json:
            click.echo(compiled.text)
        else:
            _explain(compiled)


@config.command()
@click.option("--board", required=True, help="Board name or file.")
@click.option("--syringe", required=True, help="Syringe model.")
@click.option("--yes", is_flag=True, help="Change what is in force without asking.")
@click.option("--port", help="Port of the pump.")
def push(board: str, syringe: str, yes: bool, port: str | None) -> None:
    """Compile BOARD and SYRINGE, show what changes, ask, put it in force. Nothing moves.

    Nothing is asked where nothing is in force yet, or the same already is.
    """
    compiled = _compiled(board, syringe)
    from doseloop.information import read_config
    from doseloop.pump import Pump

    with Pump.open(port) as pump:
        changed = config_changes(read_config(pump), compiled.data)
        change = pump.propose_config(compiled.sealed)
        if changed and change.old is not None:
            say(output.table(changed))
            confirm(yes, f"Change {change.old} to {change.new}?")
        reset = pump.confirm(change.digest).get("reset")
    when = "stored, in force once the pump restarts" if reset else "in force"
    click.echo(f"{when}: {change.new}, {compiled.al_per_step} aL a microstep")


def config_changes(old: dict[str, Any] | None, new: dict[str, Any]) -> list[tuple[str, str]]:
    """Return each value that differs, as (section and key, "old → new")."""
    before, after = _flat(old or {}), _flat(new)
    return [
        (key, f"{before.get(key, '–')} → {after.get(key, '–')}")
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key)
    ]


def _flat(data: dict[str, Any], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in data.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            found |= _flat(cast(dict[str, Any], value), f"{name}.")
        elif key.endswith("_al_per_h"):
            found[name] = output.rate(int(value))
        elif key == "capacity_al":
            found[name] = quantities.show(int(value), "volume")
        else:
            found[name] = "none" if value is None else str(value)
    return found


def _compiled(board: str | None, syringe: str | None) -> Compiled:
    if board is None or syringe is None:
        raise errors.UsageError(
            "--board and --syringe go together", next="doseloop config show --list"
        )
    return compile_config(find_board(board), find_syringe(syringe))


def _list() -> None:
    for name in board_names():
        click.echo(f"board    {name:<20} {find_board(name).title}")
    for model, syringe in load_syringes().items():
        diameter = quantities.show(syringe.diameter_nm, "length")
        click.echo(f"syringe  {model:<20} {syringe.title}, inner diameter {diameter}")


def _explain(compiled: Compiled) -> None:
    """Print the numbers a person checks before pushing."""
    data = compiled.data
    motion, syringe, limits = data["motion"], data["syringe"], data["limits"]
    rows = {
        "board": f"{data['board']['name']}, {data['board']['driver']}",
        "syringe": f"{syringe['model']}, {quantities.show(syringe['capacity_al'], 'volume')}",
        "microstep": f"{motion['al_per_step']} aL (rounding "
        f"{float(compiled.rounding_ppt):+.3f} parts in 10^12)",
        "stroke": f"{syringe['stroke_steps']} microsteps",
        "rates": f"{quantities.show(limits['rate_min_al_per_h'], 'rate')} … "
        f"{quantities.show(limits['rate_max_al_per_h'], 'rate')}",
        "ramp": f"from {motion['pull_in_hz']} Hz at {motion['accel_hz_per_s']} Hz/s "
        f"to {motion['max_hz']} Hz",
        "backlash": f"{motion['backlash_steps']} microsteps at {motion['takeup_hz']} Hz",
        "crc": compiled.sealed.split()[3],
        "pins": ", ".join(f"{name} {gpio}" for name, gpio in data["board"]["pins"].items()),
    }
    for name, text in rows.items():
        click.echo(f"{name:<10} {text}")
