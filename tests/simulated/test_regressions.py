"""Runs that once went wrong, found by review; each ended in a wrong dose or a silent alarm."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from bench import Bench, seal_order
from oracle import ML

from doseloop.errors import Refused


@pytest.fixture(params=[(), ("--every-tick",)], ids=["skipping", "every tick"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with Bench(*request.param) as it:
        it.pump.load(40 * ML)
        yield it


@pytest.mark.requirement("A15")
def test_losses_add_up_over_pauses(bench: Bench) -> None:
    """Six steps lost before and six after a pause are twelve."""
    pump, al = bench.pump, bench.al
    pump.infuse(volume_al=2000 * al, rate_al_per_h=100 * 3600 * al)
    pump.start()
    for _ in range(2):
        bench.advance(1_000_777)
        bench.control("fault step_lost 6")
        bench.advance(1_000_777)
        if pump.status().state != "infusing":
            break
        pump.pause()
        pump.resume()
    status = pump.status()
    assert status.state == "alarm" and status.alarms[0].code == "A_DRIFT"


@pytest.mark.parametrize("act", ["pause", "set_rate", "stop"])
def test_a_request_does_not_swallow_a_latched_stop(bench: Bench, act: str) -> None:
    pump, al = bench.pump, bench.al
    pump.infuse(volume_al=20_000 * al, rate_al_per_h=100 * 3600 * al)
    pump.start()
    bench.advance(5_003_777)
    bench.control("fault open_wire")
    bench.control("clear open_wire")  # shut again before main looked: the PIO has latched
    getattr(pump, act)(*([200 * 3600 * al] if act == "set_rate" else []))
    count = len(bench.edges())
    bench.advance(3_000_000)
    assert len(bench.edges()) == count
    assert pump.status().alarms[0].code == "A_STOP_INPUT"


@pytest.mark.parametrize(
    ("fast", "slow", "many", "few"), [(3000, 500, 100, 20), (400, 100, 80, 20)]
)
def test_fifty_short_stretches_do_not_starve(
    bench: Bench, fast: int, slow: int, many: int, few: int
) -> None:
    al = bench.al
    steps = [
        {"mode": "infuse", "volume_al": n * al, "rate_al_per_h": hz * 3600 * al}
        for _ in range(25)
        for hz, n in ((fast, many), (slow, few))
    ]
    bench.pump.order(seal_order(steps, fill_al=40 * ML))
    bench.pump.start()
    bench.until_still()
    status = bench.pump.status()
    assert status.state == "idle" and status.run is not None
    assert status.run.witnessed_steps == 25 * (many + few) == len(bench.edges())


def test_a_stop_in_the_ramp_down_never_passes_the_order(bench: Bench) -> None:
    pump, al = bench.pump, bench.al
    for when in range(560_000, 800_000, 12_007):
        pump.load(25 * ML)
        before = len(bench.edges())
        pump.infuse(volume_al=2000 * al, rate_al_per_h=3000 * 3600 * al)
        pump.start()
        bench.advance(when)
        pump.stop()
        bench.advance(1_500_000)
        status = pump.status()
        made = len(bench.edges()) - before
        assert status.state == "idle" and status.run is not None
        assert status.run.commanded_steps == status.run.witnessed_steps == made <= 2000


def test_a_pause_on_the_very_edge_counts_it_once(bench: Bench) -> None:
    pump, al = bench.pump, bench.al
    pump.infuse(volume_al=1000 * al, rate_al_per_h=100 * 3600 * al)
    pump.start()
    for _ in range(3):
        bench.advance(1_000_000)
        pump.pause()
        pump.resume()
    bench.until_still()
    assert len(bench.edges()) == 1000


def test_an_interrupted_ordered_pause_goes_on_where_it_was(bench: Bench) -> None:
    pump, al = bench.pump, bench.al
    steps = [
        {"mode": "pause", "duration_ms": 600_000},
        {"mode": "infuse", "volume_al": 10 * al, "rate_al_per_h": 3600 * al * 10},
    ]
    pump.order(seal_order(steps, fill_al=40 * ML))
    pump.start()
    bench.advance(590_000_000)
    pump.pause()
    bench.advance(60_000_000)
    pump.resume()
    bench.advance(9_000_000)
    assert not bench.edges()
    bench.advance(3_000_000)
    assert len(bench.edges()) == 10


@pytest.mark.requirement("B9")
def test_what_was_loaded_can_be_ordered(bench: Bench) -> None:
    bench.pump.load(ML)
    bench.pump.infuse(volume_al=ML, rate_al_per_h=100 * ML)
    with pytest.raises(Refused) as refused:
        bench.pump.infuse(volume_al=ML + bench.al, rate_al_per_h=100 * ML)
    assert refused.value.code == "E_VOLUME"


def test_each_way_keeps_its_own_fraction_of_a_step(bench: Bench) -> None:
    al, rate = bench.al, bench.al * 3600 // 20  # a step in 20 s
    steps = [{"mode": mode, "volume_al": part * al // 10, "rate_al_per_h": rate}
             for mode, part in (("infuse", 56), ("withdraw", 53), ("infuse", 56))]  # fmt: skip
    bench.pump.order(seal_order(steps, fill_al=40 * ML))
    run = bench.pump.start()
    bench.until_still()
    stretches = [e for e in bench.events() if e["run"] == run and e["e"] == "stretch"]
    assert [e["steps"] for e in stretches] == [5, 5, 6]
    # the withdrawal begins with nothing; the second infusion with 0.6 of a step from the first
    assert stretches[1]["t0"] >= stretches[1]["ms"] * 1000 - 2000
    assert abs(stretches[2]["t0"] + 12_000_000 - stretches[2]["ms"] * 1000) < 3000


def test_a_stop_after_a_fault_before_any_run_is_answered(bench: Bench) -> None:
    pump = bench.pump
    order = seal_order([{"mode": "infuse", "volume_al": ML, "rate_al_per_h": ML}], fill_al=ML)
    pump.order(order)
    bench.control("fault open_wire")
    with pytest.raises(Refused):
        pump.start()
    pump.stop()
    assert pump.status().state == "idle"


def test_the_clock_outlives_a_long_silence(bench: Bench) -> None:
    """An idle pump that nobody talks to still counts the wraps of its microsecond counter."""
    before = bench.pump.status().device_ms
    for _ in range(4):
        bench.advance(700_000_000)
    assert abs(bench.pump.status().device_ms - before - 2_800_000) < 100
