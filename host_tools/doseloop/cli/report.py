"""`doseloop report`: one run as one self-contained HTML page."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("run_id", metavar="[RUN]", required=False)
@click.option(
    "-o",
    "--output",
    "target",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="the file to write",
)
@click.option("--trace", type=click.Path(path_type=Path, dir_okay=False), help="STEP edges of it")
def report(run_id: str | None, target: Path, trace: Path | None) -> None:
    """Write RUN (the pump's id, or a number of `logs --runs`; else the newest) to a page."""
    from doseloop.report import page

    page.write(run_id, None, target, trace)
    click.echo(str(target))
