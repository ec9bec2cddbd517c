"""Driver, clamp, heat and supply: a fault of each stops the pump, or keeps it from starting."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from bench import Bench
from oracle import ML

from doseloop.errors import Refused

FULL_STEP = 32  # microsteps of the reference board


@pytest.fixture
def bench() -> Iterator[Bench]:
    with Bench() as it:
        it.pump.load(40 * ML)
        yield it


def alarmed(bench: Bench, code: str) -> None:
    status = bench.pump.status()
    codes = [alarm.code for alarm in status.alarms if alarm.code != "A_NEAR_EMPTY"]
    assert (status.state, codes) == ("alarm", [code])
    assert not bench.control("status")["enabled"]
    assert status.run is not None
    assert status.run.witnessed_steps == status.run.commanded_steps == len(bench.edges())


def refused(bench: Bench, code: str) -> str:
    """Start must be refused with this code, and nothing may move. Return the message."""
    before = len(bench.edges())
    with pytest.raises(Refused) as refusal:
        bench.pump.start()
    assert refusal.value.code == code
    bench.advance(2_000_000)
    assert len(bench.edges()) == before
    assert bench.pump.status().state == "ready"
    return str(refusal.value)


@pytest.mark.requirement("D12")
def test_without_a_syringe_in_its_clamp_nothing_starts(bench: Bench) -> None:
    bench.control("fault syringe_out")
    bench.pump.infuse(volume_al=ML, rate_al_per_h=60 * ML)
    refused(bench, "E_SYRINGE_OUT")
    bench.control("clear syringe_out")
    bench.pump.start()
    assert bench.pump.status().state == "infusing"


@pytest.mark.requirement("D13")
@pytest.mark.parametrize("hz", [1, 1000, 10_000])
def test_a_syringe_taken_out_stops_within_two_milliseconds(bench: Bench, hz: int) -> None:
    steps = 30_000 if hz > 1 else 3_000
    bench.infuse(steps, hz)
    bench.advance(2_000_777)
    at = bench.control("status")["now_ns"]
    bench.control("fault syringe_out")
    bench.advance(2_000_000)
    assert bench.edges()[-1].ns <= at + 2_000_000
    alarmed(bench, "A_SYRINGE_OUT")
    bench.pump.clear()
    with pytest.raises(Refused) as refusal:
        bench.pump.resume()
    assert refusal.value.code == "E_SYRINGE_OUT"
    bench.control("clear syringe_out")
    bench.pump.resume()
    bench.until_still()
    assert len(bench.edges()) == steps


@pytest.mark.requirement("D15")
def test_another_syringe_needs_standstill_and_confirmation_and_brings_its_limits(
    bench: Bench,
) -> None:
    from doseloop import boards, config, syringes

    small = config.compile_config(
        boards.find_board("pico_tmc2209"), syringes.find_syringe("bd-plastipak-1")
    )
    bench.infuse(30_000, 100)
    bench.advance(1_000_000)
    with pytest.raises(Refused) as refusal:
        bench.pump.push_config(small.sealed)
    assert refusal.value.code == "E_STATE"
    bench.pump.stop()
    before = bench.pump.status()
    change = bench.pump.propose_config(small.sealed)
    assert bench.pump.status().syringe.model == before.syringe.model  # proposed is not in force
    bench.pump.confirm(change.digest)
    status = bench.pump.status()
    assert status.syringe.model == "bd-plastipak-1"
    assert status.syringe.al_per_step == small.al_per_step
    assert status.syringe.remaining_nl == 0  # what was loaded is not in this one
    with pytest.raises(Refused) as refusal:
        bench.pump.infuse(volume_al=ML // 2, rate_al_per_h=72_000_001 * small.al_per_step)
    assert refusal.value.code == "E_RATE_HIGH"


@pytest.mark.requirement("D11")
def test_both_end_switches_at_once_are_a_fault_of_their_wires(bench: Bench) -> None:
    bench.infuse(30_000, 1000)
    bench.advance(2_000_777)
    at = bench.control("status")["now_ns"]
    bench.control("fault end_switch")  # the plug is off: both open
    bench.advance(2_000_000)
    assert bench.edges()[-1].ns <= at + 2_000_000
    alarmed(bench, "A_ENDS")
    bench.pump.clear()
    for act in (bench.pump.infuse, bench.pump.withdraw):
        act(volume_al=ML, rate_al_per_h=60 * ML)
        refused(bench, "E_ENDS")


@pytest.mark.requirement("D11")
@pytest.mark.parametrize(("mode", "end"), [("infuse", "front"), ("withdraw", "back")])
def test_a_carriage_on_its_end_switch_is_never_wound_on(bench: Bench, mode: str, end: str) -> None:
    act = bench.pump.infuse if mode == "infuse" else bench.pump.withdraw
    bench.control(f"fault end_switch {end}")
    act(volume_al=5_000 * bench.al, rate_al_per_h=3600 * bench.al * 100)
    refused(bench, "E_END_SWITCH")


@pytest.mark.requirement("D10")
@pytest.mark.parametrize("hz", [6400, 10_000, 20_000])
def test_a_stall_is_detected_within_ten_full_steps(bench: Bench, hz: int) -> None:
    bench.infuse(200_000, hz)
    bench.advance(2_000_777)
    before = len(bench.edges())
    bench.control("fault stall")
    bench.advance(1_000_000)
    assert len(bench.edges()) - before <= 10 * FULL_STEP
    alarmed(bench, "A_STALL")


def test_below_its_velocity_a_stall_is_not_seen_by_the_driver(bench: Bench) -> None:
    # So the board file says, and docs/wiring.md: back-EMF is too small. Not a feature.
    bench.infuse(5_000, 1000)
    bench.advance(1_000_000)
    bench.control("fault stall")
    bench.until_still()
    assert bench.pump.status().alarms == []


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("silent", "does not answer"),
        ("stuck", "stuck or cut"),
        ("noise", "damaged"),
        ("short", "short"),
    ],
)
def test_a_driver_that_can_not_be_trusted_does_not_start(
    bench: Bench, fault: str, why: str
) -> None:
    bench.control(f"fault driver {fault}")
    bench.pump.infuse(volume_al=ML, rate_al_per_h=60 * ML)
    assert why in refused(bench, "E_DRIVER")
    bench.control("clear driver")
    bench.pump.start()
    bench.until_still()
    assert bench.pump.status().alarms == []


@pytest.mark.parametrize("fault", ["silent", "reset"])
def test_a_driver_that_fails_under_way_stops_the_pump(bench: Bench, fault: str) -> None:
    bench.infuse(30_000, 100)
    bench.advance(5_000_777)
    at = bench.control("status")["now_ns"]
    bench.control(f"fault driver {fault}")
    bench.advance(15_000_000)
    assert bench.edges()[-1].ns - at <= 12 * 10**9  # a look each 10 s, main comes by each second
    alarmed(bench, "A_DRIVER")
    said = [event for event in bench.events() if event["e"] == "fault"]
    assert [event["code"] for event in said] == ["A_DRIVER"]
    bench.control("clear driver")
    bench.pump.clear()
    bench.pump.resume()  # it gets its settings again
    bench.until_still()
    assert len(bench.edges()) == 30_000


@pytest.mark.requirement("A14")
def test_with_a_cut_direction_wire_nothing_starts(bench: Bench) -> None:
    bench.control("fault open_wire dir")  # the driver's DIR is low then: withdraw, on this board
    bench.infuse(30_000, 100)
    bench.advance(15_000_000)
    assert bench.edges() == []  # it looks when a motion begins, before the first step is due
    alarmed(bench, "A_DRIVER")
    said = [event for event in bench.events() if event["e"] == "fault"]
    assert [event["text"] for event in said] == ["its DIR input does not follow"]
    bench.control("clear open_wire")
    bench.pump.clear()
    bench.pump.resume()
    bench.until_still()
    assert len(bench.edges()) == 30_000


@pytest.mark.requirement("A14")
@pytest.mark.parametrize(
    ("board", "code", "most_s"),
    [("skr_pico", "A_DRIVER", 11), ("pico_tmc2209", "A_DISCONNECT", 4)],
)
def test_a_direction_wire_that_breaks_does_not_turn_the_motor_back_for_long(
    board: str, code: str, most_s: int
) -> None:
    # By the driver, which is asked every 10 s; a force sensor feels it before.
    with Bench(board=board) as bench:
        bench.pump.load(40 * ML)
        bench.infuse(30_000, 100)
        bench.advance(5_000_777)
        at = len(bench.edges())
        bench.control("fault open_wire dir")
        bench.advance(15_000_000)
        edges = bench.edges()
        assert edges[at].position < edges[at - 1].position
        assert len(edges) - at <= 100 * most_s
        alarmed(bench, code)


def test_a_motor_that_withdraws_follows_too(bench: Bench) -> None:
    bench.pump.withdraw(volume_al=3_000 * bench.al, rate_al_per_h=100 * 3600 * bench.al)
    bench.pump.start()
    bench.until_still()
    assert bench.pump.status().alarms == []


def test_a_short_is_told_at_once_by_diag(bench: Bench) -> None:
    bench.infuse(30_000, 100)
    bench.advance(5_000_777)
    at = bench.control("status")["now_ns"]
    bench.control("fault driver short")
    bench.advance(1_000_000)
    assert bench.edges()[-1].ns - at <= 2_000_000
    alarmed(bench, "A_DRIVER")


@pytest.mark.requirement("D16")
@pytest.mark.parametrize("fault", ["overtemp", "overtemp chip", "overtemp cut"])
def test_a_hot_driver_stops_the_pump_and_does_not_start_again(bench: Bench, fault: str) -> None:
    bench.infuse(30_000, 50)
    bench.advance(120_000_000)
    bench.control("fault " + fault)
    bench.advance(60_000_000)
    alarmed(bench, "A_HOT")
    bench.pump.clear()
    with pytest.raises(Refused) as refusal:
        bench.pump.resume()
    assert refusal.value.code == "E_HOT"
    bench.control("clear overtemp")
    bench.advance(120_000_000)  # it cools down
    bench.pump.resume()
    bench.until_still()
    assert len(bench.edges()) == 30_000


@pytest.mark.requirement("H2", "H3")
def test_a_battery_warns_30_minutes_before_its_end_and_stops_3_before(bench: Bench) -> None:
    bench.pump.infuse(volume_al=20 * ML, rate_al_per_h=5 * ML)  # 4 h
    bench.pump.start()
    bench.control("fault battery 90")
    warned = stopped = None
    for minute in range(90):
        status = bench.pump.status()
        codes = [alarm.code for alarm in status.alarms]
        if warned is None and "A_BATTERY" in codes:
            warned = 90 - minute
            assert (codes, status.state) == (["A_BATTERY"], "infusing")
        if "A_BATTERY_END" in codes:
            stopped = 90 - minute
            break
        bench.advance(60_000_000)
    assert warned is not None and stopped is not None
    assert 30 <= warned <= 45 and 3 <= stopped <= 10, (warned, stopped)
    assert status.state == "alarm"
    bench.pump.clear()
    with pytest.raises(Refused) as refusal:
        bench.pump.resume()
    assert refusal.value.code == "E_BATTERY_END"
    assert [alarm.code for alarm in bench.pump.status().alarms] == ["A_BATTERY"]
    bench.control("clear battery")  # external power
    bench.advance(40_000_000)
    assert bench.pump.status().alarms == []
    bench.pump.resume()
    assert bench.pump.status().state == "infusing"


@pytest.mark.requirement("H4")
@pytest.mark.parametrize("mv", [0, 8_400, 15_200])
def test_a_supply_out_of_range_stops_and_does_not_start(bench: Bench, mv: int) -> None:
    bench.infuse(30_000, 50)
    bench.advance(5_000_000)
    bench.control(f"fault supply {mv}")
    bench.advance(40_000_000)
    alarmed(bench, "A_SUPPLY")
    bench.pump.stop()
    bench.pump.infuse(volume_al=ML, rate_al_per_h=60 * ML)
    refused(bench, "E_SUPPLY")


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("driver", "takes one of silent"),
        ("driver:loud", "takes one of silent"),
        ("supply", "its voltage in mV"),
        ("battery:soon", "a whole number"),
        ("overtemp:x", "a whole number"),
    ],
)
def test_a_fault_with_a_value_that_it_can_not_have_is_refused(fault: str, message: str) -> None:
    name, _, value = fault.partition(":")
    at = f"{name}@5:{value}" if value else f"{name}@5"
    done = subprocess.run(
        [sys.executable, "-m", "doseloop", "sim", "--board", "pico_tmc2209", "--syringe",
         "bd-plastipak-50", "--fault", at],
        capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    assert done.returncode != 0 and message in done.stderr


@pytest.mark.parametrize("name", ["syringe_out", "driver:silent", "overtemp", "battery"])
def test_a_fault_of_what_the_board_has_not_is_refused(name: str) -> None:
    name, _, value = name.partition(":")
    done = subprocess.run(
        [sys.executable, "-m", "doseloop", "sim", "--board", "pico_a4988", "--syringe",
         "bd-plastipak-50", "--fault", f"{name}@5" + (f":{value}" if value else "")],
        capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    assert done.returncode != 0 and "this board has no" in done.stderr
