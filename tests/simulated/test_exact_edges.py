"""Every edge of whole runs on the simulated board, against the fraction oracle."""

from __future__ import annotations

import random
from collections.abc import Iterator
from fractions import Fraction

import pytest
from bench import Bench, seal_order, steps_of
from oracle import ML, al_per_step

SYRINGES = ("bd-plastipak-50", "bd-plastipak-1", "bd-plastipak-10", "bd-plastipak-20")


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with Bench() as it:
        yield it


def test_a_case_worked_by_hand(bench: Bench) -> None:
    # Barrel 26.59 mm: pi/4 * 26.59^2 = 555.298571 mm^2. 2 mm of lead over 200 * 32 microsteps is
    # 0.3125 um a microstep: 555.298571 mm^2 * 0.3125 um = 0.173530803 uL.
    assert al_per_step("pico_tmc2209", "bd-plastipak-50") == 173_530_803_503
    bench.pump.load(40 * ML)
    before = len(bench.edges())
    # 0.0017353 mL at 5 mL/h: ten steps. P = 173530803503 * 3600 * 10^6 / (5 * 10^15)
    # = 124942.17852216 ticks; floor(k P) = 124942, 249884, 374826, 499768, 624710, 749653, ...
    plan = bench.pump.infuse(volume_al=1_735_400_000_000, rate_al_per_h=5 * ML)
    assert plan.ordered_steps == 10
    run = bench.pump.start()
    bench.until_still()
    edges = bench.edges()[before:]
    t0 = next(e for e in bench.events() if e["e"] == "stretch" and e["run"] == run)["t0"]
    due = [124942, 249884, 374826, 499768, 624710, 749653, 874595, 999537, 1124479, 1249421]
    assert [edge.ns // 1000 - t0 for edge in edges] == due
    assert [edge.position for edge in edges] == list(
        range(edges[0].position, 10 + edges[0].position)
    )


def _random_rate(rng: random.Random, al: int, low_hz: Fraction, high_hz: int) -> int:
    """A rate of a few significant digits, as people type, or any whole aL/h."""
    hz = float(low_hz) * (high_hz / float(low_hz)) ** rng.random()
    rate = int(hz * 3600 * al)
    digits = rng.choice((2, 3, 5, 99))
    shift = max(0, len(str(rate)) - digits)
    return max(1, rate // 10**shift) * 10**shift


@pytest.mark.requirement("A9")
@pytest.mark.parametrize("seed", range(12))
def test_random_titrations_and_rate_changes(bench: Bench, seed: int) -> None:
    rng = random.Random(seed)
    bench.use_syringe(rng.choice(SYRINGES))
    pump, al = bench.pump, bench.al
    capacity = {"1": 1, "10": 10, "20": 20, "50": 50}[bench.syringe.rsplit("-", 1)[1]] * ML
    pump.load(capacity)
    steps, volume = [], 0
    for _ in range(rng.randint(1, 6)):
        rate = _random_rate(rng, al, Fraction(1, 2), 900)
        part = rng.randint(1, 400) * al * rng.choice((1, 3)) + rng.randint(0, al)
        if volume + part > capacity:
            break
        volume += part
        if rng.random() < 0.5:
            steps.append({"mode": "infuse", "volume_al": part, "rate_al_per_h": rate})
        else:
            ms = max(1, part * 3_600_000 // rate)
            volume += rate * ms // 3_600_000 - part
            steps.append({"mode": "infuse", "rate_al_per_h": rate, "duration_ms": ms})
    before = len(bench.edges())
    plan = pump.order(seal_order(steps, fill_al=capacity))
    assert plan.ordered_steps == steps_of(volume, al)
    run = pump.start()
    for _ in range(rng.randint(0, 4)):
        bench.advance(rng.randint(1, 20_000_000))
        if pump.status().state != "infusing":
            break
        what = rng.random()
        if what < 0.5:
            pump.set_rate(_random_rate(rng, al, Fraction(1, 2), 900))
        else:
            pump.pause()
            bench.advance(rng.randint(0, 5_000_000))
            pump.resume()
    bench.until_still()
    status = pump.status()
    assert status.state == "idle" and status.run is not None
    assert status.run.ordered_steps == steps_of(volume, al)
    assert status.run.witnessed_steps == status.run.commanded_steps == status.run.ordered_steps
    edges = bench.edges()[before:]
    assert len(edges) == plan.ordered_steps
    bench.judge_run(run, edges)


def test_flow_is_continuous_over_a_titration(bench: Bench) -> None:
    """The n-th step overall comes when the integral of the ordered rate reaches n steps."""
    bench.use_syringe("bd-plastipak-50")
    al = bench.al
    rates = [5 * ML, 10 * ML, 7 * ML + 123, 40 * ML]
    steps = [{"mode": "infuse", "rate_al_per_h": r, "duration_ms": 61_003} for r in rates]
    before = len(bench.edges())
    bench.pump.order(seal_order(steps, fill_al=40 * ML))
    run = bench.pump.start()
    bench.until_still()
    edges = bench.edges()[before:]
    bench.judge_run(run, edges)
    start = next(e for e in bench.events() if e["e"] == "stretch" and e["run"] == run)["t0"]
    flowed, begin, n = Fraction(0), Fraction(start), 0
    for rate in rates:
        length = Fraction(61_003 * 1000)
        per_tick = Fraction(rate, 3600 * 10**6)
        while n < len(edges) and (n + 1) * al <= flowed + length * per_tick:
            due = begin + ((n + 1) * al - flowed) / per_tick
            # one tick for the floor, one for each boundary passed, whose start is a whole tick
            assert abs(edges[n].ns // 1000 - due) <= 1 + len(rates), n
            n += 1
        flowed += length * per_tick
        begin += length
    assert n == len(edges)


def test_stop_pause_and_lower_rate_flush_at_once(bench: Bench) -> None:
    bench.use_syringe("bd-plastipak-50")
    pump = bench.pump
    for act in (pump.pause, pump.stop):
        pump.load(40 * ML)
        pump.infuse(volume_al=ML, rate_al_per_h=600 * ML)  # 960 steps/s, below the pull-in rate
        pump.start()
        bench.advance(3_000_000)
        now = bench.control("status")["now_ns"]
        act()
        bench.advance(2_000_000)
        assert bench.edges()[-1].ns - now <= 10_000_000
        if pump.status().state == "paused":
            pump.stop()


@pytest.mark.requirement("A3")
def test_six_hours_of_the_whole_board() -> None:
    whole_board(6 * 3600)  # 72 hours: soak_edges.py


def whole_board(seconds: int) -> None:
    # The board without a force sensor: half the time. test_quiet.py and soak_quiet.py have one.
    with Bench(board="pico_a4988") as bench:
        bench.pump.load(50 * ML)
        # 0.5 mL/h: 36 mL in 72 h
        plan = bench.pump.infuse(rate_al_per_h=ML // 2, duration_ms=seconds * 1000)
        run = bench.pump.start()
        bench.advance((seconds + 60) * 10**6)
        status = bench.pump.status()
        assert status.state == "idle" and status.run is not None
        edges = bench.edges()
        assert len(edges) == plan.ordered_steps == seconds * ML // 7200 // bench.al
        assert status.run.witnessed_steps == status.run.commanded_steps == len(edges)
        bench.judge_run(run, edges)
