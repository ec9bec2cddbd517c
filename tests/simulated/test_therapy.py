"""What a run does beyond one rate: directions, empty syringes, pauses, ramps, KVO, link loss."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench import Bench, seal_order
from oracle import ML

from doseloop.errors import Refused


@pytest.fixture(scope="module")
def shared() -> Iterator[Bench]:
    # The mechanism of the reference board, and no force sensor: time passes twice as fast.
    with Bench(board="skr_pico") as it:
        yield it


@pytest.fixture
def bench(shared: Bench) -> Bench:
    """The shared pump, idle, with 40 mL loaded."""
    shared.pump.stop()
    shared.pump.load(40 * ML)
    return shared


def _infuse(volume: int, rate: int) -> dict[str, object]:
    return {"mode": "infuse", "volume_al": volume, "rate_al_per_h": rate}


def test_withdraw_takes_up_the_backlash_and_books_none_of_it(bench: Bench) -> None:
    pump, al = bench.pump, bench.al
    pump.load(20 * ML)
    before = bench.control("status")
    first = len(bench.edges())
    pump.withdraw(volume_al=200 * al, rate_al_per_h=3600 * al * 100)
    run = pump.start()
    bench.until_still()
    status = pump.status()
    after = bench.control("status")
    assert status.run is not None and status.run.witnessed_steps == 200
    assert after["position"] - before["position"] == -264  # 64 microsteps of backlash, then 200
    assert after["plunger"] - before["plunger"] == -200
    assert status.syringe.position_steps == -200
    assert status.syringe.remaining_nl == (20 * ML // al + 200) * al // 10**9
    takeups = [e for e in bench.events() if e["run"] == run and e["e"] == "takeup"]
    assert [e["steps"] for e in takeups] == [64]
    bench.judge_run(run, bench.edges()[first + 64 :])
    # and back again
    pump.infuse(volume_al=100 * al, rate_al_per_h=3600 * al * 100)
    pump.start()
    bench.until_still()
    assert bench.control("status")["plunger"] - after["plunger"] == 100


@pytest.mark.requirement("B7", "B9")
def test_an_order_larger_than_the_syringe_ends_exactly_after_a_change(bench: Bench) -> None:
    pump, al = bench.pump, bench.al
    plan = pump.order(seal_order([_infuse(70 * ML, 600 * ML)], fill_al=40 * ML))
    assert plan.syringe_changes == 1
    pump.start()
    bench.until_still()
    status = pump.status()
    assert status.state == "alarm" and next(a.code for a in status.alarms) == "A_EMPTY"
    assert status.run is not None and status.run.witnessed_steps == 40 * ML // al
    with pytest.raises(Refused) as refused:
        pump.resume()
    assert refused.value.code == "E_STATE"
    pump.load(50 * ML)
    assert pump.status().state == "paused"
    pump.resume()
    bench.until_still()
    status = pump.status()
    assert status.state == "idle" and status.run is not None
    assert status.run.witnessed_steps == status.run.ordered_steps == 70 * ML // al


@pytest.mark.requirement("B6")
def test_near_empty_warns_ten_minutes_before(bench: Bench) -> None:
    pump = bench.pump
    pump.order(seal_order([_infuse(10 * ML, 20 * ML)], fill_al=10 * ML))
    run = pump.start()
    bench.until_still()
    events = {e["e"]: e for e in bench.events() if e["run"] == run}
    before_end = events["end"]["ms"] - events["near_empty"]["ms"]
    assert 598_000 <= before_end <= 600_000


def test_an_ordered_pause_and_a_second_leg(bench: Bench) -> None:
    pump, al = bench.pump, bench.al
    steps = [_infuse(100 * al, 36000 * al), {"mode": "pause", "duration_ms": 3_600_000},
             _infuse(50 * al, 36000 * al)]  # fmt: skip
    first = len(bench.edges())
    pump.order(seal_order(steps, fill_al=40 * ML))
    run = pump.start()
    bench.advance(30_000_000)
    assert pump.status().state == "paused"
    assert 3_500_000 < (pump.status().run or pytest.fail("no run")).remaining_ms < 3_700_000
    bench.advance(3_700_000_000)
    edges = bench.edges()[first:]
    assert len(edges) == 150
    assert 3_600 <= (edges[100].ns - edges[99].ns) / 10**9 <= 3_600.2
    bench.judge_run(run, edges)


def test_a_fast_infusion_ramps_up_and_down(bench: Bench) -> None:
    pump, al = bench.pump, bench.al
    first = len(bench.edges())
    hz = 10_000
    pump.infuse(volume_al=60_000 * al, rate_al_per_h=3600 * al * hz)
    run = pump.start()
    bench.until_still()
    assert pump.status().state == "idle"
    edges = bench.edges()[first:]
    assert len(edges) == 60_000
    ramps = [e for e in bench.events() if e["run"] == run and e["e"] == "ramp"]
    up, down = ramps[0]["steps"], ramps[1]["steps"]
    assert up == down == 2475  # (10000^2 - 1000^2) / (2 * 20000)
    bench.judge_run(run, edges[up:-down])
    gaps = [(b.ns - a.ns) // 1000 for a, b in itertools.pairwise(edges)]
    assert min(gaps) == 100 and max(gaps[:up]) <= 1000 and max(gaps[-down:]) <= 1000
    # never more acceleration than declared, over any 50 steps: v2^2 - v1^2 <= 2 a s, and the
    # steps of one piece share an interval, which allows one piece's speed step beside it
    assert all(b <= a + 1 for a, b in zip(gaps[:up], gaps[50:up], strict=False))


@pytest.mark.parametrize("when_us", [60_000, 300_000, 1_000_000, 3_000_000])
def test_stopping_a_fast_infusion_ramps_down_and_counts_right(bench: Bench, when_us: int) -> None:
    pump, al = bench.pump, bench.al
    first = len(bench.edges())
    pump.infuse(volume_al=40_000 * al, rate_al_per_h=3600 * al * 12_000)
    pump.start()
    bench.advance(when_us)
    pump.pause()
    bench.advance(2_000_000)
    status = pump.status()
    assert status.state == "paused" and status.run is not None
    edges = bench.edges()[first:]
    assert status.run.commanded_steps == status.run.witnessed_steps == len(edges)
    gaps = [(b.ns - a.ns) // 1000 for a, b in itertools.pairwise(edges)]
    assert max(gaps[-3:]) >= 600  # it came down to about the pull-in rate
    # no step of the ramp down is faster than its predecessor by more than the rounding
    peak = gaps.index(min(gaps))
    assert all(b >= a - 2 for a, b in zip(gaps[peak:], gaps[peak + 1 :], strict=False))
    pump.resume()
    bench.until_still()
    assert len(bench.edges()) - first == 40_000


@pytest.mark.requirement("A10")
def test_kvo_follows_the_end_and_never_exceeds_the_set_rate(bench: Bench) -> None:
    pump, al = bench.pump, bench.al
    pump.order(seal_order([_infuse(200 * al, ML)], fill_al=ML, kvo_al_per_h=5 * ML))
    run = pump.start()
    bench.advance(200 * 700_000)
    status = pump.status()
    assert status.state == "kvo" and status.rate_al_per_h == ML
    end = next(e for e in bench.events() if e["run"] == run and e["e"] == "end")
    assert end["witnessed_steps"] == 200
    with pytest.raises(Refused):
        pump.pause()
    pump.stop()
    assert pump.status().state == "idle"
    count = len(bench.edges())
    bench.advance(60_000_000)
    assert len(bench.edges()) == count


def test_a_silent_host_stops_the_order_that_says_so(bench: Bench) -> None:
    pump = bench.pump
    order = seal_order([_infuse(ML, ML)], fill_al=ML, on_link_loss={"stop_ms": 60_000})
    pump.order(order)
    pump.start()
    bench.advance(59_000_000)
    assert pump.status().state == "infusing"  # and this was a sign of life
    bench.advance(62_000_000)
    status = pump.status()
    assert status.state == "alarm" and status.alarms[0].code == "A_LINK"
    pump.clear()
    assert pump.status().state == "paused"


def test_skipped_ticks_change_nothing(tmp_path: Path) -> None:
    """Ten minutes at 5 mL/h with a rate change: the same trace with every tick called."""
    traces = []
    for arguments in ((), ("--every-tick",)):
        with Bench(*arguments, board="skr_pico") as bench:
            bench.pump.load(50 * ML)
            bench.pump.infuse(rate_al_per_h=5 * ML, duration_ms=600_000)
            bench.pump.start()
            bench.advance(234_567_891)
            bench.pump.set_rate(3 * ML + 17)
            bench.advance(365_432_109)
            traces.append(bench.edges())
    assert traces[0] == traces[1] and len(traces[0]) > 2_000
