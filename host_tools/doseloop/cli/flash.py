"""`doseloop flash`: put the firmware, or MicroPython itself, on a board."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from doseloop import boards, ports, resources
from doseloop.errors import UsageError
from doseloop.flash import build as building
from doseloop.flash import guard, uf2
from doseloop.flash.board import TIMEOUT_S, Board
from doseloop.flash.build import Build
from doseloop.flash.deploy import Deployed, VerifyError, deploy
from doseloop.flash.plan import check_target


@click.command()
@click.option("--port", help="the board's port [DOSELOOP_PORT, else the only board there is]")
@click.option("--board", help="check that this board file exists, and say how to push it")
@click.option("--dry-run", is_flag=True, help="compile and list what a blank board would get")
@click.option(
    "--uf2",
    "image",
    type=click.Path(path_type=Path, dir_okay=False),
    help="copy this MicroPython image to a board in BOOTSEL mode instead",
)
@click.option(
    "--volume",
    type=click.Path(path_type=Path, file_okay=False),
    help="where the BOOTSEL disk is mounted [found by itself]",
)
@click.option("--any-version", is_flag=True, help="take an image of another MicroPython version")
@click.option("--json", "as_json", is_flag=True, help="print the result as JSON")
def flash(
    port: str | None,
    board: str | None,
    dry_run: bool,
    image: Path | None,
    volume: Path | None,
    any_version: bool,
    as_json: bool,
) -> None:
    """Put the firmware on a board over USB: only what changed, switched in one step, verified.

    Refused while the pump works. A new board first needs MicroPython: --uf2 FILE.
    """
    if board is not None:
        boards.find_board(board)  # a wrong name or a bad file is told before anything is sent
    if image is not None:
        _flash_image(image, volume, any_version, dry_run, as_json)
        return
    if volume is not None or any_version:
        raise UsageError("--volume and --any-version belong to --uf2 FILE")
    build = building.build(resources.firmware_root())
    if dry_run:
        _show_build(build, as_json)
        return
    chosen = ports.choose(port)
    done = put(build, chosen)
    _show_deployed(build, done, chosen, board, as_json)


def put(build: Build, port: str) -> Deployed:
    """Make `build` run on the board at `port`, telling the steps on stderr. Raise DoseloopError.

    Returns when the board has restarted and reported the hash of `build`.
    """
    serial = guard.usb_serial(port)
    click.echo(f"asking the pump on {port} to step aside", err=True)
    if guard.release(port) is None:
        click.echo("no pump firmware answers; trying the MicroPython prompt", err=True)
    board = Board(port, TIMEOUT_S * guard.slowness(port))
    size = sum(len(a.data) for a in (*build.payload, *build.loader))
    try:
        with click.progressbar(length=size, label="sending", file=sys.stderr) as bar:
            done = deploy(build, board, check_target, lambda _, sent: bar.update(sent))
            bar.update(size)  # what the board had already
    finally:
        board.reset()  # whatever happened: it must not stay at its prompt
    reported = guard.await_hash(port, serial)
    if reported != build.hash:
        raise VerifyError(
            f"the board runs {reported or 'a firmware without hash'}, not {build.hash}",
            next="docs/deploy.md, section 'A board that does not answer'",
        )
    return done


def _show_build(build: Build, as_json: bool) -> None:
    files = (*build.payload, *build.loader)
    if as_json:
        click.echo(json.dumps(_summary(build)))
        return
    for artifact in files:
        click.echo(f"{len(artifact.data):7d}  {artifact.sha256[:12]}  {artifact.path}")
    click.echo(f"{sum(len(a.data) for a in files):7d}  bytes in {len(files)} files")
    click.echo(f"{build.mpy_bytes:7d}  bytes of .mpy")
    click.echo(f"firmware {build.version} for MicroPython {building.MICROPYTHON_VERSION}")
    click.echo(f"hash {build.hash}, folder /{build.folder}")


def _summary(build: Build) -> dict[str, Any]:
    files = (*build.payload, *build.loader)
    return {
        "firmware": build.version,
        "micropython": building.MICROPYTHON_VERSION,
        "hash": build.hash,
        "folder": build.folder,
        "mpy_bytes": build.mpy_bytes,
        "files": [{"path": a.path, "size": len(a.data), "sha256": a.sha256} for a in files],
    }


def _show_deployed(
    build: Build, done: Deployed, port: str, board: str | None, as_json: bool
) -> None:
    sent = [{"path": path, "size": len(a.data)} for a, path in done.plan.send]
    if as_json:
        click.echo(
            json.dumps({**_summary(build), "port": port, "changed": done.changed, "sent": sent})
        )
        return
    if done.changed:
        click.echo(
            f"firmware {build.version} ({build.hash[:12]}) runs on {port}: "
            f"{len(sent)} files sent ({done.plan.send_bytes} bytes), "
            f"{len(done.plan.copies)} taken over on the board"
        )
    else:
        click.echo(f"firmware {build.version} ({build.hash[:12]}) was already on {port}")
    if board is not None:
        click.echo(f"next: doseloop config push --board {board} --syringe NAME", err=True)


def _flash_image(
    file: Path, volume: Path | None, any_version: bool, dry_run: bool, as_json: bool
) -> None:
    image = uf2.read_image(file)
    if not any_version:
        uf2.check_version(image)
    if volume is not None and not uf2.is_bootsel(volume):
        raise UsageError(f"{volume} is not the disk of an RP2040 in BOOTSEL mode")
    if not dry_run:
        target = volume or uf2.find_bootsel()
        with click.progressbar(length=len(image.data), label="copying", file=sys.stderr) as bar:
            uf2.copy(image, target, lambda size: bar.update(size))
    if as_json:
        click.echo(
            json.dumps({"image": str(file), "micropython": image.version, "copied": not dry_run})
        )
    elif dry_run:
        click.echo(f"MicroPython {image.version}: {image.blocks} good blocks; nothing was copied")
    else:
        click.echo(f"MicroPython {image.version} copied; the board restarts. next: doseloop flash")
