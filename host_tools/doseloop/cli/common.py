"""What several verbs share: options, opening the pump with its record, reading quantities."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from doseloop import quantities
from doseloop.errors import Refused, UsageError

if TYPE_CHECKING:
    from doseloop.pump import Pump
    from doseloop.store import Store

_F = TypeVar("_F", bound=Callable[..., Any])


def port_option(command: _F) -> _F:
    """Add `--port`."""
    return click.option("--port", help="port of the pump [DOSELOOP_PORT, else the only one]")(
        command
    )


def json_option(command: _F) -> _F:
    """Add `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="print the result as JSON")(
        command
    )


@contextmanager
def open_recorded(port: str | None) -> Generator[tuple[Pump, Store]]:
    """Open the pump and the records; all that it says goes there."""
    from doseloop.pump import Pump
    from doseloop.store import Store

    with Store() as store, Pump.open(port, recorder=store) as pump:
        yield pump, store


@contextmanager
def open_pump(port: str | None) -> Generator[Pump]:
    """Open the pump; all that it says is recorded."""
    with open_recorded(port) as (pump, _):
        yield pump


def print_json(obj: Any) -> None:
    """Print one JSON object as the result."""
    click.echo(json.dumps(obj))


def say(text: str) -> None:
    """Print talk: to stderr, so that stdout stays the result."""
    click.echo(text, err=True)


def confirm(yes: bool, question: str) -> None:
    """Ask before motion or a change. Raises `UsageError` without a terminal, `Abort` on a no."""
    if yes:
        return
    need_terminal(yes)
    if not click.confirm(question, default=False, err=True):
        raise UsageError("not confirmed: nothing was started or changed", code="E_NOT_CONFIRMED")


def need_terminal(yes: bool) -> None:
    """Raise `UsageError` when a question is due and there is nobody to ask."""
    if not yes and not sys.stdin.isatty():
        raise UsageError(
            "this asks first, and there is no terminal to ask on",
            code="E_NO_TERMINAL",
            next="look at what is to be done (a plan: --dry-run), then add --yes",
        )


def quantity_words(words: tuple[str, ...], given: dict[str, str | None]) -> dict[str, int]:
    """Return volume, rate and duration from `2.5 mL 5 mL/h` and from options.

    `words` may be split at spaces or quoted; the unit tells which of the three a quantity is.
    Returns values in base units by kind. Raises `UsageError` for anything unclear.
    """
    texts = [(kind, text) for kind, text in given.items() if text is not None]
    parts = " ".join(words).split()
    while parts:
        number = parts.pop(0)
        unit = parts.pop(0) if parts else ""
        texts.append((_kind(number, unit), f"{number} {unit}".strip()))
    values: dict[str, int] = {}
    for kind, text in texts:
        if kind in values:
            raise UsageError(f"two {kind}s were given; the second is {text!r}")
        values[kind] = quantities.parse(text, kind)
    if len(values) != 2:
        raise UsageError(
            "give exactly two of volume, rate and duration",
            next="doseloop infuse 2.5 mL 5 mL/h",
        )
    return values


def _kind(number: str, unit: str) -> str:
    text = f"{number} {unit}".strip()
    if "/" in unit:
        return "rate"
    for kind in ("volume", "duration"):
        try:
            quantities.parse(text, kind)
        except UsageError as error:
            if error.code != "E_UNIT":
                return kind  # the unit is of this kind, the number is wrong: say that
        else:
            return kind
    if unit.lower() in ("nl", "ul", "ml", "l"):
        return "volume"  # the grammar's own message names the right spelling
    if not unit or unit[0].isdigit():
        raise UsageError(
            f"{number!r} has no unit",
            code="E_UNIT",
            next="write a number, one space and a unit: 2.5 mL, 5 mL/h, 30 min",
        )
    raise UsageError(
        f"{text!r} is not a volume, a rate or a duration",
        code="E_UNIT",
        next="write a number, one space and a unit: 2.5 mL, 5 mL/h, 30 min",
    )


@contextmanager
def refined(port: str | None) -> Generator[None]:
    """Turn a rate too fine for the grammar into the pump's own refusal, where that is lower.

    1 nL/d is no whole number of aL/h; but the nearest that is would be refused as well.
    """
    try:
        yield
    except UsageError as error:
        if error.code != "E_NUMBER" or error.nearest is None or "/" not in error.nearest:
            raise
        from doseloop.information import read_config

        with open_pump(port) as pump:
            config = read_config(pump)
        least = 0 if config is None else int(config["limits"]["rate_min_al_per_h"])
        if quantities.parse(error.nearest, "rate") >= least:
            raise
        limit = quantities.show(least, "rate")
        raise Refused(
            "the rate is below what board and syringe allow",
            code="E_RATE_LOW",
            limit=limit,
            nearest=limit,
            next="raise the rate, or use a smaller syringe",
        ) from None


def base_units(values: dict[str, int]) -> dict[str, int]:
    """Return quantities under the names that `Pump` takes."""
    names = {"volume": "volume_al", "rate": "rate_al_per_h", "duration": "duration_ms"}
    return {names[kind]: value for kind, value in values.items()}
