"""`doseloop library`: check drug library files, load one into the pump, show what it holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from doseloop import errors, output
from doseloop.cli.common import confirm, json_option, port_option, print_json, say
from doseloop.library import library_json_schema, load_library
from doseloop.library_check import entries_of, read, row_text

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group()
def library() -> None:
    """Check, load or show a drug library: soft and hard limits by care area and item."""


command = library


@library.command()
@click.argument("files", nargs=-1, type=_FILE)
@click.option("--schema", is_flag=True, help="Print the JSON Schema of library files.")
@json_option
def check(files: tuple[Path, ...], schema: bool, as_json: bool) -> int:
    """Check FILES without a pump; every problem is named with its line and key."""
    if schema:
        click.echo(json.dumps(library_json_schema(), indent=2))
        return errors.OK
    if not files:
        raise errors.UsageError("no file named", next="doseloop library check FILE...")
    found: list[dict[str, Any]] = []
    failed: list[errors.DoseloopError] = []
    for path in files:
        try:
            loaded = load_library(path)
        except errors.FileError as error:
            failed.append(error)
            found.append({"file": str(path), "ok": False, **error.as_json()})
            if not as_json:
                click.echo(error.as_text(), err=True)
            continue
        found.append({"file": str(path), "ok": True, **read(loaded.sealed)})
        if not as_json:
            size = len(loaded.sealed)
            click.echo(f"ok {path}: {described(read(loaded.sealed))}, {size:,} characters")
    if as_json:
        first = failed[0].as_json() if failed else {}
        print_json({"schema": 1, **first, "files": found})
    return errors.USAGE if failed else errors.OK


@library.command()
@click.argument("file", type=_FILE)
@click.option("--yes", is_flag=True, help="Change what is in force without asking.")
@click.option(
    "--replace", is_flag=True, help="Take it although it is no newer version of the one in force."
)
@port_option
def push(file: Path, yes: bool, replace: bool, port: str | None) -> None:
    """Send FILE to the pump, show old and new, ask, put it in force. Nothing moves.

    An older version, another library or another text of the same version is refused; an
    administrator who wants it all the same says --replace.
    """
    loaded = load_library(file)
    from doseloop.pump import Pump

    with Pump.open(port) as pump:
        change = pump.propose_library(loaded.sealed, replace=replace)
        say(output.table([("old", change.old or "none"), ("new", change.new)]))
        confirm(yes, "Put the new library in force?")
        pump.confirm(change.digest)
    click.echo(f"in force: {change.new}")


@library.command()
@port_option
@json_option
def show(port: str | None, as_json: bool) -> None:
    """Show the library in force in the pump, read back whole and checked."""
    from doseloop.pump import Pump

    with Pump.open(port) as pump:
        text = pump.library_text()
    if not text:
        raise errors.Refused(
            "the pump has no drug library", code="E_LIBRARY", next="doseloop library push FILE"
        )
    head = read(text)
    entries = entries_of(text)
    if as_json:
        items = [{"area": area, "item": item, "rows": rows} for area, item, rows in entries]
        print_json({"schema": 1, **head, "items": items})
        return
    click.echo(described(head))
    click.echo("lower hard | lower soft | typical | upper soft | upper hard")
    for area, item, rows in entries:
        click.echo(f"{area}/{item}")
        shown = [(kind, row_text(kind, row)) for kind, row in rows.items()]
        click.echo(output.table(shown, "  "))


def described(head: dict[str, Any]) -> str:
    """Return what library a head is of, for people."""
    return (
        f"{head['name']}, version {head['version']} of {head['date']}, "
        f"{head['entries']} entries, {head['crc']}"
    )
