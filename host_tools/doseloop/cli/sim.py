"""`doseloop sim`: serve a simulated pump until SIGTERM or Ctrl-C."""

from __future__ import annotations

import re
import signal
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Protocol

import click

from doseloop.errors import FileError, UsageError

_DEFAULT_BOARD = "pico_tmc2209"
_DEFAULT_SYRINGE = "bd-plastipak-50"
_NOT_YET = "not in this release"


def speed(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """Check `--speed`: `max`, or a factor above zero. A Click callback."""
    if value == "max" or (re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", value) and float(value) > 0):
        return value
    raise click.BadParameter("write max, or a number above 0 such as 1 or 60")


@click.command()
@click.option("--link", type=click.Path(path_type=Path), help="make PATH a symlink to the port")
@click.option("--board", help=f"board file by name [{_DEFAULT_BOARD}, unless --state]")
@click.option("--syringe", help=f"syringe by name [{_DEFAULT_SYRINGE}, unless --state]")
@click.option("--speed", default="1", show_default=True, callback=speed, help="N or max")
@click.option("--control", type=click.Path(path_type=Path), help="Unix socket for commands")
@click.option(
    "--state", type=click.Path(path_type=Path, file_okay=False), help="keep its flash in DIR"
)
@click.option("--trace", type=click.Path(path_type=Path, dir_okay=False), help="log STEP edges")
@click.option("--fault", "faults", multiple=True, metavar="NAME@SECONDS[:VALUE]")
@click.option("--hold", is_flag=True, help="start with the clock held; --control moves it")
@click.option("--every-tick", is_flag=True, help="call the tick every ms, due or not: slow")
@click.option("--dialect", default="native", help="native, in this release")
@click.option("--address", type=int, help=_NOT_YET)
@click.option("--emulated", is_flag=True, help="MicroPython's own image in an RP2040 emulator")
@click.option("--uf2", type=click.Path(path_type=Path), help="that image [DOSELOOP_UF2]")
@click.option("--blank", is_flag=True, help="--emulated without firmware, until it is flashed")
@click.option("--linger", type=float, hidden=True, help="end after so many seconds alone")
def sim(
    link: Path | None,
    board: str | None,
    syringe: str | None,
    speed: str,
    control: Path | None,
    state: Path | None,
    trace: Path | None,
    faults: tuple[str, ...],
    hold: bool,
    every_tick: bool,
    dialect: str,
    address: int | None,
    emulated: bool,
    uf2: Path | None,
    blank: bool,
    linger: float | None,
) -> None:
    """Serve the firmware on a pseudo-terminal; the first line printed is the port's path."""
    if dialect != "native":
        raise UsageError(f"--dialect {dialect}: {_NOT_YET}", next="use --dialect native")
    if address is not None:
        raise UsageError(f"--address: {_NOT_YET}", next="leave it out")
    if emulated:
        given = {
            "--speed": speed != "1",
            "--every-tick": every_tick,
        }
        _emulate(
            given, link, board, syringe, state, trace, uf2, linger, blank, control, faults, hold
        )
        return
    if uf2 is not None or blank:
        raise UsageError(f"{'--blank' if blank else '--uf2'} belongs to --emulated")
    try:
        from doseloop.sim import faults as fault_names
        from doseloop.sim.launcher import Launcher
        from doseloop.sim.world import Options
    except ImportError as error:  # fcntl and termios
        raise UsageError("the simulated board needs Linux or macOS") from error

    parsed = tuple(fault_names.parse(text) for text in faults)
    board, syringe = _chosen(board, syringe, state)
    if trace is not None:
        _make_room(trace)
    launcher = Launcher(
        Options(
            speed=speed,
            state=state,
            trace=trace,
            config=_compiled(board, syringe),
            serial=_serial(state),
            faults=parsed,
            hold=hold,
            dense=every_tick,
        ),
        link=link,
        control_path=control,
        board=board,
        syringe=syringe,
        linger_s=linger,
    )
    with _until_stopped(launcher):
        click.echo(launcher.port.path)
        launcher.serve()


def _emulate(
    given: dict[str, bool],
    link: Path | None,
    board: str | None,
    syringe: str | None,
    state: Path | None,
    trace: Path | None,
    uf2: Path | None,
    linger: float | None,
    blank: bool,
    control: Path | None,
    faults: tuple[str, ...],
    hold: bool,
) -> None:
    for flag, used in given.items():
        if used:
            raise UsageError(
                f"{flag}: the emulated board can't do that", next="leave out --emulated, or it"
            )
    board, syringe = _chosen(board, syringe, state)
    try:
        from doseloop.sim import faults as fault_names
        from doseloop.sim.emulated.faults import check
        from doseloop.sim.emulated.server import Server
    except ImportError as error:  # rp2040py; fcntl and termios
        raise UsageError(
            f"the emulated board needs Linux or macOS, and the RP2040 emulator: {error}",
            next="pip install 'doseloop[emulated]'",
        ) from error

    parsed = tuple(check(fault_names.parse(text)) for text in faults)
    if trace is not None:
        _make_room(trace)
    server = Server(
        uf2=uf2,
        config=_compiled(board, syringe),
        default=_compile(_DEFAULT_BOARD, _DEFAULT_SYRINGE),
        state=state,
        trace=trace,
        link=link,
        linger_s=linger,
        blank=blank,
        control=control,
        faults=parsed,
        hold=hold,
    )
    with _until_stopped(server):
        ready_ms = server.boot()
        if ready_ms is not None:
            click.echo(server.port.path)
            click.echo(f"ready after {ready_ms} ms of the board's own time", err=True)
            server.serve()


class _Board(Protocol):
    def stop(self, signum: int = 0, frame: FrameType | None = None) -> None: ...
    def close(self) -> None: ...


@contextmanager
def _until_stopped(board: _Board) -> Generator[None]:
    """Let SIGTERM, SIGINT and SIGHUP stop a served board; close it in any case."""
    try:
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(signum, board.stop)
        yield
    finally:
        board.close()


def _chosen(
    board: str | None, syringe: str | None, state: Path | None
) -> tuple[str | None, str | None]:
    # With a state the configuration on its flash stays, unless both are named.
    if state is None:
        return board or _DEFAULT_BOARD, syringe or _DEFAULT_SYRINGE
    if (board is None) != (syringe is None):
        raise UsageError("--board and --syringe go together")
    return board, syringe


def _make_room(trace: Path) -> None:
    try:
        trace.parent.mkdir(parents=True, exist_ok=True)
        trace.touch()
    except OSError as error:
        raise FileError(f"cannot write the trace {trace}: {error.strerror}") from error


def _compiled(board: str | None, syringe: str | None) -> str | None:
    return None if board is None or syringe is None else _compile(board, syringe)


def _compile(board: str, syringe: str) -> str:
    from doseloop.boards import find_board
    from doseloop.config import compile_config
    from doseloop.syringes import find_syringe

    return compile_config(find_board(board), find_syringe(syringe)).sealed


def _serial(state: Path | None) -> str:
    # Throw-away pumps get a new number each, so that records of two never mix.
    import secrets

    if state is None:
        return secrets.token_hex(8)
    state.mkdir(parents=True, exist_ok=True)
    kept = state / "serial.txt"
    if not kept.exists():
        kept.write_text(secrets.token_hex(8) + "\n", encoding="ascii")
    return kept.read_text(encoding="ascii").strip()
