"""Occlusion on the real therapy code, over the physical model of syringe and line."""

from __future__ import annotations

from bisect import bisect_right

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.firmware.bench import Bench, compiled, configuration, errors
from unit.firmware.test_pressure import hydraulics

from doseloop import resources

occlusion = resources.firmware_module("occlusion")
ML = 10**15


class Felt:
    """The force sensor: the model's, at the place to which the steps so far have led the plunger.

    friction: of the real syringe, for that of the board file; silent: nothing is ready.
    """

    def __init__(self, bench, config, friction=1.0, seed=1):
        force, motion = config["force"], config["motion"]
        self._bench, self._gap = bench, motion["backlash_steps"]
        self.line = hydraulics.Hydraulics(
            {
                "step_m3": motion["al_per_step"] * 1e-21,
                "capacity_m3": config["syringe"]["capacity_al"] * 1e-21,
                "area_m2": force["area_um2"] * 1e-12,
                "friction_n": force["friction_mn"] / 1000 * friction,
                "counts_per_n": force["gain_num"] / force["gain_den"],
                "zero_counts": force["zero"],
            },
            seed,
        )
        self.plunger = 0
        self.silent = False

    def now(self):
        """Let the line come to this moment; return the plunger's place."""
        dose, now = self._bench.dose, self._bench.clock.now
        motor = sum(way for _, way in dose.edges)
        if dose.active:
            motor += self._bench.pins.way * bisect_right(dose._plan, now)
        self.plunger = min(max(self.plunger, motor), motor + self._gap)
        self.line.advance(self.plunger, now)
        return self.plunger

    def read(self):
        self.now()
        return None if self.silent else self.line.counts()


def rig(occlusion_pa=60_000, auto_restart=0, **felt):
    """Return a bench with 50 mL loaded and a sensor, and that sensor."""
    config = configuration()
    config["force"].update(occlusion_pa=occlusion_pa, auto_restart=auto_restart)
    bench = Bench(config)
    sensor = Felt(bench, config, **felt)
    bench.controller.sensing = occlusion.Sensing(
        bench.clock, bench.events, bench.alarms, sensor, config
    )
    bench.controller.load(50 * ML)
    return bench, sensor


def infuse(bench, rate, volume=3 * ML):
    """Begin to infuse."""
    step = {"mode": "infuse", "volume_al": volume, "rate_al_per_h": rate}
    bench.controller.plan(compiled([step], bench.controller.config), True)
    bench.controller.start()


def run_s(bench, seconds):
    bench.run_to(bench.clock.now + int(seconds * 10**6))


def until_alarm(bench, most_s):
    end = bench.clock.now + most_s * 10**6
    while bench.controller.state != "alarm" and bench.clock.now < end:
        run_s(bench, 1)
    assert bench.controller.state == "alarm", bench.controller.state


def last(bench, name):
    """Return the latest event of a name."""
    return [event for event in bench.events.since(0, 10**6) if event["e"] == name][-1]


@pytest.mark.requirement("D6")
@settings(max_examples=10, deadline=None)
@given(
    rate=st.integers(60, 300),
    occlusion_pa=st.integers(10_000, 100_000),
    behind=st.integers(0, 90),
    friction=st.integers(80, 110),
    seed=st.integers(1, 10**6),
    steady_s=st.integers(8, 15),
    percent=st.sampled_from([100, 100, 100, 99]),
)
def test_backing_off_never_takes_back_more_than_went_in(
    rate, occlusion_pa, behind, friction, seed, steady_s, percent
):
    """D6 in the model: steady flow at any back pressure, then the line closes, all or in part."""
    bench, felt = rig(occlusion_pa, friction=friction / 100, seed=seed)
    felt.line.adjust("back_pressure_pa", occlusion_pa * behind // 100)
    infuse(bench, rate * ML)
    run_s(bench, steady_s)
    if bench.controller.state == "alarm":
        return  # the back pressure and friction alone are above the threshold
    closed = felt.now()
    felt.line.fault("occlusion", str(percent))
    end = bench.clock.now + 120 * 10**6
    while bench.controller.state == "infusing" and bench.clock.now < end:
        run_s(bench, 0.2)
    if "A_OCCLUSION" not in bench.alarms.standing():
        assert percent < 100 or bench.controller.state == "idle"
        return
    run_s(bench, 60)
    back = last(bench, "backoff") if "backoff" in bench.names() else {"steps": 0}
    tripped = last(bench, "stretch_end")["steps"]
    assert back["steps"] >= 0
    assert back["steps"] <= tripped - closed
    # Nothing is sucked in: but for what the board file has the friction wrong by, a fifth of 7181
    # Pa, and what two looks at 500 steps/s move: 100 steps of 0.1735 uL on 16 uL/kPa, 1085 Pa.
    assert felt.line.pressure > -1437 - 1085
    if percent == 100:
        # In volume: what the line stored, and what the drive gives up while friction turns round.
        stored = felt.line.compliance * (last(bench, "pressure")["pressure_pa"] + 2522)
        slack = 2 * felt.line.slide_n * felt.line.drive / felt.line.area
        assert back["steps"] * felt.line.step_m3 <= stored + slack


@pytest.mark.requirement("D2")
def test_no_step_follows_the_trip_but_those_of_the_back_off():
    bench, felt = rig()
    infuse(bench, 20 * ML)
    run_s(bench, 60)
    felt.line.fault("occlusion", None)
    until_alarm(bench, 600)
    at = last(bench, "pressure")
    assert at["pressure_pa"] >= 60_000 and at["code"] == "A_OCCLUSION"
    forward = [tick for tick, way in bench.dose.edges if way > 0]
    assert max(forward) // 1000 <= at["ms"]
    run_s(bench, 120)
    assert [tick for tick, way in bench.dose.edges if way > 0] == forward
    assert not bench.pins.on and not bench.dose.active
    assert bench.alarms.standing() == ["A_OCCLUSION"]
    run = bench.controller.run
    assert run.commanded == run.witnessed == run.booked_in == len(forward)
    back = [tick for tick, way in bench.dose.edges if way < 0]
    assert len(back) == last(bench, "backoff")["steps"] + 64 == run.takeup
    assert bench.motor.position == len(forward) - last(bench, "backoff")["steps"]


def test_what_was_drawn_back_is_pushed_in_again_before_the_run_goes_on():
    bench, felt = rig()
    infuse(bench, 20 * ML, 2 * ML)
    run_s(bench, 60)
    felt.line.fault("occlusion", None)
    until_alarm(bench, 600)
    run_s(bench, 60)
    back = last(bench, "backoff")["steps"]
    booked = bench.controller.run.booked_in
    felt.line.clear("occlusion")
    bench.controller.clear()
    assert bench.controller.state == "paused"
    bench.controller.resume()
    run_s(bench, 1)
    assert bench.controller.rate() == 20 * ML and bench.controller.run.booked_in == booked
    bench.controller.pause()  # in the middle of it
    bench.controller.resume()
    bench.run_out()
    run = bench.controller.run
    assert run.booked_in == run.ordered == 2 * ML // bench.motor.al
    assert bench.motor.position == run.ordered
    assert run.takeup == 2 * (back + 64)
    # what left the line is what was counted, less what friction still holds in the drive
    felt.now()
    held = felt.line.slide_n * felt.line.drive / felt.line.area
    counted = run.ordered * felt.line.step_m3
    assert counted - 2 * held <= felt.line.out_m3 <= counted


def test_while_it_backs_off_nothing_else_begins_and_stop_ends_it():
    bench, felt = rig()
    infuse(bench, 60 * ML)
    felt.line.fault("occlusion", None)
    while not bench.names().count("takeup"):
        run_s(bench, 0.1)
    assert bench.dose.active and bench.controller.state == "alarm"
    for act in (bench.controller.clear, lambda: bench.controller.load(ML)):
        with pytest.raises(errors.Refused):
            act()
    bench.controller.stop()
    assert bench.controller.state == "idle" and not bench.dose.active
    run_s(bench, 10)
    assert "backoff" in bench.names() and bench.controller.state == "idle"


@pytest.mark.requirement("D7")
def test_it_restarts_by_itself_as_often_as_allowed_and_then_waits_for_a_person():
    bench, felt = rig(occlusion_pa=40_000, auto_restart=2)
    infuse(bench, 200 * ML)
    run_s(bench, 20)
    felt.line.fault("occlusion", None)
    run_s(bench, 300)
    restarts = [event for event in bench.events.since(0, 999) if event["e"] == "restart"]
    assert [event["nth"] for event in restarts] == [1, 2]
    trips = [event for event in bench.events.since(0, 999) if event["e"] == "backoff"]
    assert len(trips) == 3 and bench.controller.state == "alarm"
    assert all(2 * event["pressure_pa"] < 40_000 for event in trips)
    felt.line.clear("occlusion")
    run_s(bench, 700)  # the ten minutes pass: it is not tried again unless a person begins
    assert bench.controller.state == "alarm"


@pytest.mark.requirement("D7")
def test_without_leave_it_never_restarts():
    bench, felt = rig(occlusion_pa=10_000)
    infuse(bench, 200 * ML)
    felt.line.fault("occlusion", None)
    until_alarm(bench, 100)
    felt.line.clear("occlusion")
    run_s(bench, 1300)
    assert bench.controller.state == "alarm" and "restart" not in bench.names()


@pytest.mark.requirement("D8")
def test_the_third_in_ten_minutes_needs_a_new_order():
    bench, felt = rig(occlusion_pa=10_000)
    infuse(bench, 200 * ML)
    felt.line.fault("occlusion", None)
    for nth in range(3):
        until_alarm(bench, 150)
        run_s(bench, 5)
        assert ("A_REPEATED" in bench.alarms.standing()) == (nth == 2)
        bench.controller.clear()
        if nth < 2:
            bench.controller.resume()
    assert bench.controller.state == "idle" and bench.controller.run.ended
    with pytest.raises(errors.Refused):
        bench.controller.resume()


@pytest.mark.requirement("D9", "A11")
@pytest.mark.parametrize("siphon", ["0", "-10000"])
def test_a_line_that_comes_off_stops_the_pump(siphon):
    bench, felt = rig()
    felt.line.adjust("back_pressure_pa", 13_332)  # 100 mmHg
    infuse(bench, 5 * ML)
    run_s(bench, 600)
    assert bench.controller.state == "infusing"
    off = bench.clock.now
    felt.line.fault("disconnect", siphon)
    until_alarm(bench, 5)
    assert bench.alarms.standing() == ["A_DISCONNECT"]
    assert bench.clock.now - off <= 4 * 10**6


@pytest.mark.requirement("D9")
def test_a_leap_warns_and_the_run_goes_on():
    bench, felt = rig()
    infuse(bench, 5 * ML)
    run_s(bench, 60)
    felt.line.adjust("back_pressure_pa", 20_000)
    run_s(bench, 10)
    assert bench.alarms.standing() == ["A_LEAP"]
    assert bench.controller.state == "infusing"
    bench.controller.clear()
    run_s(bench, 60)
    assert bench.alarms.standing() == []


@pytest.mark.parametrize("wrong", ["silent", "open", "short"])
def test_a_sensor_that_says_nothing_stops_the_pump(wrong):
    bench, felt = rig()
    infuse(bench, 5 * ML)
    run_s(bench, 60)
    felt.silent = wrong == "silent"
    if wrong != "silent":
        felt.line._gain, felt.line._zero = 0, 65_535 if wrong == "short" else 0
    until_alarm(bench, 5)
    assert bench.alarms.standing() == ["A_FORCE"]


@pytest.mark.requirement("D1")
def test_the_threshold_is_proposed_and_confirmed_also_at_motion():
    bench, felt = rig()
    infuse(bench, 20 * ML)
    run_s(bench, 60)
    ask = bench.controller.occlusion
    change = ask(20_000 * 10**9)
    assert (change["old"], change["new"]) == ("60 kPa", "20 kPa")
    assert ask(None)["threshold_pa"] == 60_000
    for wrong, nearest in ((9_999, "10 kPa"), (137_896, "137.895 kPa")):
        with pytest.raises(errors.Refused) as refused:
            ask(wrong * 10**9)
        assert refused.value.nearest == nearest
    bench.controller.pending.confirm(change["digest"])
    assert ask(None)["threshold_pa"] == 20_000
    felt.line.fault("occlusion", None)
    until_alarm(bench, 120)
    assert 20_000 <= last(bench, "pressure")["pressure_pa"] < 22_000


def test_a_board_without_the_sensor_refuses_the_command():
    bench = Bench(configuration())
    with pytest.raises(errors.Refused) as refused:
        bench.controller.occlusion(None)
    assert refused.value.code == "E_CONFIG"
