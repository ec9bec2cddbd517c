"""Requirements shown on the whole simulated board, at its STEP and DIR pins."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from bench import Bench, seal_order
from oracle import ML

from doseloop import accuracy

HOUR_US = 3_600_000_000


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


@pytest.mark.requirement("A7")
@pytest.mark.parametrize(
    ("rate", "hours", "between"),
    [
        # P = 173530803503 aL * 3600 * 10^6 / rate: at 1 mL/h 624710.8926 ticks
        (ML, 1, {624_710, 624_711}),
        (ML // 10, 5, {6_247_108, 6_247_109}),
        # the least the board allows: 2^30 - 1 ticks, 17.9 min from step to step
        (581_807_357_439, 6, {1_073_741_822, 1_073_741_823}),
    ],
)
def test_slow_steps_are_even_to_the_tick(
    bench: Bench, rate: int, hours: int, between: set[int]
) -> None:
    before = len(bench.edges())
    bench.pump.infuse(rate_al_per_h=rate, duration_ms=hours * 3_600_000)
    bench.pump.start()
    bench.advance(hours * HOUR_US)
    bench.pump.stop()
    edges = bench.edges()[before:]
    gaps = {(b.ns - a.ns) // 1000 for a, b in itertools.pairwise(edges)}
    assert len(edges) >= 20 and gaps <= between


@pytest.mark.requirement("A18", "B3")
def test_a_status_shows_what_is_also_just_after_a_change() -> None:
    # 60, 120, 30 mL/h for 10 s each. Main looks once a second: a status must not wait for it.
    # Every tick is run, as on a board: its counts are a millisecond old at most.
    steps = [
        {"mode": "infuse", "rate_al_per_h": rate * ML, "duration_ms": 10_000}
        for rate in (60, 120, 30)
    ]
    with Bench("--every-tick", board="skr_pico") as bench:
        bench.pump.order(seal_order(steps, fill_al=40 * ML))
        bench.pump.start()
        step_ms = bench.al * 3600 / (30 * ML) * 1000
        at = 0
        for until in (50, 9_970, 10_030, 15_000, 19_980, 20_050, 29_900):
            bench.advance((until - at) * 1000)
            at = until
            status, made = bench.pump.status(), len(bench.edges())
            assert status.run is not None
            assert status.rate_al_per_h == (60, 120, 30)[at // 10_000] * ML
            assert status.run.step == at // 10_000 + 1
            assert made - 1 <= status.run.witnessed_steps <= made
            assert abs(status.run.remaining_ms - (30_000 - at)) <= 1 + 2 * step_ms


# Each of them once, under way at 60 mL/h; `stall` and `step_lost` make no other edges than asked.
FAULTS = ["tick_dead", "isr_exception", "main_hang", "stall", "step_lost 20", "end_switch front",
          "open_wire", "power cut", "host_deaf", "flash_fail"]  # fmt: skip


@pytest.mark.requirement("A14")
@pytest.mark.parametrize("fault", FAULTS)
def test_no_fault_turns_the_motor_back(fault: str) -> None:
    with Bench() as bench:
        bench.pump.load(40 * ML)
        bench.pump.infuse(volume_al=ML, rate_al_per_h=60 * ML)
        bench.pump.start()
        bench.advance(5_000_777)
        at = len(bench.edges())
        bench.control(fault if fault == "power cut" else f"fault {fault}")
        bench.advance(30_000_000)
        edges = bench.edges()
        assert len(edges) >= at > 400
        steps = {b.position - a.position for a, b in itertools.pairwise(edges)}
        assert steps == {1}


@pytest.mark.requirement("C1")
@pytest.mark.parametrize("least", [True, False])
def test_twenty_five_boluses_are_each_off_by_less_than_a_step(bench: Bench, least: bool) -> None:
    # The least is one step, 173.5 nL; the others are given at the highest rate the board has.
    al = bench.al
    volume = al if least else ML // 5
    rate = 600 * ML if least else 12_494 * ML
    bench.pump.load(50 * ML)
    for nth in range(25):
        before = len(bench.edges())
        bench.pump.bolus(volume_al=volume, rate_al_per_h=rate)
        bench.pump.start()
        bench.advance(3_000_000)
        status = bench.pump.status()
        made = len(bench.edges()) - before
        assert status.state == "idle" and status.run is not None
        assert made == status.run.witnessed_steps == volume // al, nth
        assert 0 <= volume - made * al < al


@pytest.mark.requirement("A4")
@pytest.mark.parametrize("rate", [ML, 5 * ML, 581_807_357_439])
def test_the_trumpet_of_the_step_stream_stays_within_its_bound(bench: Bench, rate: int) -> None:
    # Two hours; the second one is the trumpet's. The least rate makes a step in 17.9 min: of it,
    # four hours, so that windows hold a step or none.
    hours = 2 if rate >= ML else 4
    bench.pump.infuse(volume_al=30 * ML, rate_al_per_h=rate)
    before = len(bench.edges())
    bench.pump.start()
    bench.advance(hours * HOUR_US + 1_000_000)
    run = [event for event in bench.events() if event["e"] == "stretch"][-1]
    bench.pump.stop()
    edges = [edge.ns for edge in bench.edges()[before:]]
    # The stretch starts at t0, a whole number of ticks of the same clock as the trace.
    start = run["t0"] * 1000
    volumes = accuracy.samples_of_steps(edges, bench.al, start, hours * 120)
    for begun in (0, (hours - 1) * 120):  # the start-up too: a step stream has none
        for window in accuracy.trumpet(volumes[begun:], rate):
            bound = accuracy.step_bound(bench.al, rate, window.minutes)
            assert -bound <= window.least <= window.most <= bound
    whole = accuracy.step_bound(bench.al, rate, (hours - 1) * 60)
    assert abs(accuracy.error_a(volumes[-121:], rate, accuracy.SAMPLE_MS)) <= (
        whole if hours == 2 else accuracy.step_bound(bench.al, rate, 60)
    )
