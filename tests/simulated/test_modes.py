"""The order book's modes on the whole simulated board, from the order file to the STEP pin."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import oracle
import pytest
from bench import Bench, coarse_board
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
def coarse(tmp_path: Path) -> Iterator[Bench]:
    with Bench(board=coarse_board(tmp_path)) as it:
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


def test_nutrition_is_tapered_through_five_syringes(coarse: Bench) -> None:
    started(coarse, "parenteral_nutrition")
    loads = 0
    while True:
        coarse.until_still()
        status = coarse.pump.status()
        if status.state != "alarm":
            break
        assert [alarm.code for alarm in status.alarms if alarm.priority == "high"] == ["A_EMPTY"]
        loads += 1
        coarse.pump.load(50 * ML)
        coarse.pump.resume()
    assert (status.state, loads) == ("idle", 4)
    assert status.run is not None
    assert status.run.witnessed_steps == 225 * ML // coarse.al == judged(coarse, status)
    # Up for an hour, flat for ten, down for one.
    rates = [event["rate"] / ML for event in coarse.events() if event["e"] == "stretch"]
    assert rates == sorted(rates[:30]) + rates[30:] and rates[-1] < 6


@pytest.mark.requirement("A10")
def test_cefazolin_comes_every_eight_hours_with_the_vein_kept_open(coarse: Bench) -> None:
    started(coarse, "cefazolin_every_8_h")
    seen: list[tuple[str, int]] = []
    for hour in (0.25, 1, 8.25, 9, 16.25):
        coarse.advance(int(hour * HOUR) - sum(step for _, step in seen))
        status = coarse.pump.status()
        seen.append((status.state, int(hour * HOUR) - sum(step for _, step in seen)))
        assert status.rate_al_per_h == {"infusing": 20 * ML, "kvo": ML // 2}[status.state]
    assert [state for state, _ in seen] == ["infusing", "kvo", "infusing", "kvo", "infusing"]
    coarse.advance(HOUR)
    status = coarse.pump.status()
    assert status.run is not None and status.state == "kvo"
    assert status.run.witnessed_steps == 30 * ML // coarse.al
    coarse.pump.stop()
    status = coarse.pump.status()
    assert status.run is not None
    assert judged(coarse, status) == 30 * ML // coarse.al + status.run.kvo_steps


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


@pytest.mark.requirement("D14")
def test_priming_takes_two_actions_ends_by_itself_and_counts_as_nothing(bench: Bench) -> None:
    pump = bench.pump
    pump.load(40 * ML)
    bench.infuse(50, 100)
    bench.until_still()
    delivered = pump.status().run
    assert delivered is not None
    pump.prime(volume_al=2 * ML, rate_al_per_h=360 * ML)
    bench.advance(10_000_000)
    assert len(bench.edges()) == 50, "planned, and nobody holds it"
    with pytest.raises(Refused, match="while it is held"):
        pump.start()
    for _ in range(4):
        pump.hold()
        bench.advance(200_000)
        assert pump.status().state == "priming"
    with pytest.raises(Refused):
        pump.pause()
    bench.advance(105_000)  # 300 ms, and what the clock's whole milliseconds take and give
    status = pump.status()
    primed = len(bench.edges()) - 50
    assert status.state == "idle" and status.run is not None
    assert (status.run.witnessed_steps, status.run.delivered_nl) == (primed, 0)
    assert status.run.primed_nl == primed * bench.al // 10**9 > 80_000
    ends = [event for event in bench.events() if event["e"] in ("end", "stop")]
    assert [end["delivered_nl"] for end in ends] == [delivered.delivered_nl, 0]
    # The syringe has lost it all the same, and the next run begins where it stands.
    assert status.syringe is not None
    assert status.syringe.position_steps == 50 + primed
    with pytest.raises(Refused):
        pump.resume()


@pytest.mark.requirement("D14")
def test_a_held_prime_ends_with_its_volume_and_an_alarm_ends_it_for_good(bench: Bench) -> None:
    pump = bench.pump
    pump.load(40 * ML)
    for cut in (False, True):
        pump.prime(volume_al=400 * bench.al, rate_al_per_h=400 * 3600 * bench.al)
        for beat in range(8):
            if pump.status().state in ("ready", "priming"):
                pump.hold()
            if cut and beat == 2:
                bench.control("press stop")
            bench.advance(200_000)
        if not cut:
            assert (pump.status().state, len(bench.edges())) == ("idle", 400)
    assert pump.status().state == "alarm"
    pump.clear()
    assert pump.status().state == "idle"


def test_prime_on_the_command_line(sim, cli, tmp_path: Path) -> None:
    pump = sim("--board", "pico_tmc2209", held=False, speed="1")
    cli("load", "40 mL", "--port", pump.port)
    done = cli("prime", "100 uL", "360 mL/h", "--yes", "--json", "--port", pump.port)  # 1 s
    assert done.code == 0, done.err
    steps = 100 * ML // 1000 // oracle.al_per_step("pico_tmc2209", "bd-plastipak-50")
    assert done.json["state"] == "idle"
    primed = steps * oracle.al_per_step("pico_tmc2209", "bd-plastipak-50") // 10**9
    assert done.json["primed_nl"] == primed
    (run,) = cli("logs", "--runs", "--json").json["runs"]
    assert (run["delivered_nl"], run["witnessed_steps"]) == (0, steps)
    assert cli("report", run["run"], "-o", "page.html").code == 0
    assert "primed, not delivered" in (tmp_path / "page.html").read_text(encoding="utf-8")


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
