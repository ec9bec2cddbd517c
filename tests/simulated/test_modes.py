"""The order book's modes on the whole simulated board, from the order file to the STEP pin."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from bench import Bench
from oracle import ML

from doseloop.errors import Refused
from doseloop.order import Order, load_order
from doseloop.results import Status

EXAMPLES = Path(__file__).parents[2] / "examples"
MINUTE = 60_000_000
HOUR = 60 * MINUTE


@pytest.fixture
def bench() -> Iterator[Bench]:
    with Bench() as it:
        yield it


@pytest.fixture
def plain() -> Iterator[Bench]:
    """Give a board without a force sensor: hours on it take half as long."""
    with Bench(board="pico_a4988") as it:
        yield it


def started(bench: Bench, name: str) -> Order:
    order = load_order(EXAMPLES / f"{name}.toml")
    assert order.syringe is not None
    bench.use_syringe(order.syringe)
    bench.pump.order(order.sealed)
    bench.pump.start()
    return order


def judged(bench: Bench, status: Status) -> int:
    """Return the edges of the run, each compared with t0 + floor(k P)."""
    assert status.run is not None
    found = bench.judge_run(status.run.id, bench.edges())
    assert found.worst_ticks == 0
    return found.edges


def test_nutrition_is_tapered_through_five_syringes(plain: Bench) -> None:
    started(plain, "parenteral_nutrition")
    loads = 0
    while True:
        plain.until_still()
        status = plain.pump.status()
        if status.state != "alarm":
            break
        assert [alarm.code for alarm in status.alarms if alarm.priority == "high"] == ["A_EMPTY"]
        loads += 1
        plain.pump.load(50 * ML)
        plain.pump.resume()
    assert (status.state, loads) == ("idle", 4)
    assert status.run is not None
    assert status.run.witnessed_steps == 225 * ML // plain.al == judged(plain, status)
    # Up for an hour, flat for ten, down for one.
    rates = [event["rate"] / ML for event in plain.events() if event["e"] == "stretch"]
    assert rates == sorted(rates[:30]) + rates[30:] and rates[-1] < 6


@pytest.mark.requirement("A10")
def test_cefazolin_comes_every_eight_hours_with_the_vein_kept_open(plain: Bench) -> None:
    started(plain, "cefazolin_every_8_h")
    seen: list[tuple[str, int]] = []
    for hour in (0.25, 1, 8.25, 9, 16.25):
        plain.advance(int(hour * HOUR) - sum(step for _, step in seen))
        status = plain.pump.status()
        seen.append((status.state, int(hour * HOUR) - sum(step for _, step in seen)))
        assert status.rate_al_per_h == {"infusing": 20 * ML, "kvo": ML // 2}[status.state]
    assert [state for state, _ in seen] == ["infusing", "kvo", "infusing", "kvo", "infusing"]
    plain.advance(HOUR)
    status = plain.pump.status()
    assert status.run is not None and status.state == "kvo"
    assert status.run.witnessed_steps == 30 * ML // plain.al
    plain.pump.stop()
    status = plain.pump.status()
    assert status.run is not None
    assert judged(plain, status) == 30 * ML // plain.al + status.run.kvo_steps


def test_an_injection(bench: Bench) -> None:
    started(bench, "intramuscular_bolus")
    assert bench.pump.status().state == "bolus"
    for _ in range(8):
        bench.advance(4_000_000)  # its order stops for a host that is silent for 5 s
        status = bench.pump.status()
    assert status.state == "idle" and status.run is not None
    # With ramps: 3 mL in 30 s are above the pull-in rate. Counted here, timed in test_therapy.py.
    assert len(bench.edges()) == status.run.witnessed_steps == 3 * ML // bench.al


def test_a_held_bolus_ends_when_nobody_holds_it(bench: Bench) -> None:
    pump = bench.pump
    pump.load(40 * ML)
    pump.bolus(volume_al=10 * ML, rate_al_per_h=360 * ML)
    for _ in range(4):
        pump.hold()
        bench.advance(200_000)
    assert pump.status().state == "bolus"
    bench.advance(105_000)  # 300 ms, and what the clock's whole milliseconds take and give
    assert pump.status().state == "idle"
    count = len(bench.edges())
    # 360 mL/h for 0.6 + 0.3 s is 0.09 mL
    assert abs(count - 9 * ML // 100 // bench.al) < 10
    bench.advance(MINUTE)
    assert len(bench.edges()) == count


@pytest.mark.requirement("C2")
def test_a_dose_on_top_of_an_infusion(bench: Bench) -> None:
    pump = bench.pump
    pump.load(40 * ML)
    pump.infuse(volume_al=6 * ML, rate_al_per_h=6 * ML)
    pump.start()
    bench.advance(10 * MINUTE)
    pump.bolus_now(ML, 60 * ML)
    bench.advance(30_000_000)
    assert pump.status().state == "bolus"
    bench.advance(HOUR)
    status = pump.status()
    assert status.state == "idle"
    assert judged(bench, status) == 7 * ML // bench.al


@pytest.mark.requirement("C10")
def test_morphine_on_demand_and_a_power_cut(bench: Bench) -> None:
    pump = bench.pump
    started(bench, "morphine_pca")
    assert pump.demand().given_now
    bench.advance(3 * MINUTE)
    found = pump.demand()
    assert not found.given_now and found.denied["lockout"] == 1
    for _ in range(40):
        bench.advance(MINUTE)
        pump.demand()
    found = pump.pca()
    assert found.given >= 7 and found.demands == 42
    assert found.used_nl[0] <= 10 * 10**6
    status = pump.status()
    bench.control("power cut")
    bench.advance(5_000_000)
    # A new boot: nothing moves by itself, and what was given is not forgotten.
    assert pump.status().state == "interrupted"
    after = pump.pca()
    assert (after.given, after.demands) == (found.given, found.demands)
    assert not pump.demand().given_now, "nothing is given before it goes on"
    pump.resume()
    assert not pump.demand().given_now, "the lockout goes on"
    bench.advance(9 * MINUTE)
    after = pump.demand()
    assert after.demands == found.demands + 3
    assert after.used_nl[0] <= 10 * 10**6
    # And so it is for a new order after it.
    pump.stop()
    started_again = load_order(EXAMPLES / "morphine_pca.toml")
    pump.order(started_again.sealed)
    pump.start()
    bench.advance(1_000_000)
    found = pump.demand()
    assert not found.given_now and found.demands == 1
    assert found.used_nl[0] >= 7 * 10**6
    assert status.run is not None and status.run.witnessed_steps > 7 * ML // bench.al


@pytest.mark.requirement("C11")
def test_a_limit_is_the_pumps_own(bench: Bench) -> None:
    pump = bench.pump
    started(bench, "morphine_pca")
    with pytest.raises(Refused) as caught:
        pump.bolus_now(15 * ML, 60 * ML)  # 10 mL in an hour
    assert caught.value.code == "E_LIMIT"
    assert pump.status().state == "infusing"
