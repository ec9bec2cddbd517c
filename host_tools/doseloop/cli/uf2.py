"""`make uf2`: the pinned MicroPython image into the cache of the emulated board, with a bar.

Not a verb of `doseloop`: whoever only runs a pump needs no image.
"""

from __future__ import annotations

import sys
from typing import Any

import click

from doseloop.errors import DoseloopError
from doseloop.flash import fetch
from doseloop.sim.emulated import image


@click.command()
@click.option("--sha256", help="the hash you have compared with a second source")
@click.option("--server", default=fetch.SERVER, show_default=True, help="a mirror")
def uf2(sha256: str | None, server: str) -> None:
    """Download MicroPython for the Pico, check it, keep it for the emulated board."""
    target = image.cached()
    try:
        with click.progressbar(length=0, label=fetch.official_name(), file=sys.stderr) as bar:
            fetch.fetch(target, confirmed=sha256, server=server, progress=_mover(bar))
    except DoseloopError as error:
        click.echo(error.as_text(), err=True)
        sys.exit(error.exit_code)
    click.echo(target)


def _mover(bar: Any) -> fetch.Progress:
    def move(have: int, total: int | None) -> None:
        bar.length = total or have
        bar.update(have - bar.pos)

    return move


if __name__ == "__main__":
    uf2()
