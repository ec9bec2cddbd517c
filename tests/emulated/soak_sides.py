"""The longest of test_sides.py and test_deployed.py, and more cases: `make soak-emulated`."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("rp2040py", reason="no RP2040 emulator: pip install 'doseloop[emulated]'")

from emulated.perf.deployed import Infusing
from emulated.rig import Rig, in_fork, pairs
from emulated.test_deployed import (
    CONTROL,
    judge,
    pump,  # noqa: F401  # a fixture
    stormed,
)
from emulated.test_sides import (
    DEATH_MS,
    drive,
    exact,
    last_after_ms,
    reset_and_quiet,
    rig,  # noqa: F401  # a fixture
    starved,
    ticks_locked,
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


@pytest.mark.parametrize(
    ("state", "how"), [("paused", "soft"), ("alarm", "hard"), ("ready", "hard"), ("idle", "soft")]
)
def test_a_reset_in_the_other_states(rig: Rig, state: str, how: str) -> None:  # noqa: F811
    reset_and_quiet(rig, state, how)


def test_a_heap_that_stays_exhausted_ends_in_a_safe_stop(rig: Rig) -> None:  # noqa: F811
    starved(rig, True)


def test_the_tick_allocates_nothing_at_a_thousand_steps_a_second(rig: Rig) -> None:  # noqa: F811
    ticks_locked(rig, 1_000)


def test_a_host_that_does_not_read_disturbs_nothing(rig: Rig) -> None:  # noqa: F811
    def deaf(board: Rig) -> dict[str, Any]:
        board.run("telemetry(20)\nprepare(1000, 1000)")
        board.heard.clear()
        board.rising.clear()
        board.begin("go()")
        board.advance(100)
        board.chip.deafen(True)
        board.advance(800)
        before = len(board.rising)
        board.chip.deafen(False)
        board.until(b"result ", 2000)
        words = pairs(board.until(b"\r\n", 100))  # a packet holds 64 bytes, the line more
        return {"words": words, "edges": list(board.rising), "before": before}

    found = in_fork(deaf, rig)
    assert found["before"] > 800
    assert len(found["edges"]) == 1000 and exact(found["edges"], 1000)
    assert int(found["words"]["dropped"]) > 0, "it was deaf long enough to fill the queue"
    # Writing into a full USB buffer would have held main up for 500 ms at a time.
    assert int(found["words"]["longest_us"]) < 250_000


def test_a_long_storm_of_control_bytes_is_only_bytes(pump: Infusing) -> None:  # noqa: F811
    kinds = ((b"\x03", 60), (CONTROL, 400), (CONTROL + b"\r\n", 240))
    judge(in_fork(stormed, pump, kinds))
