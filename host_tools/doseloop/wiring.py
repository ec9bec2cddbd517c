"""Write docs/wiring.md from the board files: `python -m doseloop.wiring` in a checkout.

A test holds the committed page equal to what this makes, so the page can't go stale.
"""

from __future__ import annotations

from pathlib import Path

from doseloop import quantities, resources
from doseloop.boards import Board, board_names, find_board

_HEAD = """# Wiring

Made from `boards/*.toml` by `python -m doseloop.wiring`: edit those files, not this page.

Switch the motor supply off before you touch a wire. Grounds of controller, driver, switches and
motor supply are joined. The stop button and the end switches are normally closed to ground, so
that a cut wire counts as pressed. The witness is a wire of its own from the driver's STEP pin:
it counts the steps that really arrive there, and without it nothing is delivered. The bolus button
is the patient's, in a patient-controlled run; without one, leave its pin open.
Laboratory equipment, not a medical device.
"""


def wiring_text() -> str:
    """Return the whole page."""
    return "\n".join([_HEAD, *(_board_text(find_board(name)) for name in board_names())])


def _board_text(board: Board) -> str:
    def length(nm: int) -> str:
        return quantities.show(nm, "length")

    step = f"{float(board.microstep_nm) / 1000:g} µm"
    lines = [
        f"## {board.title}",
        "",
        f"`--board {board.name}` · {board.driver.upper()} strapped to {board.microsteps} "
        f"microsteps · screw of {length(board.lead_nm)} · {step} a microstep · "
        f"at most {board.max_hz} steps/s",
        "",
        "| signal | GPIO | goes to | note |",
        "| --- | --- | --- | --- |",
    ]
    for pin in board.pins:
        lines.append(f"| {pin.signal} | {pin.gpio} | {pin.to} | {pin.note or ''} |")
    for gpio, use in board.reserved:
        lines.append(f"| – | {gpio} | taken on the board | {use} |")
    lines += ["", f"Source: {board.source}", ""]
    return "\n".join(lines)


def wiring_path() -> Path:
    """Return where the page lives in a checkout."""
    return resources.boards_root().parent / "docs" / "wiring.md"


def main() -> None:
    """Write the page."""
    wiring_path().write_text(wiring_text(), encoding="utf-8")


if __name__ == "__main__":
    main()
