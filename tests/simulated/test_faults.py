"""Whatever dies, the motor stops by itself, and the pump says what was delivered."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from bench import Bench
from oracle import ML

from doseloop.errors import Refused


@pytest.fixture
def bench() -> Iterator[Bench]:
    with Bench() as it:
        it.pump.load(40 * ML)
        yield it


# (rate in steps/s as a fraction, steps): a step a minute, 1 mL/h, 10,000 steps/s
RATES = {
    "a step a minute": lambda al: al * 60,
    "1 mL/h": lambda al: ML,
    "10000 steps/s": lambda al: al * 3600 * 10_000,
}


@pytest.mark.requirement("A17")
@pytest.mark.parametrize("name", RATES)
@pytest.mark.parametrize("fault", ["tick_dead", "isr_exception"])
def test_a_dead_tick_ends_the_motion_within_a_second(bench: Bench, name: str, fault: str) -> None:
    rate = RATES[name](bench.al)
    slow = name == "a step a minute"
    bench.pump.infuse(volume_al=200_000 * bench.al, rate_al_per_h=rate)
    bench.pump.start()
    bench.advance(59_500_000 if slow else 1_500_000)
    before = bench.control("status")
    bench.control(f"fault {fault}")
    bench.advance(3_000_000)
    edges = bench.edges()
    assert all(edge.ns - before["now_ns"] <= 10**9 for edge in edges)
    status = bench.pump.status()
    assert status.state == "alarm" and status.alarms[0].code == "A_TICK"
    assert status.run is not None
    assert status.run.witnessed_steps == status.run.commanded_steps == len(edges)
    assert not bench.control("status")["enabled"]
    bench.advance(120_000_000)
    assert len(bench.edges()) == len(edges)  # none replayed, none later


@pytest.mark.requirement("A15")
def test_lost_steps_raise_the_drift_alarm(bench: Bench) -> None:
    bench.pump.infuse(volume_al=ML, rate_al_per_h=5 * ML)
    bench.pump.start()
    bench.advance(60_000_000)
    bench.control("fault step_lost 20")
    bench.until_still()
    status = bench.pump.status()
    assert [a.code for a in status.alarms] == ["A_DRIFT"] and status.run is not None
    assert status.run.commanded_steps - status.run.witnessed_steps == 11
    assert status.run.witnessed_steps == len(bench.edges())
    assert status.run.delivered_nl == len(bench.edges()) * bench.al // 10**9
    with pytest.raises(Refused):
        bench.pump.resume()


@pytest.mark.requirement("A15")
def test_ten_lost_steps_do_not(bench: Bench) -> None:
    bench.pump.infuse(volume_al=ML // 10, rate_al_per_h=5 * ML)
    bench.pump.start()
    bench.advance(10_000_000)
    bench.control("fault step_lost 10")
    bench.until_still()
    status = bench.pump.status()
    assert status.state == "idle" and status.run is not None
    assert status.run.commanded_steps - status.run.witnessed_steps == 10


@pytest.mark.requirement("A12")
@pytest.mark.parametrize(("steps", "alarms"), [(100, []), (99, ["A_DRIFT"]), (10, ["A_DRIFT"])])
def test_ten_lost_steps_of_a_small_dose_do(bench: Bench, steps: int, alarms: list[str]) -> None:
    bench.infuse(steps, 100)
    bench.control("fault step_lost 10")
    bench.until_still()
    status = bench.pump.status()
    assert [a.code for a in status.alarms] == alarms and status.run is not None
    assert (status.run.commanded_steps, status.run.witnessed_steps) == (steps, steps - 10)


@pytest.mark.requirement("A12")
def test_steps_lost_before_a_pause_are_told_when_it_stands(bench: Bench) -> None:
    bench.infuse(1_000, 20)
    bench.control("fault step_lost 5")
    bench.advance(2_000_000)
    bench.pump.pause()
    assert [a.code for a in bench.pump.status().alarms] == ["A_DRIFT"]


@pytest.mark.parametrize("hz", [100, 10_000])
def test_the_stop_input_latches(bench: Bench, hz: int) -> None:
    bench.pump.infuse(volume_al=30_000 * bench.al, rate_al_per_h=3600 * bench.al * hz)
    bench.pump.start()
    bench.advance(2_000_777)
    at = bench.control("status")["now_ns"]
    bench.control("press stop")
    bench.advance(1_000_000)
    edges = bench.edges()
    assert edges[-1].ns <= at + 1000
    status = bench.pump.status()
    assert status.state == "alarm" and status.alarms[0].code == "A_STOP_INPUT"
    assert status.run is not None
    assert status.run.commanded_steps == status.run.witnessed_steps == len(edges)
    bench.advance(10_000_000)
    assert len(bench.edges()) == len(edges)
    bench.pump.clear()
    bench.pump.resume()
    bench.until_still()
    assert len(bench.edges()) == 30_000


def test_an_open_stop_wire_refuses_start_and_clear(bench: Bench) -> None:
    bench.control("fault open_wire")
    bench.pump.infuse(volume_al=ML, rate_al_per_h=ML)
    for act in (bench.pump.start,):
        with pytest.raises(Refused) as refused:
            act()
        assert refused.value.code == "E_STOP_OPEN"
    assert bench.pump.status().state == "ready"
    bench.control("clear open_wire")
    bench.pump.start()


@pytest.mark.parametrize("hz", [10, 1000])
def test_an_end_switch_stops_within_two_milliseconds(bench: Bench, hz: int) -> None:
    bench.pump.infuse(volume_al=30_000 * bench.al, rate_al_per_h=3600 * bench.al * hz)
    bench.pump.start()
    bench.advance(2_000_777)
    at = bench.control("status")["now_ns"]
    bench.control("fault end_switch front")
    bench.advance(2_000_000)
    assert bench.edges()[-1].ns <= at + 2_000_000
    status = bench.pump.status()
    assert status.alarms[0].code == "A_END_SWITCH"
    bench.pump.clear()
    with pytest.raises(Refused) as refused:
        bench.pump.resume()
    assert refused.value.code == "E_END_SWITCH"


@pytest.mark.requirement("A14")
@pytest.mark.parametrize("mode", ["infuse", "withdraw"])
def test_the_end_switch_behind_stops_a_motor_that_runs_the_wrong_way(
    bench: Bench, mode: str
) -> None:
    act = bench.pump.infuse if mode == "infuse" else bench.pump.withdraw
    behind = "back" if mode == "infuse" else "front"
    act(volume_al=5_000 * bench.al, rate_al_per_h=3600 * bench.al * 100)
    bench.pump.start()
    bench.advance(2_000_777)
    at = bench.control("status")["now_ns"]
    bench.control(f"fault end_switch {behind}")
    bench.advance(2_000_000)
    assert bench.edges()[-1].ns <= at + 2_000_000
    assert bench.pump.status().alarms[0].code == "A_END_SWITCH"
    # Standing on it, a motion away from it is what a person needs: it isn't watched then.
    bench.pump.clear()
    bench.pump.resume()
    bench.until_still()
    status = bench.pump.status()
    assert (status.state, status.alarms) == ("idle", [])


@pytest.mark.requirement("A17", "F10")
def test_a_hung_main_loop_ends_the_motion_then_the_watchdog_resets(bench: Bench) -> None:
    bench.pump.infuse(volume_al=ML, rate_al_per_h=60 * ML)
    bench.pump.start()
    bench.advance(5_000_000)
    at = bench.control("status")["now_ns"]
    bench.control("fault main_hang")
    bench.advance(20_000_000)
    edges = bench.edges()
    assert edges[-1].ns - at <= 3_001 * 10**6  # the lease, and a tick
    bench.pump.catch_up()
    status = bench.pump.status()
    assert status.state == "interrupted" and bench.pump.restarts == 1  # nothing resumed
    assert next(e for e in bench.events() if e["e"] == "boot")["cause"] == "watchdog"
    assert not bench.control("status")["enabled"]


@pytest.mark.requirement("A17")
@pytest.mark.parametrize("ml_per_h", [1, 60, 120, 400, 5000])
@pytest.mark.parametrize("fault", ["main_hang", "tick_dead", "isr_exception"])
def test_a_single_fault_delivers_no_more_than_the_plan_says(
    bench: Bench, ml_per_h: int, fault: str
) -> None:
    plan = bench.pump.infuse(volume_al=39 * ML, rate_al_per_h=ml_per_h * ML)
    assert plan.fault_al is not None
    # 0.1 mL or a second of the rate, and the step that ends it
    assert plan.fault_al <= max(ML // 10, ml_per_h * ML // 3600) + bench.al
    bench.pump.start()
    bench.advance(9_000_000 if ml_per_h < 1000 else 2_000_000)
    before = len(bench.edges())
    bench.control(f"fault {fault}")
    bench.advance(7_000_000)
    after = [edge.ns for edge in bench.edges()[before:]]
    assert len(after) * bench.al <= plan.fault_al
    rest = len(bench.edges())
    bench.advance(30_000_000)
    assert len(bench.edges()) == rest


@pytest.mark.requirement("A17")
def test_a_short_lease_never_runs_out_on_a_main_loop_that_lives(bench: Bench) -> None:
    # 400 mL/h has the shortest; nobody asks anything of the pump for five minutes.
    bench.pump.infuse(volume_al=35 * ML, rate_al_per_h=400 * ML)
    bench.pump.start()
    bench.until_still()
    status = bench.pump.status()
    assert (status.state, status.alarms) == ("idle", [])


@pytest.mark.requirement("A17", "F10")
def test_a_power_cut_stops_and_nothing_resumes(bench: Bench) -> None:
    bench.pump.infuse(volume_al=ML, rate_al_per_h=60 * ML)
    bench.pump.start()
    bench.advance(5_000_000)
    at = bench.control("status")["now_ns"]
    bench.control("power cut")
    bench.advance(20_000_000)
    assert bench.edges()[-1].ns <= at
    assert bench.pump.status().state == "interrupted"


@pytest.mark.requirement("A16")
def test_a_deaf_host_never_delays_the_pump(bench: Bench) -> None:
    bench.pump.watch(20)
    bench.pump.infuse(volume_al=ML // 2, rate_al_per_h=60 * ML)
    run = bench.pump.start()
    bench.control("fault host_deaf")
    bench.advance(40_000_000)
    bench.control("clear host_deaf")
    status = bench.pump.status()
    assert status.state == "idle" and status.run is not None
    assert status.run.witnessed_steps == ML // 2 // bench.al
    assert status.dropped > 0
    bench.judge_run(run, bench.edges())
