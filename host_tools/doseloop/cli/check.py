"""`doseloop check`: are these order, board and syringe files valid? Needs no pump."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from doseloop import errors, library_view, output, quantities
from doseloop.boards import find_board, load_board
from doseloop.config import Compiled, compile_config
from doseloop.doses import Ordered
from doseloop.library import load_library
from doseloop.library_check import Judged, judge
from doseloop.limits import check_fill, check_order, syringe_changes, total_volume
from doseloop.order import load_order, order_json_schema
from doseloop.syringes import find_syringe, load_syringes


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--board", help="Also check orders against this board's limits (name or file).")
@click.option("--syringe", help="Syringe for orders that name none.")
@click.option(
    "--library",
    type=click.Path(path_type=Path),
    help="Hold orders against this drug library.",
)
@click.option("--schema", is_flag=True, help="Print the JSON Schema of order files.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for all files.")
def check(
    files: tuple[Path, ...],
    board: str | None,
    syringe: str | None,
    library: Path | None,
    schema: bool,
    as_json: bool,
) -> int:
    """Check FILES (orders, boards, syringe and drug libraries) without a pump."""
    if schema:
        click.echo(json.dumps(order_json_schema(), indent=2))
        return errors.OK
    if not files:
        raise errors.UsageError("no file named", next="doseloop check FILE...")
    sealed = None if library is None else load_library(library).sealed
    results = [_result(path, board, syringe, sealed) for path in files]
    if as_json:
        failed = [found.result["error"] for found in results if found.error is not None]
        first: dict[str, Any] = {"error": failed[0]} if failed else {}
        click.echo(
            json.dumps({"schema": 1, **first, "files": [found.result for found in results]})
        )
    else:
        for found in results:
            _tell(found, sealed is not None)
    codes = [found.error.exit_code for found in results if found.error is not None]
    # An invalid file outweighs a valid order that this board can't run.
    return errors.USAGE if errors.USAGE in codes else max(codes, default=errors.OK)


command = check


@dataclass
class _Found:
    """What became of a file: `result` for `--json`; an order's doses, and what a library says."""

    result: dict[str, Any]
    order: bool = False
    doses: tuple[Ordered, ...] = ()
    judged: Judged | None = None
    error: errors.DoseloopError | None = None


def _tell(found: _Found, library: bool) -> None:
    if found.error is None:
        click.echo(f"ok {found.result['file']}: {found.result['what']}")
        for dose in found.doses:
            click.echo(f"  {dose.said}")
    else:
        # The file is in the message already; what went wrong is talk, not result.
        click.echo(found.error.as_text(), err=True)
    if found.order and library:
        judged = found.judged
        soft = [error.message for error in judged.soft] if judged else []
        rows = library_view.limits_rows(judged and judged.limits, soft)
        click.echo(output.table(rows, "  "), err=found.error is not None)


def _result(path: Path, board: str | None, syringe: str | None, library: str | None) -> _Found:
    found = _Found({"file": str(path), "ok": True})
    try:
        found.result["what"] = _check(found, path, board, syringe, library)
    except errors.DoseloopError as error:
        found.error = error
        found.result |= {"ok": False, **error.as_json()}
    if found.doses and found.error is None:
        found.result["doses"] = [dose.as_json() for dose in found.doses]
    if found.judged is not None:
        found.result["library"] = found.judged.as_json()
    return found


def _check(
    found: _Found, path: Path, board: str | None, syringe: str | None, library: str | None
) -> str:
    """Return what the file is, in a few words; put the rest into `found`.

    Raises `FileError`, `UsageError`, `Refused`.
    """
    kind = _kind(path)
    if kind == "syringes":
        return f"{len(load_syringes(path))} syringes"
    if kind == "board":
        return f"board, {load_board(path).title}"
    if kind == "library":
        return f"drug library, {len(load_library(path).entries)} entries"
    order = load_order(path)
    found.order, found.doses = True, order.doses
    model = order.syringe or syringe
    changes = 0
    if model is not None:
        capacity_al = find_syringe(model).capacity_al
        check_fill(order, capacity_al, model, path)
        changes = syringe_changes(order, capacity_al)
    said = f"order, {len(order.steps)} steps, infuses " + quantities.show(
        int(total_volume(order)), "volume"
    )
    if board is not None:
        if model is None:
            raise errors.UsageError(f"{path}: names no syringe", next="add --syringe MODEL")
        check_order(order, _compiled(board, model).data)
        said += f", fits {board} with {model}"
    if changes:
        said += f"; {changes} syringe change(s): it stops at empty and waits"
    if library is not None:
        found.judged = judge(library, order)
        if found.judged is not None:
            found.judged.raise_first(str(path))
    return said


def _compiled(board: str, model: str) -> Compiled:
    return compile_config(find_board(board), find_syringe(model))


def _kind(path: Path) -> str:
    """Guess what a file wants to be from its tables; what is unclear is read as an order."""
    try:
        keys = tomllib.loads(path.read_text(encoding="utf-8")).keys()
    except (OSError, ValueError):
        return "order"  # its loader says what is wrong
    if "pins" in keys or "mechanism" in keys:
        return "board"
    if "entry" in keys or "area" in keys:
        return "library"
    return (
        "syringes" if "source" in keys and "step" not in keys and "name" not in keys else "order"
    )
