"""A chip that resets in the middle of a run: it stands, says what was delivered, and goes on only
when a person says so. Counted in edges of the trace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from bench import Bench, seal_order
from oracle import ML

from doseloop import DoseloopError


@pytest.fixture
def bench() -> Iterator[Bench]:
    with Bench() as it:
        it.pump.load(40 * ML)
        yield it


def cut_the_power(bench: Bench) -> None:
    bench.control("power cut")
    bench.advance(10_000)


def hang(bench: Bench) -> None:
    # Main is gone: the lease ends the motion, the watchdog resets the chip.
    bench.control("fault main_hang")
    bench.advance(20_000_000)


@pytest.mark.requirement("B8", "F10")
def test_a_watchdog_reset_knows_each_step(bench: Bench) -> None:
    bench.infuse(5000, 250)
    bench.advance(2_000_000)
    hang(bench)
    made = len(bench.edges())
    assert 500 < made < 5000
    status = bench.pump.catch_up()
    assert status.state == "interrupted" and status.run is not None
    assert status.run.witnessed_steps == status.run.commanded_steps == made
    assert status.syringe.position_steps == made
    assert [alarm.code for alarm in status.alarms] == ["A_RESET"]
    event = next(e for e in bench.events() if e["e"] == "interrupted")
    assert event["witnessed_steps"] == made and event["uncertain_steps"] == 0
    bench.advance(3_600_000_000)
    assert len(bench.edges()) == made, "nothing moves by itself"
    bench.pump.resume()
    bench.until_still()
    assert len(bench.edges()) == 5000
    status = bench.pump.status()
    assert status.state == "idle" and status.run is not None and not status.alarms
    assert status.run.witnessed_steps == 5000


@pytest.mark.requirement("B8")
def test_a_power_cut_says_what_it_does_not_know(bench: Bench) -> None:
    bench.infuse(5000, 250)
    bench.advance(2_500_000)
    cut_the_power(bench)
    made = len(bench.edges())
    run = bench.pump.catch_up().run
    assert run is not None
    event = next(e for e in bench.events() if e["e"] == "interrupted")
    assert run.witnessed_steps <= made <= run.witnessed_steps + event["uncertain_steps"]
    assert event["uncertain_steps"] == 551
    bench.pump.stop()
    assert bench.names()[-2:] == ["clear", "stop"]
    end = bench.events()[-1]
    assert end["witnessed_steps"] == run.witnessed_steps
    cut_the_power(bench)
    assert bench.pump.catch_up().state == "idle"


def test_while_it_is_interrupted_nothing_else_begins(bench: Bench) -> None:
    bench.infuse(5000, 250)
    bench.advance(1_000_000)
    cut_the_power(bench)
    bench.pump.catch_up()
    with pytest.raises(DoseloopError) as caught:
        bench.infuse(100, 100)
    assert caught.value.code == "E_STATE"


@pytest.mark.parametrize("reset", [cut_the_power, hang])
def test_a_schedule_of_intermittent_doses_through_resets(bench: Bench, reset) -> None:
    # Five doses of 1000 steps at 100/s, one every half hour, between them KVO of a step every 5 s.
    step = {
        "mode": "intermittent", "volume_al": 1000 * bench.al, "rate_al_per_h": 360_000 * bench.al,
        "every_ms": 1_800_000, "count": 5,
    }  # fmt: skip
    bench.pump.order(seal_order([step], kvo_al_per_h=720 * bench.al))
    bench.pump.start()
    uncertain = 0
    for quarters in (2, 1, 1, 2):
        bench.advance(quarters * 900_000_000 + 3_000_000)
        reset(bench)
        status = bench.pump.catch_up()
        assert status.state == "interrupted" and status.run is not None
        event = [e for e in bench.events() if e["e"] == "interrupted"][-1]
        uncertain = event["uncertain_steps"]
        bench.pump.resume()
    bench.advance(7 * 900_000_000)
    assert bench.pump.status().state == "kvo", "the order is done"
    bench.pump.stop()
    run = bench.pump.status().run
    assert run is not None and run.witnessed_steps == run.commanded_steps == 5000
    made = len(bench.edges())
    kept = run.witnessed_steps + run.kvo_steps
    if reset is hang:
        assert made == kept
    else:
        assert kept <= made <= kept + uncertain and uncertain <= 4 * 251


def test_a_flash_kept_over_a_killed_simulator(tmp_path: Path) -> None:
    state = ("--state", str(tmp_path / "flash"))
    with Bench(*state) as bench:
        bench.pump.load(40 * ML)
        bench.infuse(5000, 250)
        bench.advance(4_000_000)
        bench.process.kill()
    with Bench(*state) as bench:
        status = bench.pump.status()
        assert status.state == "interrupted" and status.run is not None
        assert 400 <= status.run.witnessed_steps <= 1000
        left = 5000 - status.run.witnessed_steps
        bench.pump.resume()
        bench.until_still()
        assert len(bench.edges()) == left
