"""A break on the serial line: the motor stands at once, nothing is lost, and a person goes on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from bench import Bench, seal_order
from oracle import ML


@pytest.fixture(params=[(), ("--every-tick",)], ids=["skipping", "every tick"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with Bench(*request.param) as it:
        it.pump.load(40 * ML)
        yield it


def test_by_hand(bench: Bench) -> None:
    # 250 steps/s, an edge every 4 ms: 1001 ms hold 250. The break comes then; the tick sees it
    # within a millisecond, before the next edge at 1004 ms.
    bench.infuse(1000, 250)
    bench.advance(1_001_000)
    bench.control("break")
    bench.advance(5_000_000)
    assert len(bench.edges()) == 250
    status = bench.pump.status()
    assert status.state == "paused" and not status.alarms
    assert status.run is not None and status.run.witnessed_steps == 250
    assert bench.names()[-3:] == ["break", "stretch_end", "pause"]
    bench.pump.resume()
    bench.until_still()
    judged = bench.judge_run(status.run.id, bench.edges())
    assert judged.worst_ticks == 0 and judged.edges == 1000


def test_above_the_pull_in_rate_it_runs_down_the_ramp(bench: Bench) -> None:
    bench.infuse(20_000, 3000)
    bench.advance(2_000_000)
    before = len(bench.edges())
    bench.control("break")
    bench.advance(5_000_000)
    status = bench.pump.status()
    assert status.state == "paused" and status.run is not None
    after = len(bench.edges()) - before
    assert 0 < after < 3000
    assert status.run.witnessed_steps == status.run.commanded_steps == len(bench.edges())
    bench.pump.resume()
    bench.until_still()
    assert len(bench.edges()) == 20_000


def test_it_ends_keeping_the_vein_open(bench: Bench) -> None:
    steps = [
        {"mode": "infuse", "volume_al": 100 * bench.al, "rate_al_per_h": 500 * 3600 * bench.al}
    ]
    bench.pump.order(seal_order(steps, fill_al=40 * ML, kvo_al_per_h=100 * 3600 * bench.al))
    bench.pump.start()
    bench.advance(2_000_000)
    assert bench.pump.status().state == "kvo"
    bench.control("break")
    bench.advance(1_000_000)
    assert bench.pump.status().state == "idle"


def test_one_from_before_start_or_resume_is_answered(bench: Bench) -> None:
    bench.control("break")
    bench.infuse(1000, 500)
    bench.advance(500_000)
    assert bench.pump.status().state == "infusing"
    bench.pump.pause()
    bench.control("break")
    bench.pump.resume()
    bench.until_still()
    assert bench.pump.status().state == "idle"
    assert len(bench.edges()) == 1000


def test_in_an_ordered_pause_it_holds_the_next_stretch(bench: Bench) -> None:
    step = {"mode": "infuse", "volume_al": 100 * bench.al, "rate_al_per_h": 500 * 3600 * bench.al}
    pause = {"mode": "pause", "duration_ms": 10_000}
    bench.pump.order(seal_order([step, pause, step], fill_al=40 * ML))
    bench.pump.start()
    bench.advance(2_000_000)
    bench.control("break")
    bench.advance(20_000_000)
    assert bench.pump.status().state == "paused"
    assert len(bench.edges()) == 100
    bench.pump.resume()
    bench.until_still()
    assert len(bench.edges()) == 200
