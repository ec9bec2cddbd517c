"""The performance table: what it promises. The committed figures are judged, everywhere.

With an image some are measured again, on boards that other tests have booted: test_sides.py and
test_deployed.py, "measured again".
"""

from __future__ import annotations

import pytest
from emulated.perf import page
from emulated.perf.page import committed


def test_the_page_shows_the_committed_figures() -> None:
    text = page.PAGE.read_text()
    assert page.render(text, committed()) == text, "make docs"


@pytest.mark.requirement("A16")
def test_no_step_is_missed_at_any_rate_idle_or_loaded() -> None:
    steps = committed()["steps"]
    assert {(one["hz"], one["loaded"]) for one in steps} == {
        (hz, loaded) for hz in (1, 100, 1_000, 10_000, 100_000) for loaded in (False, True)
    }
    for one in steps:
        assert one["missed"] == one["extra"] == one["underruns"] == one["flags"] == 0, one
        assert one["witnessed"] == one["steps"], one
        assert one["worst_us"] <= 1, one


@pytest.mark.requirement("A16")
def test_interrupts_off_for_400_ms_cost_nothing_up_to_10_000_a_second() -> None:
    masked = committed()["masked"]
    assert 10_000 in [one["hz"] for one in masked]
    for one in masked:
        assert one["missed"] == one["underruns"] == 0 and one["worst_us"] <= 1, one


def test_the_board_is_ready_soon_and_has_memory_left() -> None:
    board = committed()["board"]
    assert board["heap_free"] >= 100_000
    assert board["ready_ms"] <= 2_000
    assert board["telemetry_dropped"] == 0


def test_the_tick_leaves_the_chip_to_main() -> None:
    (at_10_000,) = [one for one in committed()["tick"] if one["hz"] == 10_000]
    assert at_10_000["share_percent"] <= 10 and at_10_000["worst_us"] <= 100


def test_stops_come_in_time() -> None:
    stops = committed()["stops"]
    for asked in (*stops["break"], *stops["break_loaded"]):
        assert asked["latency_us"] <= 10_000, asked
    assert all(one["latency_us"] <= 1 for one in stops["stop_input"]), "five PIO cycles are 1 us"
    assert all(one["latency_us"] <= 2_000 for one in stops["end_switch"])
    assert all(one["latency_us"] <= 1_000_000 for one in stops["die"])
    assert all(one["cause"] == "watchdog" for one in stops["die"] + stops["hang"])
    assert all(one["edges_after_reset"] == 0 for one in stops["die"] + stops["hang"])
