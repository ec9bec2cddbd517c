"""What follows by itself, worked by hand: how legs, stops, alarms and a run end. course.py."""

import pytest
from unit.firmware.bench import Bench, compiled, errors
from unit.firmware.test_controller import (
    AL,
    BOLUS,
    HZ,
    INFUSE,
    ML,
    PAUSE,
    PCA,
    PRIME,
    SECOND,
    SLOW,
    Guard,
    planned,
    refused,
    started,
    stopped,
)

from doseloop import resources

states = resources.firmware_module("states")
WITHDRAW = {"mode": "withdraw", "volume_al": 100 * AL, "rate_al_per_h": 10 * HZ}


def last(bench, name):
    return [event for event in bench.events.since(0, 99) if event["e"] == name][-1]


def settled(bench, seconds=30):
    bench.run_to(bench.clock.now + seconds * SECOND)
    return bench.controller.state


# -- legs -----------------------------------------------------------------------------------------


def test_less_than_a_step_is_passed_over_and_counted_with_what_follows():
    half = {**INFUSE, "volume_al": AL // 2}
    bench = started(half, PAUSE, {**INFUSE, "volume_al": 10 * AL + AL // 2 + 1})
    assert bench.controller.state == "paused"
    bench.run_out()
    assert (bench.controller.state, len(bench.dose.edges)) == ("idle", 11)


def test_the_pause_of_an_order_waits_for_the_whole_volume_and_then_its_time():
    # A little less than 100.5 steps, AL being odd: the last step comes at 10 s, the volume is
    # through 49 whole ms later.
    bench = started({**INFUSE, "volume_al": 100 * AL + AL // 2}, PAUSE, INFUSE, seconds=12)
    assert (last(bench, "pause")["ms_long"], last(bench, "pause")["run"]) == (5049, "1-1")
    bench.run_out()
    assert [edge[0] // 1000 for edge in bench.dose.edges[99:101]] == [10_000, 15_099]


def test_an_input_that_came_in_a_pause_of_the_order_is_an_alarm():
    bench = started(INFUSE, PAUSE, INFUSE, seconds=11)
    bench.pins.ends.add(1)
    bench.run_out()
    assert (bench.controller.state, bench.alarms.standing()) == ("alarm", ["A_END_SWITCH"])
    assert len(bench.dose.edges) == 100


def test_the_state_is_that_of_the_item_under_way():
    bench = started(INFUSE, BOLUS, WITHDRAW)
    seen = []
    for _ in range(33):
        seen.append(bench.controller.state)
        settled(bench, 1)
    assert list(dict.fromkeys(seen)) == ["infusing", "bolus", "withdrawing", "idle"]


def test_a_vein_is_kept_open_after_an_infusion_never_faster_than_it():
    bench = started(INFUSE, seconds=12, kvo=HZ)
    assert (bench.controller.state, last(bench, "kvo")["rate"]) == ("kvo", HZ)
    assert last(bench, "kvo")["run"] == "1-1"
    assert last(bench, "end")["reason"] == "done"
    bench = started(INFUSE, seconds=12, kvo=50 * HZ)
    assert last(bench, "kvo")["rate"] == bench.controller.rate() == 10 * HZ


@pytest.mark.parametrize("step", [WITHDRAW, PRIME])
def test_nothing_keeps_a_vein_open_that_is_not_connected(step):
    bench = Bench(SLOW)
    bench.controller.load(25 * ML)
    bench.controller.plan(compiled([step], SLOW, kvo=HZ), False)
    if step is PRIME:
        for _ in range(110):
            if bench.controller.state in ("ready", "priming"):
                bench.controller.hold()
            bench.run_to(bench.clock.now + SECOND // 10)
    else:
        bench.controller.start()
    assert settled(bench) == "idle" and "kvo" not in bench.names()


def test_an_empty_syringe_keeps_nothing_open():
    bench = Bench(SLOW)
    bench.controller.load(100 * AL)
    bench.controller.plan(compiled([INFUSE], SLOW, kvo=HZ), False)
    bench.controller.start()
    assert settled(bench) == "idle" and "kvo" not in bench.names()


def test_keeping_open_ends_with_the_syringe_and_says_so():
    bench = Bench(SLOW)
    bench.controller.load(105 * AL)
    bench.controller.plan(compiled([INFUSE], SLOW, kvo=HZ), False)
    bench.controller.start()
    assert settled(bench) == "alarm" and bench.alarms.standing()[0] == "A_EMPTY"
    assert 104 <= len(bench.dose.edges) <= 105


def test_a_stop_of_keeping_open_says_how_much_it_was():
    bench = started(INFUSE, seconds=13, kvo=HZ)
    bench.controller.stop()
    assert bench.controller.state == "idle" and not bench.pins.on
    told = last(bench, "stop")
    assert (told["reason"], told["kvo_steps"], told["run"]) == ("kvo", 2, "1-1")
    assert len(bench.dose.edges) == 102


def test_a_break_ends_keeping_open_and_a_prime_for_good():
    bench = started(INFUSE, seconds=13, kvo=HZ)
    bench.dose.send_break()
    assert settled(bench, 1) == "idle" and last(bench, "stop")["reason"] == "kvo"
    bench = planned(PRIME)
    bench.controller.hold()
    bench.run_to(bench.clock.now + SECOND // 5)
    bench.dose.send_break()
    assert settled(bench, 1) == "idle" and last(bench, "stop")["reason"] == "stop"
    assert last(bench, "break")["run"] == "1-1"


def test_the_patients_rules_follow_keeping_open():
    bench = started(PCA, seconds=65, kvo=HZ)
    assert bench.controller.state == "kvo" and bench.controller.rate() == HZ
    bench = started(PCA, seconds=65, kvo=20 * HZ)
    assert bench.controller.rate() == 10 * HZ, "no more than the basal rate"


# -- stops ----------------------------------------------------------------------------------------


class Slow:
    """A motor that needs a ramp: it stands when a test says so."""

    def __init__(self, bench):
        self.motor = bench.motor
        self.ended = None
        bench.motor.stop = lambda: None
        bench.motor.poll = self.poll

    def poll(self):
        if self.ended is None:
            return None
        del self.motor.stop, self.motor.poll
        self.motor.halt()
        return self.ended


@pytest.mark.parametrize(
    ("asked", "state", "event"),
    [
        (["pause"], "paused", "pause"),
        (["pause", "stop"], "idle", "stop"),
        (["stop", "pause"], "idle", "stop"),
        (["rate", "pause"], "paused", "pause"),
        (["pause", "link"], "alarm", "alarm"),
        (["link", "stop"], "idle", "stop"),
    ],
)
def test_the_strongest_of_what_was_asked_in_a_ramp_is_done(asked, state, event):
    bench = started(INFUSE, stop_ms=1)
    slow = Slow(bench)
    calls = {
        "pause": bench.controller.pause,
        "stop": bench.controller.stop,
        "rate": lambda: bench.controller.change_rate(20 * HZ),
        "link": lambda: bench.controller.link_lost(1),
    }
    for name in asked:
        calls[name]()
        assert bench.controller.state == "infusing"
    slow.ended = "stopped"
    bench.controller.service()
    assert bench.controller.state == state and event in bench.names()[-2:]
    if event != "alarm":
        assert last(bench, event)["run"] == "1-1"
    if "rate" in asked:
        assert last(bench, "rate")["applies"] and bench.controller.run.item().rate == 20 * HZ


def test_a_rate_or_dose_can_not_be_asked_for_in_a_ramp():
    bench = started(INFUSE)
    Slow(bench)
    bench.controller.pause()
    want = ("E_STATE", "nothing is being delivered", "try again")
    assert refused(bench.controller.change_rate, 20 * HZ) == want
    assert refused(bench.controller.bolus_now, 10 * AL, 20 * HZ)[0] == "E_STATE"


def test_what_ended_by_itself_before_the_ramp_began_is_done_as_asked():
    bench = started(INFUSE)
    slow = Slow(bench)
    bench.controller.pause()
    slow.ended = "done"
    bench.controller.service()
    assert bench.controller.state == "paused"


def test_an_alarm_of_the_motor_is_stronger_than_what_was_asked():
    bench = started(INFUSE)
    slow = Slow(bench)
    bench.controller.pause()
    slow.ended = "A_END_SWITCH"
    bench.controller.service()
    assert bench.alarms.standing() == ["A_END_SWITCH"]
    bench = started(INFUSE)
    bench.motor.stop = lambda: "A_DRIFT"
    bench.controller.pause()
    assert (bench.controller.state, bench.alarms.standing()) == ("alarm", ["A_DRIFT"])


def test_a_rate_for_what_was_completed_meanwhile_applies_to_nothing():
    bench = started(INFUSE, {**INFUSE, "rate_al_per_h": 5 * HZ})
    slow = Slow(bench)
    bench.controller.change_rate(20 * HZ)
    bench.controller.run.next_item()
    slow.ended = "stopped"
    bench.controller.service()
    told = last(bench, "rate")
    assert (told["applies"], told["run"], told["old"]) == (False, "1-1", 10 * HZ)
    assert bench.controller.run.item().rate == 5 * HZ


def test_a_pause_after_the_last_step_finds_the_order_complete():
    bench = started(INFUSE)
    bench.clock.now = 11 * SECOND
    bench.controller.pause()
    assert bench.controller.state == "idle" and last(bench, "end")["reason"] == "done"


@pytest.mark.parametrize(
    ("step", "code"), [(INFUSE, "A_EMPTY"), (WITHDRAW, "A_FULL")], ids=["infuse", "withdraw"]
)
def test_a_plunger_at_its_end_is_empty_or_full(step, code):
    bench = Bench(SLOW)
    bench.controller.load(50 * AL if step is INFUSE else 50 * ML - 50 * AL)
    bench.controller.plan(compiled([step], SLOW), False)
    bench.controller.start()
    assert settled(bench) == "alarm" and code in bench.alarms.standing()
    assert 49 <= len(bench.dose.edges) <= 50
    assert not bench.controller.run.ended


# -- what is watched ------------------------------------------------------------------------------


def test_what_warns_lets_the_motor_go_on_and_ends_by_itself():
    bench = started(INFUSE)
    guard = bench.controller.guard = Guard()
    guard.codes = ["A_BATTERY"]
    assert settled(bench, 1) == "infusing" and "A_BATTERY" in bench.alarms.standing()
    guard.codes = []
    settled(bench, 1)
    assert "A_BATTERY" not in bench.alarms.standing()


def test_what_must_not_go_on_cuts_the_current():
    bench = started(INFUSE)
    guard = bench.controller.guard = Guard()
    guard.codes = ["A_BATTERY", "A_DRIVER", "A_SYRINGE_OUT"]
    killed = []
    kill = bench.motor.kill
    bench.motor.kill = lambda: (killed.append(True), kill())
    bench.controller.service()
    assert bench.controller.state == "alarm" and not bench.pins.on and killed == [True]
    assert last(bench, "fault")["text"] == "too hot" and last(bench, "fault")["code"] == "A_DRIVER"
    assert set(bench.alarms.standing()) == {"A_BATTERY", "A_DRIVER"}, "the first that stops"
    bench.controller.service()
    assert "A_SYRINGE_OUT" not in bench.alarms.standing(), "at rest a start is refused"


def test_a_syringe_taken_out_is_no_fault_of_the_driver():
    bench = started(INFUSE)
    guard = bench.controller.guard = Guard()
    guard.codes = ["A_SYRINGE_OUT"]
    bench.controller.service()
    assert bench.alarms.standing() == ["A_SYRINGE_OUT"] and "fault" not in bench.names()


def test_a_pump_that_is_not_configured_is_watched():
    bench = Bench()
    guard = bench.controller.guard = Guard()
    guard.codes = ["A_BATTERY", "A_SYRINGE_OUT"]
    bench.controller.service()
    assert bench.alarms.standing() == ["A_BATTERY"]


def test_a_stall_is_what_the_guard_finds_it_to_be():
    bench = started(INFUSE)
    guard = bench.controller.guard = Guard()
    guard.cause = "A_DRIVER"
    bench.motor.poll = lambda: "A_STALL"
    bench.motor.halt()
    bench.controller._motion_ended("A_STALL")
    assert bench.alarms.standing() == ["A_DRIVER"]
    bench = started(INFUSE)
    bench.motor.halt()
    bench.controller._motion_ended("A_STALL")
    assert bench.alarms.standing() == ["A_STALL"]


# -- alarms ---------------------------------------------------------------------------------------


def test_an_alarm_that_stops_leaves_a_run_to_be_resumed():
    bench = started(INFUSE)
    bench.controller.change_rate(20 * HZ)
    stopped(bench, "A_STALL")
    assert (bench.controller.state, bench.controller.run.ended) == ("alarm", False)
    assert not bench.pins.on and bench.controller.pending.digest is None
    assert last(bench, "alarm")["text"] == "the motor is stuck" or last(bench, "alarm")["text"]


def test_a_rate_that_was_accepted_holds_after_an_alarm():
    bench = started(INFUSE)
    Slow(bench)
    bench.controller.change_rate(20 * HZ)
    del bench.motor.stop, bench.motor.poll
    stopped(bench, "A_STALL")
    assert bench.controller.run.item().rate == 20 * HZ


def test_an_alarm_that_ends_the_order_closes_it():
    bench = started(INFUSE)
    bench.controller.fault()
    told = last(bench, "end")
    assert (told["reason"], told["witnessed_steps"], told["run"]) == ("alarm", 20, "1-1")
    assert bench.controller.run.ended and bench.controller.order is None


def test_a_prime_is_not_resumed_after_an_alarm():
    bench = planned(PRIME)
    bench.controller.hold()
    bench.run_to(bench.clock.now + SECOND // 5)
    stopped(bench, "A_STALL")
    bench.controller.clear()
    assert bench.controller.state == "idle" and last(bench, "end")["reason"] == "alarm"


def test_the_third_stall_in_ten_minutes_is_more_than_a_stall():
    bench = started({**INFUSE, "volume_al": 10_000 * AL})
    for nth in range(1, 4):
        stopped(bench, "A_STALL")
        assert ("A_REPEATED" in bench.alarms.standing()) == (nth == 3)
        bench.controller.clear()
        if nth < 3:
            bench.controller.resume()
            settled(bench, 1)
    assert bench.controller.state == "idle" and bench.controller.run.ended


def test_an_alarm_before_there_is_a_motor_needs_none():
    bench = Bench()
    bench.controller.alarm("A_STOP_INPUT")
    assert bench.controller.state == "alarm"


def test_a_failing_flash_is_told():
    bench = started(INFUSE)
    bench.storage.failing = True
    assert settled(bench, 8) == "infusing" and "A_STORE" in bench.alarms.standing()


def test_a_state_that_can_not_follow_is_a_fault():
    bench = Bench(SLOW)
    with pytest.raises(RuntimeError) as told:
        bench.controller._go(states.KVO)
    assert str(told.value) == "state kvo can't follow idle"
    assert bench.controller.state == "idle" and not bench.controller.journal.due()
    bench.controller._go(states.IDLE)


# -- near empty -----------------------------------------------------------------------------------


def near(steps, left, **more):
    """Begin on a syringe with so many steps left; return whether it warns at once."""
    bench = Bench(SLOW)
    bench.controller.load((left + 2) * AL)
    bench.controller.plan(compiled(steps, SLOW, **more), False)
    bench.controller.start()
    bench.run_to(bench.clock.now + SECOND // 5)
    return bench


LONG = {**INFUSE, "volume_al": 10**6 * AL}
MINUTES = SLOW["alarms"]["near_empty_ms"] // 60_000


@pytest.mark.parametrize("seconds", [-10, 10])
def test_a_warning_comes_when_the_rate_will_empty_it_in_time(seconds):
    bench = near([LONG], 600 * MINUTES + 10 * seconds)
    assert ("A_NEAR_EMPTY" in bench.alarms.standing()) == (seconds < 0)
    if seconds < 0:
        left = bench.motor.remaining_steps()
        told = last(bench, "near_empty")
        assert told["run"] == "1-1" and type(told["remaining_nl"]) is int
        assert left <= told["remaining_nl"] * 10**9 // AL + 1 <= left + 3
        settled(bench, 5)
        assert bench.names().count("near_empty") == 1


@pytest.mark.parametrize(
    ("steps", "left", "warns"),
    [
        # A fast bolus takes its own volume; the slow rate after it goes on for long.
        ([{**BOLUS, "rate_al_per_h": 1000 * HZ}, {**LONG, "rate_al_per_h": HZ}], 5000, False),
        ([{**BOLUS, "rate_al_per_h": 1000 * HZ}, LONG], 5000, True),
        # It empties the syringe by itself.
        ([{**BOLUS, "rate_al_per_h": 10 * HZ}], 60, True),
        # After it nothing flows, or the vein is kept open.
        ([{**BOLUS, "rate_al_per_h": 100 * HZ}], 120, False),
        # What is drawn back does not empty it.
        ([{**BOLUS, "rate_al_per_h": 100 * HZ}, WITHDRAW], 120, False),
        # The order's own pause gives time.
        ([BOLUS, {**PAUSE, "duration_ms": 3_600_000}, LONG], 5000, False),
        ([BOLUS, PAUSE, LONG], 5000, True),
        # Each demand may be met: 10 steps every 10 s and the basal rate of 10 a second.
        ([{**PCA, "duration_ms": 86_400_000, "basal_al_per_h": HZ}], 1100, True),
        ([{**PCA, "duration_ms": 86_400_000, "basal_al_per_h": HZ}], 1300, False),
    ],
)
def test_doses_pauses_and_demands_are_reckoned_with(steps, left, warns):
    # The board warns ten minutes before.
    assert MINUTES == 10
    assert ("A_NEAR_EMPTY" in near(steps, left).alarms.standing()) == warns


def test_demands_beside_a_square_bolus_are_reckoned_with():
    # 1300 steps last long enough, as above. A bolus of 600 over 5 min, with demands beside it,
    # takes 900 of them; the rest lasts 200 s.
    bench = near([{**PCA, "duration_ms": 86_400_000, "basal_al_per_h": HZ}], 1300)
    assert bench.alarms.standing() == []
    bench.controller.bolus_now(600 * AL, None, 300_000)
    settled(bench, 3)
    assert bench.controller.state == "bolus" and "A_NEAR_EMPTY" in bench.alarms.standing()


def test_a_warning_ends_with_the_order():
    bench = near([{**INFUSE, "volume_al": 50 * AL}], 55)
    assert "A_NEAR_EMPTY" in bench.alarms.standing()
    settled(bench)
    assert bench.alarms.standing() == [] and bench.controller.state == "idle"


def test_a_new_pump_knows_of_nothing():
    c = Bench().controller
    assert (c.library, c.library_fault, c.order, c.reset_due) == (None, None, None, False)
    assert c.pause_left_ms() == 0 and not c.silent_since_matters()


def test_an_alarm_without_a_run_has_nothing_to_resume():
    bench = Bench(SLOW)
    bench.controller.alarm("A_STALL")
    bench.controller.clear()
    assert bench.controller.state == "idle" and bench.controller.run is None
    settled(bench, 1)
    assert any(name.startswith("alarms.") for name in bench.storage.files)


def test_a_demand_that_was_denied_before_the_order_began_is_counted_once():
    bench = planned(PCA)
    with pytest.raises(errors.Refused):
        bench.controller.demand()
    bench.controller.start()
    view = bench.controller.pca()
    assert (view["demands"], view["denied"]["state"]) == (1, 1)
    bench = planned(PCA)
    bench.controller.start()
    assert bench.controller.pca()["demands"] == 0


def test_a_warning_that_a_limit_denies_ends_with_the_order():
    bench = started(PCA)
    bench.controller.alarm("A_LIMIT")
    bench.controller.stop()
    assert bench.alarms.standing() == []


def test_a_held_bolus_that_is_let_go_is_a_stop():
    bench = planned(BOLUS)
    bench.controller.hold()
    settled(bench, 2)
    assert bench.names()[-1] == "stop" and last(bench, "stop")["reason"] == "released"


def test_a_pause_and_a_stop_name_their_run():
    bench = started(INFUSE)
    bench.controller.pause()
    assert bench.controller.state == "paused" and last(bench, "pause")["run"] == "1-1"
    bench.controller.stop()
    assert last(bench, "stop")["reason"] == "stop"


def test_a_dose_on_top_ends_with_an_alarm_and_is_told():
    bench = started(INFUSE)
    bench.controller.bolus_now(50 * AL, 20 * HZ)
    settled(bench, 1)
    stopped(bench, "A_STALL")
    assert last(bench, "bolus_end")["given_al"] < 50 * AL
    bench.controller.clear()
    bench.controller.resume()
    assert bench.controller.state == "infusing", "what is left of a dose is not given later"


def test_a_refusal_that_is_no_ones_fault_changes_nothing():
    bench = started(INFUSE)
    with pytest.raises(errors.Refused):
        bench.controller.load(ML)
    assert bench.controller.state == "infusing"
