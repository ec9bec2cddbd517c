"""`doseloop config`: show what board and syringe compile to, or push it to the pump."""

from __future__ import annotations

import click

from doseloop import errors, quantities
from doseloop.boards import board_names, find_board
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
@click.option("--port", help="Port of the pump.")
def push(board: str, syringe: str, port: str | None) -> None:
    """Compile BOARD and SYRINGE and put the result in force. Nothing moves."""
    compiled = _compiled(board, syringe)
    from doseloop.pump import Pump

    with Pump.open(port) as pump:
        pump.push_config(compiled.sealed)
    click.echo(f"in force: {board} with {syringe}, {compiled.al_per_step} aL a microstep")


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
