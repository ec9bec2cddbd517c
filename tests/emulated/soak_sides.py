"""The longest of test_sides.py: what only the watchdog ends. `make soak-emulated`."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("rp2040py", reason="no RP2040 emulator: pip install 'doseloop[emulated]'")

from emulated.rig import Rig, in_fork
from emulated.test_sides import (
    DEATH_MS,
    drive,
    exact,
    last_after_ms,
    rig,  # noqa: F401  # a fixture
)

pytestmark = [pytest.mark.soak, pytest.mark.timeout(7200)]


def by_the_watchdog(board: Rig) -> None:
    """Let the watchdog reset a dead board, and soon."""
    board.chip.hasten_watchdog(5)
    assert board.advance(20, lambda: board.chip.resets > 0)
    board.rising.clear()
    board.heard.clear()


def test_a_tick_longer_than_its_period_loses_the_lease_then_the_board_resets(rig: Rig) -> None:  # noqa: F811
    def overrun(board: Rig) -> dict[str, Any]:
        found = drive(board, 1000, 4000, "after(50, slow_tick)", 1450)
        by_the_watchdog(board)
        board.advance(20)
        return found | {"after": len(board.rising), "enabled": board.bench.enabled}

    found = in_fork(overrun, rig)
    # The lease was cut to 0.3 s here; the queue adds 0.8 s at most.
    assert last_after_ms(found) < 300 + DEATH_MS
    assert exact(found["edges"], 1000)
    assert found["after"] == 0 and not found["enabled"]


def test_main_hanging_is_reset_by_the_watchdog_and_nothing_resumes(rig: Rig) -> None:  # noqa: F811
    def hang(board: Rig) -> dict[str, Any]:
        drive(board, 1000, 4000, "hang(50)", 500)
        by_the_watchdog(board)
        board.advance(60)  # test_deployed.py sees such a board come up, with the cause
        return {"after": len(board.rising), "enabled": board.bench.enabled}

    found = in_fork(hang, rig)
    assert found["after"] == 0 and not found["enabled"], "nothing resumes"
