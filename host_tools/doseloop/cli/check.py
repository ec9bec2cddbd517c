"""`doseloop check`: are these order, board and syringe files valid? Needs no pump."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import click

from doseloop import errors, quantities
from doseloop.boards import find_board, load_board
from doseloop.config import Compiled, compile_config
from doseloop.doses import Ordered
from doseloop.limits import check_fill, check_order, syringe_changes, total_volume
from doseloop.order import load_order, order_json_schema
from doseloop.syringes import find_syringe, load_syringes


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--board", help="Also check orders against this board's limits (name or file).")
@click.option("--syringe", help="Syringe for orders that name none.")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of order files.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for all files.")
def check(
    files: tuple[Path, ...], board: str | None, syringe: str | None, schema: bool, as_json: bool
) -> int:
    """Check FILES (orders, boards, syringe libraries) without a pump."""
    if schema:
        click.echo(json.dumps(order_json_schema(), indent=2))
        return errors.OK
    if not files:
        raise errors.UsageError("no file named", next="doseloop check FILE...")
    results = [_result(path, board, syringe) for path in files]
    if as_json:
        failed = [result["error"] for result, _, error in results if error is not None]
        first: dict[str, Any] = {"error": failed[0]} if failed else {}
        click.echo(
            json.dumps({"schema": 1, **first, "files": [result for result, _, _ in results]})
        )
    else:
        for result, doses, error in results:
            if error is None:
                click.echo(f"ok {result['file']}: {result['what']}")
                for dose in doses:
                    click.echo(f"  {dose.said}")
            else:
                # The file is in the message already; what went wrong is talk, not result.
                click.echo(error.as_text(), err=True)
    codes = [error.exit_code for _, _, error in results if error is not None]
    # An invalid file outweighs a valid order that this board can't run.
    return errors.USAGE if errors.USAGE in codes else max(codes, default=errors.OK)


command = check


def _result(
    path: Path, board: str | None, syringe: str | None
) -> tuple[dict[str, Any], tuple[Ordered, ...], errors.DoseloopError | None]:
    try:
        what, doses = _check(path, board, syringe)
    except errors.DoseloopError as error:
        return {"file": str(path), "ok": False, **error.as_json()}, (), error
    result: dict[str, Any] = {"file": str(path), "ok": True, "what": what}
    if doses:
        result["doses"] = [dose.as_json() for dose in doses]
    return result, doses, None


def _check(path: Path, board: str | None, syringe: str | None) -> tuple[str, tuple[Ordered, ...]]:
    """Return what the file is, in a few words, and the doses of an order.

    Raises `FileError`, `UsageError`, `Refused`.
    """
    kind = _kind(path)
    if kind == "syringes":
        return f"{len(load_syringes(path))} syringes", ()
    if kind == "board":
        return f"board, {load_board(path).title}", ()
    order = load_order(path)
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
    return said, order.doses


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
    return (
        "syringes" if "source" in keys and "step" not in keys and "name" not in keys else "order"
    )
