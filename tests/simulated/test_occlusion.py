"""A closed line on the simulated board: how long to the alarm, how much comes out after."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import pytest
from bench import Bench
from oracle import ML

KPA = 10**12  # nPa
# docs/model.md: 3e-7 a Pa of the capacity, 50 mL, and 1e-9 L/Pa of the line; in uL/kPa
COMPLIANCE_UL_PER_KPA = Fraction(15) + 1


@pytest.fixture(scope="module")
def shared() -> Iterator[Bench]:
    with Bench() as it:
        yield it


@pytest.fixture
def bench(shared: Bench) -> Bench:
    """The shared pump, idle, with 50 mL loaded and the line open."""
    shared.pump.stop()
    shared.control("clear occlusion")
    shared.control("clear disconnect")
    shared.control("line back_pressure_pa 0")
    shared.pump.load(50 * ML)
    return shared


def _threshold(bench: Bench, npa: int) -> None:
    bench.pump.confirm(bench.pump.propose_occlusion(npa).digest)


def _steady(bench: Bench, ml_per_h: int) -> None:
    bench.pump.infuse(volume_al=40 * ML, rate_al_per_h=ml_per_h * ML)
    bench.pump.start()
    bench.advance(600_000_000)
    assert bench.pump.status().state == "infusing"


def _until_alarm(bench: Bench, most_s: float) -> float:
    """Return the seconds until the alarm."""
    began = bench.control("status")["now_ns"]
    while bench.pump.status().state != "alarm":
        bench.advance(int(most_s * 5_000))  # a 200th
        assert bench.control("status")["now_ns"] - began <= most_s * 10**9
    alarm = [event for event in bench.events() if event["e"] == "alarm"][-1]
    return alarm["ms"] / 1000 - began / 10**9


@pytest.mark.requirement("D3", "D4", "D5")
@pytest.mark.parametrize("ml_per_h", [1, 5])
@pytest.mark.parametrize("pascals", [10_000, 137_895])
def test_time_to_the_alarm_and_the_bolus_after_it(
    bench: Bench, ml_per_h: int, pascals: int
) -> None:
    """By hand, 5 mL/h and 10 kPa: 16 uL/kPa * 10 kPa / (5000 uL / 3600 s) = 115.2 s."""
    _threshold(bench, pascals * 10**9)
    place = bench.control("status")["position"]
    _steady(bench, ml_per_h)
    bench.control("fault occlusion")
    due = COMPLIANCE_UL_PER_KPA * Fraction(pascals, 1000) / Fraction(1000 * ml_per_h, 3600)
    passed = _until_alarm(bench, float(due) * 1.1)
    assert passed >= float(due) * 0.9
    print(f"{ml_per_h} mL/h, {pascals} Pa: {passed:.0f} s, C*P/r {float(due):.0f} s")
    assert [alarm.code for alarm in bench.pump.status().alarms] == ["A_OCCLUSION"]
    bench.advance(120_000_000)  # it backs off
    back = [event for event in bench.events() if event["e"] == "backoff"][-1]
    status = bench.pump.status()
    assert status.run is not None and status.pressure_pa is not None
    made = status.run.witnessed_steps
    assert bench.control("status")["position"] == place + made - back["steps"] - 64
    assert 2 * status.pressure_pa < pascals + 2 * 7181  # at rest friction is not known
    before = bench.control("line")["out_nl"]
    bench.control("clear occlusion")
    bench.advance(60_000_000)
    bolus_nl = bench.control("line")["out_nl"] - before
    print(f"bolus {bolus_nl} nL")
    assert -20_000 <= bolus_nl <= 200_000


@pytest.mark.requirement("D4")
def test_the_bolus_without_a_back_off(bench: Bench) -> None:
    """What the reduction reduces: a stop at the alarm leaves no time to draw anything back."""
    _threshold(bench, 60 * KPA)
    _steady(bench, 5)
    bench.control("fault occlusion")
    bench.control("until alarm")  # and held there
    bench.pump.stop()
    before = bench.control("line")["out_nl"]
    bench.control("clear occlusion")
    bench.advance(60_000_000)
    # C * P = 16 uL/kPa * 60 kPa
    assert 0.95 * 960_000 <= bench.control("line")["out_nl"] - before <= 1.05 * 960_000


@pytest.mark.requirement("D9", "A11")
def test_a_line_that_comes_off_is_an_alarm(bench: Bench) -> None:
    bench.control("line back_pressure_pa 13332")
    _threshold(bench, 60 * KPA)
    _steady(bench, 5)
    assert 13_000 <= (bench.pump.status().pressure_pa or 0) <= 14_000
    bench.control("fault disconnect")
    _until_alarm(bench, 5)
    assert [alarm.code for alarm in bench.pump.status().alarms] == ["A_DISCONNECT"]


def test_a_fault_of_the_command_line_closes_the_line() -> None:
    with Bench("--fault", "occlusion@60") as bench:
        bench.pump.load(50 * ML)
        bench.pump.infuse(volume_al=20 * ML, rate_al_per_h=60 * ML)
        bench.pump.start()
        _until_alarm(bench, 130)
        assert bench.pump.status().alarms[0].code == "A_OCCLUSION"
