"""What a host or a person may ask of the pump, in which state, worked by hand: controller.py."""

import pytest
from unit.firmware.bench import Bench, Button, compiled, configuration, errors

SLOW = configuration(pull_in_hz=20_000, backlash_steps=0)  # no ramps, no take-up
AL = SLOW["motion"]["al_per_step"]
ML = 10**15
SECOND = 1_000_000  # ticks
HZ = 3600 * AL  # a rate of one step a second

INFUSE = {"mode": "infuse", "volume_al": 100 * AL, "rate_al_per_h": 10 * HZ}
BOLUS = {"mode": "bolus", "volume_al": 100 * AL, "rate_al_per_h": 10 * HZ}
PRIME = {"mode": "prime", "volume_al": 100 * AL, "rate_al_per_h": 10 * HZ}
PAUSE = {"mode": "pause", "duration_ms": 5000}
PCA = {
    "mode": "pca", "basal_al_per_h": 10 * HZ, "dose_al": 10 * AL, "dose_rate_al_per_h": 20 * HZ,
    "lockout_ms": 10_000, "limit_1h_al": 10**5 * AL, "limit_4h_al": 10**6 * AL,
    "duration_ms": 60_000,
}  # fmt: skip


def planned(*steps, config=SLOW, **more):
    bench = Bench(config)
    bench.controller.load(50 * ML)
    bench.controller.plan(compiled(list(steps), config, **more), False)
    return bench


def started(*steps, seconds=2, **more):
    bench = planned(*steps, **more)
    bench.controller.start()
    bench.run_to(bench.clock.now + int(seconds * SECOND))
    return bench


def refused(call, *arguments):
    """Return code, text and next step of a refusal."""
    with pytest.raises(errors.Refused) as told:
        call(*arguments)
    return told.value.code, told.value.message, told.value.next


def stopped(bench, code):
    """An alarm for which the motor has just been stopped."""
    bench.controller.halt_now()
    bench.controller.alarm(code)


def made(bench):
    bench.controller.stop()
    bench.run_to(bench.clock.now + SECOND)
    return len(bench.dose.edges)


class Guard:
    """Sees what a test says."""

    def __init__(self):
        self.codes, self.why, self.not_ready, self.cause = [], "too hot", (None, None), "A_STALL"

    def look(self, motor):
        return self.codes

    def ready(self):
        return self.not_ready

    def stalled(self):
        return self.cause


class Sensing:
    """A force sensor's part: ``busy`` while it backs off; ``looks``: how often it was asked."""

    def __init__(self):
        self.busy, self.looks, self.wait, self.asked = False, 0, 500, []

    def serve(self, controller):
        return self.busy

    def look(self, controller):
        self.looks += 1

    def wait_ms(self, moving):
        self.asked.append(moving)
        return self.wait

    def need_stand(self):
        if self.busy:
            raise errors.Refused("E_STATE", "not while the plunger backs off")


# -- before an order ------------------------------------------------------------------------------


def test_a_pump_without_configuration_plans_and_loads_nothing():
    controller = Bench().controller
    want = ("E_CONFIG", "the pump has no configuration")
    assert refused(controller.load, ML)[:2] == want
    assert refused(controller.plan, compiled([INFUSE], SLOW), False)[:2] == want
    assert (controller.rate(), controller.wait_ms()) == (0, 2000)
    controller.service()
    controller.fault()
    assert controller.state == "alarm"


def test_another_boards_configuration_waits_for_a_reset():
    bench = Bench(SLOW)
    bench.controller.reset_due = True
    assert refused(bench.controller.load, ML) == (
        "E_CONFIG", "another board's configuration waits", "reset it"
    )  # fmt: skip


def test_a_new_configuration_forgets_the_order():
    bench = planned(INFUSE)
    bench.controller.configure(SLOW, bench.motor)
    assert bench.controller.state == "idle" and bench.controller.order is None
    assert refused(bench.controller.plan_view)[:2] == ("E_STATE", "there is no order")


@pytest.mark.parametrize("volume_al", [0, -1, 50 * ML + 1])
def test_a_syringe_holds_what_it_holds(volume_al):
    bench = Bench(SLOW)
    code, message, _ = refused(bench.controller.load, volume_al)
    assert (code, message) == ("E_VOLUME", "the syringe holds 50 mL")
    with pytest.raises(errors.Refused) as told:
        bench.controller.load(volume_al)
    assert (told.value.limit, told.value.nearest) == ("50 mL", "50 mL")
    assert bench.motor.remaining_steps() == 0


def test_a_full_syringe_is_loaded_and_told():
    bench = Bench(SLOW)
    assert bench.controller.load(50 * ML) == {
        "remaining_nl": 50 * ML // AL * AL // 10**9
    }  # fmt: skip
    assert bench.events.since(0, 10)[-1]["volume_al"] == 50 * ML
    assert bench.names() == ["load"]
    assert bench.controller.journal.due()


def test_the_plan_can_be_looked_at_and_dropped():
    bench = planned(INFUSE)
    assert bench.controller.plan_view()["ordered_steps"] == 100
    assert bench.controller.stop() == {}
    assert bench.controller.state == "idle" and bench.controller.order is None
    assert bench.controller.stop() == {}  # nothing was ever run


def test_the_order_that_was_shown_is_the_one_that_starts():
    bench = planned(INFUSE)
    assert refused(bench.controller.start, "00000000")[:2] == (
        "E_ORDER", "the pump holds another order"
    )  # fmt: skip
    bench.controller.start(bench.controller.order.crc)
    assert bench.controller.state == "infusing"


def test_a_prime_is_not_started_but_held():
    bench = planned(PRIME)
    assert refused(bench.controller.start) == (
        "E_STATE", "a prime lasts while it is held", "send `hold`"
    )  # fmt: skip
    assert bench.controller.hold()["state"] == "priming"
    assert refused(started(INFUSE).controller.start)[1] == "not while infusing"


# -- pause, resume, stop --------------------------------------------------------------------------


def test_a_pause_loses_nothing_and_a_second_changes_nothing():
    bench = started(INFUSE)
    told = bench.controller.pause()
    assert (told["state"], told["run"]) == ("paused", "1-1")
    assert told["witnessed_steps"] == len(bench.dose.edges) == 20
    count = len(bench.names())
    assert bench.controller.pause() == told and len(bench.names()) == count
    assert bench.names()[-2:] == ["stretch_end", "pause"]
    assert bench.controller.rate() == 0
    bench.controller.resume()
    assert bench.names()[-2:] == ["resume", "stretch"]
    assert bench.events.since(0, 99)[-2]["run"] == "1-1"
    assert bench.controller.rate() == 10 * HZ
    bench.run_out()
    assert len(bench.dose.edges) == 100


def test_what_is_not_under_way_can_not_be_paused_or_resumed():
    bench = planned(INFUSE)
    assert refused(bench.controller.pause)[:2] == ("E_STATE", "not while ready")
    assert refused(bench.controller.resume)[:2] == ("E_STATE", "not while ready")
    assert refused(started(INFUSE).controller.resume)[:2] == ("E_STATE", "not while infusing")


def test_keeping_the_vein_open_is_no_order_that_could_be_paused():
    bench = started(INFUSE, seconds=12, kvo=HZ)
    assert bench.controller.state == "kvo"
    assert refused(bench.controller.pause)[:2] == ("E_STATE", "not while kvo")


def test_an_ordered_pause_is_not_resumed_but_paused_or_stopped():
    bench = started(INFUSE, PAUSE, INFUSE, seconds=11)
    controller = bench.controller
    assert controller.state == "paused" and 3000 < controller.pause_left_ms() < 5000
    assert controller.wait_ms() == 1000
    assert refused(controller.resume)[:2] == (
        "E_STATE", "the order itself pauses here; `stop` ends it"
    )  # fmt: skip
    left = controller.pause_left_ms()
    controller.pause()  # what is left of it stays to be waited
    assert controller.pause_left_ms() == 0
    controller.resume()
    assert controller.pause_left_ms() == left
    bench.run_to(bench.clock.now + 1000 * (left - 300))
    assert controller.wait_ms() == 300 and controller.state == "paused"
    bench.run_to(bench.clock.now + 300_000)
    assert controller.state == "infusing" and bench.names()[-2:] == ["resume", "stretch"]
    assert bench.events.since(0, 99)[-2]["run"] == "1-1"
    assert made(bench) == 100


def test_a_resume_heeds_what_forbids_motion():
    bench = started(INFUSE)
    bench.controller.pause()
    bench.pins.stop = True
    assert refused(bench.controller.resume)[:2] == ("E_STOP_OPEN", "the stop input opened")
    assert bench.controller.state == "paused"
    bench.pins.stop = False
    bench.controller.resume()
    assert bench.controller.state == "infusing"


def test_a_button_that_is_down_at_a_resume_gives_nothing():
    bench = Bench(SLOW)
    button = bench.controller.button = Button(bench.clock)
    bench.controller.load(50 * ML)
    bench.controller.plan(compiled([PCA], SLOW), False)
    bench.controller.start()
    bench.run_to(2 * SECOND)
    bench.controller.pause()
    button.set(True)
    bench.controller.resume()
    bench.run_to(4 * SECOND)
    assert "bolus" not in bench.names()
    button.set(False)
    bench.run_to(5 * SECOND)
    button.set(True)
    bench.run_to(6 * SECOND)
    assert "bolus" in bench.names()


def test_a_patients_history_that_was_damaged_is_asked_for_again_at_a_resume():
    bench = started(PCA, seconds=3)
    for name in ("pca.a", "pca.b"):
        if name in bench.storage.files:
            bench.storage.files[name] = "damaged"
    again = bench.reboot()
    assert set(again.alarms.standing()) == {"A_STORE", "A_RESET"}
    assert refused(again.controller.resume)[:2] == (
        "E_STORE", "the record of what was given is damaged"
    )  # fmt: skip
    again.controller.clear()
    assert again.controller.resume()["state"] == "infusing"
    assert again.controller.pca()["given"] == 0
    assert "A_RESET" not in again.alarms.standing()


def test_a_stop_says_what_was_delivered_and_a_second_says_it_again():
    bench = started(INFUSE)
    told = bench.controller.stop()
    assert (told["state"], told["witnessed_steps"], bench.names()[-1]) == ("idle", 20, "stop")
    assert bench.controller.stop() == told
    assert bench.controller.order is None


def test_a_stop_in_an_alarm_ends_those_that_stop_and_the_run():
    bench = started(INFUSE)
    stopped(bench, "A_STALL")
    bench.controller.alarm("A_BATTERY")
    bench.controller.stop()
    assert bench.alarms.standing() == ["A_BATTERY"]
    assert bench.controller.state == "idle" and bench.controller.run.ended


def test_a_stop_in_an_ordered_pause_ends_it():
    bench = started(INFUSE, PAUSE, INFUSE, seconds=11)
    assert bench.controller.stop()["state"] == "idle"
    assert bench.controller.pause_left_ms() == 0
    bench.run_to(bench.clock.now + 10 * SECOND)
    assert len(bench.dose.edges) == 100


def test_after_a_reset_a_stop_ends_what_was_interrupted():
    again = started(INFUSE).reboot()
    assert (again.controller.state, again.alarms.standing()) == ("interrupted", ["A_RESET"])
    assert again.controller.stop()["state"] == "idle"
    assert again.alarms.standing() == []


def test_after_a_reset_a_resume_ends_its_alarm_and_says_so():
    again = started(INFUSE).reboot()
    again.controller.resume()
    assert again.alarms.standing() == []
    ended = [event["code"] for event in again.events.since(0, 99) if event["e"] == "clear"]
    assert ended == ["A_RESET"]
    again.run_out()
    assert len(again.dose.edges) == 100


# -- rate -----------------------------------------------------------------------------------------


def test_a_rate_is_changed_where_it_flows():
    bench = started(INFUSE)
    assert bench.controller.change_rate(20 * HZ) == {"rate_al_per_h": 20 * HZ}
    assert bench.controller.rate() == 20 * HZ
    bench.run_out()
    assert len(bench.dose.edges) == 100
    assert bench.dose.edges[-1][0] - bench.dose.edges[-2][0] == SECOND // 20


def test_a_rate_is_changed_in_a_pause():
    bench = started(INFUSE)
    bench.controller.pause()
    bench.controller.change_rate(20 * HZ)
    (told,) = [event for event in bench.events.since(0, 99) if event["e"] == "rate"]
    assert (told["old"], told["rate"], told["applies"]) == (10 * HZ, 20 * HZ, True)
    bench.controller.resume()
    assert bench.controller.rate() == 20 * HZ


def test_what_is_drawn_back_has_a_rate_and_its_end_switch():
    back = {"mode": "withdraw", "volume_al": 100 * AL, "rate_al_per_h": 10 * HZ}
    bench = Bench(SLOW)
    bench.controller.load(25 * ML)
    bench.controller.plan(compiled([back], SLOW), False)
    bench.controller.start()
    bench.run_to(2 * SECOND)
    bench.controller.propose_rate(20 * HZ)
    bench.controller.change_rate(20 * HZ)
    assert bench.controller.rate() == 20 * HZ
    bench.controller.pause()
    bench.pins.ends.add(1)  # the other one
    bench.controller.resume()
    bench.controller.pause()
    bench.pins.ends = {-1}
    assert refused(bench.controller.resume)[0] == "E_END_SWITCH"


def test_a_proposed_rate_is_shown_and_waits():
    bench = started(INFUSE)
    told = bench.controller.propose_rate(20 * HZ)
    assert (told["old_al_per_h"], told["new_al_per_h"]) == (10 * HZ, 20 * HZ)
    assert bench.controller.rate() == 10 * HZ


def test_a_bolus_has_the_rate_of_its_order():
    bench = started(BOLUS)
    assert refused(bench.controller.propose_rate, 20 * HZ)[:2] == (
        "E_STATE", "the rate of a bolus is the order's"
    )  # fmt: skip


@pytest.mark.parametrize("steps", [(INFUSE, PAUSE, INFUSE), (INFUSE,)])
def test_what_does_not_flow_has_no_rate(steps):
    bench = started(*steps, seconds=11 if len(steps) > 1 else 2)
    if len(steps) == 1:
        bench.controller.change_rate(20 * HZ)
        bench.dose._stop_ramp = [(1, 0, 10)]
    else:
        assert refused(bench.controller.change_rate, 20 * HZ) == (
            "E_STATE", "nothing is being delivered", "try again"
        )  # fmt: skip


def test_a_rate_out_of_the_range_is_refused():
    code, _, _ = refused(started(INFUSE).controller.change_rate, 10**9 * HZ)
    assert code == "E_RATE_HIGH"


def test_a_drug_has_its_say_in_a_rate():
    class Library:
        named = None

        def check(self, what, rate):
            raise errors.Refused("E_HARD_LIMIT", "%s %d" % (what, rate // HZ))

    bench = started(INFUSE)
    bench.controller.run.order.library = Library()
    assert refused(bench.controller.change_rate, 20 * HZ)[:2] == ("E_HARD_LIMIT", "rate 20")
    assert bench.controller.rate() == 10 * HZ


def test_a_patients_basal_rate_is_changed_with_the_rules():
    bench = started(PCA)
    bench.controller.change_rate(5 * HZ)
    assert bench.controller.pca()["allowed_from_ms"] is not None
    assert bench.controller._patient.kvo(100 * HZ) == 5 * HZ


# -- held -----------------------------------------------------------------------------------------


def test_a_held_bolus_ends_300_ms_after_the_last_hold():
    bench = planned(BOLUS)
    controller = bench.controller
    assert controller.hold()["state"] == "bolus"
    begun = bench.clock.now
    for _ in range(4):
        assert controller.wait_ms() <= 301
        bench.run_to(bench.clock.now + 250_000)
        controller.hold()
    bench.run_to(bench.clock.now + 2 * SECOND)
    assert controller.state == "idle" and not controller._bolus.held
    assert bench.events.since(0, 99)[-1]["reason"] == "released"
    # Held for 1 s and 0.301 s more: 13 steps at 10 a second.
    assert len(bench.dose.edges) == 13
    assert bench.dose.edges[-1][0] <= begun + 1_301_000


def test_nothing_is_held_that_is_no_bolus():
    want = ("E_STATE", "nothing to be held is planned", "plan a `bolus`")
    assert refused(planned(INFUSE).controller.hold) == want
    assert refused(planned(BOLUS, INFUSE).controller.hold) == want
    assert refused(started(BOLUS).controller.hold) == want  # started, so it is not held
    assert refused(Bench(SLOW).controller.hold)[:2] == ("E_STATE", "not while idle")


# -- alarms ---------------------------------------------------------------------------------------


def test_a_clear_leads_to_a_pause_and_the_run_goes_on():
    bench = started(INFUSE)
    stopped(bench, "A_STALL")
    assert bench.controller.state == "alarm"
    assert bench.controller.clear() == {"alarms": []}
    assert bench.controller.state == "paused" and not bench.controller.run.ended
    bench.controller.resume()
    bench.run_out()
    assert len(bench.dose.edges) == 100


def test_a_clear_of_what_ends_the_order_leads_to_idle():
    bench = started(INFUSE)
    bench.controller.fault()
    assert bench.controller.clear() == {"alarms": []}
    assert bench.controller.state == "idle"
    ends = [event for event in bench.events.since(0, 99) if event["e"] == "end"]
    assert [event["reason"] for event in ends] == ["alarm"]


def test_an_open_stop_input_is_not_cleared():
    bench = started(INFUSE)
    bench.pins.stop = True
    bench.controller.alarm("A_STOP_INPUT")
    assert refused(bench.controller.clear)[:2] == ("E_STOP_OPEN", "the stop input is open")
    assert bench.alarms.standing() == ["A_STOP_INPUT"]
    bench.pins.stop = False
    assert bench.controller.clear() == {"alarms": []}


def test_an_empty_syringe_is_answered_by_another_and_a_stuck_button_when_it_is_up():
    bench = started(INFUSE)
    button = bench.controller.button = Button(bench.clock, down=True)
    bench.controller.alarm("A_EMPTY")
    bench.controller.alarm("A_BUTTON")
    assert bench.controller.clear() == {"alarms": ["A_EMPTY", "A_BUTTON"]}
    assert bench.controller.state == "alarm"
    bench.controller.load(40 * ML)
    assert bench.controller.state == "paused"
    button.set(False)
    bench.run_to(bench.clock.now + SECOND)
    assert bench.controller.clear() == {"alarms": []}


def test_a_load_ends_the_alarms_of_a_syringe_and_no_other():
    bench = started(INFUSE)
    for code in ("A_EMPTY", "A_FULL", "A_NEAR_EMPTY", "A_STALL"):
        bench.controller.alarm(code)
    bench.controller.load(40 * ML)
    assert bench.alarms.standing() == ["A_STALL"] and bench.controller.state == "alarm"


def test_a_load_in_an_alarm_without_a_run_leads_to_idle():
    bench = started(INFUSE)
    bench.run_out()
    bench.controller.alarm("A_EMPTY")
    bench.controller.load(40 * ML)
    assert bench.controller.state == "idle"


def test_while_the_plunger_backs_off_nothing_is_loaded_or_cleared():
    bench = Bench(SLOW)
    bench.controller.sensing = Sensing()
    bench.controller.sensing.busy = True
    want = ("E_STATE", "not while the plunger backs off")
    assert refused(bench.controller.load, ML)[:2] == want
    assert refused(bench.controller.clear)[:2] == want


def test_the_threshold_is_shown_or_proposed():
    class Pressure:
        threshold_pa = 60_000

    controller = Bench(SLOW).controller
    sensing = controller.sensing = Sensing()
    sensing.pressure, sensing.now_pa = Pressure(), lambda controller: 1_234
    assert controller.occlusion(None) == {"threshold_pa": 60_000, "pressure_pa": 1_234}
    assert controller.occlusion(80_000 * 10**9)["new"] == "80 kPa"


def test_a_board_without_force_sensor_has_no_threshold():
    assert refused(Bench(SLOW).controller.occlusion, None) == (
        "E_CONFIG", "this board has no force sensor", "see `help`"
    )  # fmt: skip


def test_a_fault_stops_everything_from_any_state():
    for bench in (Bench(SLOW), planned(INFUSE), started(INFUSE)):
        bench.controller.fault()
        assert bench.controller.state == "alarm" and bench.controller.order is None
        assert bench.alarms.standing() == ["A_FAULT"]
        assert not bench.dose.active and not bench.pins.on
        bench.controller.fault()
        assert bench.alarms.standing() == ["A_FAULT"]


# -- time -----------------------------------------------------------------------------------------


def test_a_host_that_falls_silent_stops_an_order_that_chose_so():
    bench = started(INFUSE, stop_ms=3000)
    assert bench.controller.silent_since_matters()
    bench.controller.link_lost(2999)
    assert bench.controller.state == "infusing"
    bench.controller.link_lost(3000)
    assert (bench.controller.state, bench.alarms.standing()) == ("alarm", ["A_LINK"])
    count = len(bench.names())
    bench.controller.link_lost(9000)
    assert len(bench.names()) == count


def test_a_host_that_falls_silent_ends_a_pause_of_the_order_too():
    bench = started(INFUSE, PAUSE, INFUSE, seconds=11, stop_ms=3000)
    bench.controller.link_lost(3000)
    assert bench.alarms.standing() == ["A_LINK"] and bench.controller.pause_left_ms() == 0
    bench.controller.clear()
    bench.controller.resume()
    assert 3000 < bench.controller.pause_left_ms() < 5000


def test_who_did_not_choose_so_is_not_stopped():
    assert not started(INFUSE).controller.silent_since_matters()
    bench = planned(INFUSE, stop_ms=3000)
    assert not bench.controller.silent_since_matters()
    bench.controller.link_lost(3000)
    assert bench.controller.state == "ready"


def test_the_main_loop_wakes_for_whatever_is_first():
    bench = started(INFUSE)
    assert bench.controller.wait_ms() == bench.motor.wait_ms() > 2
    bench.run_to(int(9.995 * SECOND))
    assert bench.motor.draining() and bench.controller.wait_ms() == 2
    bench.run_out()
    assert bench.controller.wait_ms() == 2000
    sensing = bench.controller.sensing = Sensing()
    assert bench.controller.wait_ms() == 500 and sensing.asked == [False]
    button = bench.controller.button = Button(bench.clock)
    bench.clock.now += SECOND
    button.set(True)
    assert bench.controller.wait_ms() == button.wait_ms() < 500


def test_the_force_is_looked_at_while_the_motor_turns():
    bench = started(INFUSE)
    sensing = bench.controller.sensing = Sensing()
    bench.controller.service()
    assert sensing.looks == 1
    sensing.busy = True  # it backs off: the motion is its own
    bench.clock.now += 20 * SECOND
    bench.controller.service()
    assert sensing.looks == 1 and bench.controller.state == "infusing"


def test_a_break_pauses_a_run():
    bench = started(INFUSE)
    bench.dose.send_break()
    bench.controller.service()
    assert bench.controller.state == "paused" and bench.names()[-3] == "break"
    bench.controller.resume()
    assert bench.controller.state == "infusing"


def test_what_stands_in_the_way_of_a_start_is_named():
    bench = planned(INFUSE)
    guard = bench.controller.guard = Guard()
    guard.not_ready = ("A_SYRINGE_OUT", "the clamp is open")
    assert refused(bench.controller.start)[0] == "E_SYRINGE_OUT"
    assert bench.controller.state == "ready"
    guard.not_ready = (None, None)
    bench.controller.start()
    assert bench.controller.state == "infusing"


def test_a_plan_is_taken_when_none_is_under_way():
    planned(INFUSE).controller.may_plan()
    assert refused(started(INFUSE).controller.may_plan)[:2] == ("E_STATE", "not while infusing")


def test_a_run_that_was_complete_when_an_alarm_came_has_nothing_to_resume():
    bench = started(INFUSE)
    bench.clock.now = 11 * SECOND  # the last step is made, and nobody has looked
    stopped(bench, "A_STALL")
    bench.controller.clear()
    assert bench.controller.state == "paused"
    bench.controller.resume()
    assert bench.controller.state == "idle" and bench.names()[-1] == "end"
    assert len(bench.dose.edges) == 100


def test_a_press_of_the_button_gives_a_dose():
    bench = Bench(SLOW)
    button = bench.controller.button = Button(bench.clock)
    bench.controller.load(50 * ML)
    bench.controller.plan(compiled([PCA], SLOW), False)
    bench.controller.start()
    bench.run_to(2 * SECOND)
    button.set(True)
    bench.run_to(2_300_000)
    assert bench.controller.state == "bolus" and bench.controller.pca()["given"] == 1
