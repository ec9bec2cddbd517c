"""A patient-controlled run: the rules of pca.py with motor, storage and resets around them."""

import json

import pytest
from unit.firmware.bench import Bench, alarm_table, compiled, errors
from unit.firmware.test_therapy import AL, ML, SLOW

from doseloop import resources

order = resources.firmware_module("order")
slots = resources.firmware_module("slots")
tick = resources.firmware_module("tick")

MIN = 60_000
HOUR = 3_600_000
# 1 mg/mL: basal 1 mL/h, 1 mL a minute, one every 6 min, at most 10 mL in any 4 h
STEP = {
    "mode": "pca",
    "basal_al_per_h": ML,
    "dose_al": ML,
    "dose_rate_al_per_h": 60 * ML,
    "lockout_ms": 6 * MIN,
    "limit_4h_al": 10 * ML,
}


def begun(step=STEP, bench=None):
    bench = bench or Bench(SLOW)
    bench.table.run("load", {"volume_al": 50 * ML})
    bench.controller.plan(compiled([step], SLOW), False)
    bench.controller.start()
    return bench


def to(bench, minutes):
    bench.run_to(round(minutes * MIN * 1000))


def ask(bench):
    return bench.table.run("demand", {})


@pytest.mark.requirement("C9")
def test_a_day_by_hand():
    bench = begun()
    to(bench, 10)
    assert bench.controller.state == "infusing" and bench.controller.rate() == ML
    assert ask(bench)["given_now"]
    assert (bench.controller.state, bench.controller.rate()) == ("bolus", 61 * ML)
    to(bench, 12)
    assert bench.controller.state == "infusing" and bench.controller.rate() == ML
    view = ask(bench)  # 2 min after the last: the lockout is 6
    assert not view["given_now"] and view["denied"]["lockout"] == 1
    assert bench.table.run("pca", {})["allowed_from_ms"] == 16 * MIN
    to(bench, 16.001)
    assert ask(bench)["given_now"]
    to(bench, 24 * 60 + 1)
    event = bench.events.since(0, 10**6)[-1]
    # 24 h at 1 mL/h and two doses
    assert event["e"] == "end"
    assert event["witnessed_steps"] == event["ordered_steps"] == 26 * ML // AL
    assert len(bench.dose.edges) == 26 * ML // AL


@pytest.mark.requirement("C12", "C15")
def test_the_worked_example_on_the_pump():
    # requirements.md: a request every minute for 20 h; the fullest 4 h hold 10.0 mL, to the step.
    bench = begun()
    for minute in range(20 * 60):
        bench.run_to(max(bench.clock.now, minute * MIN * 1000))
        ask(bench)
    bench.controller.stop()
    edges = [at for at, _ in bench.dose.edges]
    window, worst, first = 4 * HOUR * 1000, 0, 0
    for last, at in enumerate(edges):
        while edges[first] <= at - window:
            first += 1
        worst = max(worst, last - first + 1)
    assert worst in (10 * ML // AL, 10 * ML // AL + 1)  # 57626.6 steps: never a whole one more
    view = bench.table.run("pca", {})
    assert view["demands"] == 1200 == view["given"] + sum(view["denied"].values())


@pytest.mark.requirement("C10")
def test_a_reset_empties_no_window_and_ends_no_lockout():
    # C10: five doses, then the power goes; the new boot's clock begins at 0. A sixth would make
    # 10 mL with 4 h of basal rate, and what may have flowed since the last record comes on top.
    bench = begun()
    for nth in range(5):
        to(bench, 6 * nth + 0.001)
        assert ask(bench)["given_now"]
    to(bench, 26)
    again = Bench(SLOW)
    again.storage.files = dict(bench.storage.files)
    begun(bench=again)
    view = ask(again)
    assert not view["given_now"] and view["denied"]["lockout"] == 1
    to(again, 10)
    view = ask(again)
    assert not view["given_now"] and view["denied"]["limit"] == 1
    assert view["given"] == 0, "counts are the run's own"


@pytest.mark.requirement("C14")
def test_a_start_that_the_limit_leaves_no_room_for_names_the_wait():
    bench = begun()
    for nth in range(6):
        to(bench, 6 * nth + 0.001)
        assert ask(bench)["given_now"]
    again = Bench(SLOW)
    again.storage.files = dict(bench.storage.files)
    with pytest.raises(errors.Refused) as caught:
        begun(bench=again)
    assert caught.value.code == "E_LIMIT" and caught.value.next.startswith("wait ")
    assert again.controller.state == "ready" and not again.dose.active


@pytest.mark.parametrize(
    "text", ["doseloop pca 1 00000000\n[]\n", slots.pack("pca", 1, 1, "[1]")]
)  # by its CRC, and by what is in it
def test_a_damaged_history_is_for_a_person_to_judge(text):
    bench = Bench(SLOW)
    bench.storage.files["pca.a"] = text
    with pytest.raises(errors.Refused) as caught:
        begun(bench=bench)
    assert caught.value.code == "E_STORE"
    assert "A_STORE" in bench.alarms.standing() and not bench.dose.active
    with pytest.raises(errors.Refused):
        bench.controller.start()
    bench.controller.clear()
    bench.controller.start()
    assert ask(bench)["given_now"]


def test_an_order_without_a_4_h_limit_forgets_none():
    # Six doses, then an order that knows only an hour: the first limit still holds after it.
    bench = begun()
    for nth in range(6):
        to(bench, 6 * nth + 0.001)
        ask(bench)
    to(bench, 95)
    before = bench.table.run("pca", {})["used_nl"]
    bench.controller.stop()
    begun({**STEP, "basal_al_per_h": 0, "limit_4h_al": 0, "limit_1h_al": 8 * ML}, bench)
    bench.controller.stop()
    begun(bench=bench)
    assert bench.table.run("pca", {})["used_nl"][0] >= before[0]
    assert ask(bench)["denied"]["limit"] == 1


@pytest.mark.requirement("A18")
def test_a_rate_change_that_an_alarm_overtakes_is_in_force_afterwards():
    # what the rules reckon with is what the motor runs
    bench = begun()
    to(bench, 5)
    bench.dose.flags |= tick.F_STOP
    assert bench.controller.change_rate(ML // 2)["rate_al_per_h"] == ML // 2
    assert bench.controller.state == "alarm"
    bench.dose.flags = 0
    bench.controller.clear()
    bench.controller.resume()
    assert bench.controller.rate() == ML // 2


def test_a_failing_flash_warns_and_does_not_disturb():
    # H11
    bench = begun()
    bench.storage.failing = True
    to(bench, 5)
    assert ask(bench)["given_now"]
    assert bench.alarms.standing() == ["A_STORE"]
    to(bench, 24 * 60 + 1)
    assert bench.events.since(0, 10**6)[-1]["witnessed_steps"] == 25 * ML // AL


def test_a_flash_that_fails_at_once_is_told_once():
    bench = begun()
    bench.storage.failing = True
    assert ask(bench)["given_now"]
    to(bench, 2)
    assert not ask(bench)["given_now"]
    told = [event for event in bench.events.since(0, 10**6) if event.get("code") == "A_STORE"]
    assert [event["e"] for event in told] == ["alarm"]
    assert (told[0]["priority"], told[0]["text"]) == (
        "low",
        alarm_table.TABLE["A_STORE"][3],
    )
    assert bench.alarms.standing() == ["A_STORE"]


@pytest.mark.parametrize("why", ["paused", "stop input"])
def test_a_demand_that_the_motor_can_not_follow_is_counted_and_told(why):
    bench = begun()
    if why == "paused":
        bench.controller.pause()
    else:
        bench.pins.stop = True
    assert ask(bench)["denied"]["state"] == 1
    event = bench.events.since(0, 10**6)[-1]
    assert (event["e"], event["why"]) == ("denied", "state")


def test_what_is_stored_is_sealed_and_comes_before_the_motor():
    bench = begun()
    kept = slots.Slots(bench.storage, "pca")
    before = kept.read()
    ask(bench)
    text = kept.read()
    assert text != before
    assert json.loads(text)[2] == [0, 1]
    to(bench, 3)
    assert kept.read() != text, "and every minute"


@pytest.mark.requirement("C8", "C9", "C10")
def test_a_pause_ends_a_dose_and_the_lockout_goes_on():
    bench = begun()
    to(bench, 10)
    ask(bench)
    bench.run_to(bench.clock.now + 30_000_000)
    bench.controller.pause()
    assert bench.table.run("pca", {})["given_nl"] == pytest.approx(ML / 2 / 10**9, rel=0.01)
    assert ask(bench)["denied"]["state"] == 1
    to(bench, 15)
    bench.controller.resume()
    assert ask(bench)["denied"]["lockout"] == 1
    to(bench, 16.01)
    assert ask(bench)["given_now"]


def test_without_a_basal_rate_it_waits_for_demands():
    bench = begun({**STEP, "basal_al_per_h": 0, "duration_ms": HOUR})
    assert bench.controller.state == "paused" and bench.controller.rate() == 0
    to(bench, 20)
    assert ask(bench)["given_now"]
    assert (bench.controller.state, bench.controller.rate()) == ("bolus", 60 * ML)
    bench.run_out()
    bench.run_to(2 * HOUR * 1000)
    event = bench.events.since(0, 10**6)[-1]
    assert event["e"] == "end" and event["witnessed_steps"] == ML // AL


@pytest.mark.requirement("C21")
def test_a_clinician_bolus_counts_and_is_kept_apart():
    bench = begun()
    to(bench, 5)
    bench.controller.bolus_now(6 * ML, 60 * ML)
    to(bench, 20)
    view = ask(bench)
    assert not view["given_now"] and view["denied"]["limit"] == 1
    assert (view["boluses"], view["bolus_nl"], view["given"]) == (1, 6 * 10**6, 0)
    with pytest.raises(errors.Refused) as caught:
        bench.controller.bolus_now(6 * ML, 60 * ML)
    assert caught.value.code == "E_LIMIT"
    event = bench.events.since(0, 10**6)[-1]
    assert (event["e"], event["why"], event["volume_al"]) == ("denied", "limit", 6 * ML)


@pytest.mark.requirement("C21")
def test_a_clinician_bolus_that_is_set_apart_leaves_the_limits_alone():
    # 6 mL of the clinician's; then 10 mL less 4 h of 1 mL/h leave six doses of the patient's.
    bench = begun({**STEP, "boluses_apart": 1})
    to(bench, 5)
    bench.controller.bolus_now(6 * ML, 60 * ML)
    for nth in range(6):
        to(bench, 20 + 6 * nth + 0.001)
        assert ask(bench)["given_now"], nth
    to(bench, 60)
    view = ask(bench)
    assert view["denied"]["limit"] == 1 and not view["boluses_count"]
    assert (view["boluses"], view["bolus_nl"], view["given"]) == (1, 6 * 10**6, 6)
    assert view["used_nl"] == [7 * 10**6]  # an hour of basal rate, six doses


@pytest.mark.requirement("C14")
def test_at_the_limit_it_warns_until_a_dose_may_be_given_again():
    # Doses at 0, 6 … 30 min are 6 mL; with 4 h of basal rate 10 mL: the seventh is denied. Until
    # 4 h have passed since the first began, whose last part leaves the window in its minute.
    bench = begun()
    for nth in range(6):
        to(bench, 6 * nth + 0.001)
        assert ask(bench)["given_now"]
    assert bench.alarms.standing() == []
    to(bench, 40)
    assert ask(bench)["denied"]["limit"] == 1
    assert ask(bench)["denied"]["limit"] == 2
    assert bench.alarms.standing() == ["A_LIMIT"] and not bench.alarms.stopping()
    # The dose was refused, not the basal rate: it had its room in every window before.
    assert bench.controller.state == "infusing" and bench.controller.rate() == ML
    logged = [event for event in bench.events.since(0, 10**6) if event["e"] in ("denied", "alarm")]
    assert [event["e"] for event in logged] == ["denied", "alarm", "denied"]
    assert (logged[0]["why"], logged[1]["priority"]) == ("limit", "low")
    free = bench.table.run("pca", {})["allowed_from_ms"]
    to(bench, free / MIN - 0.01)
    assert bench.alarms.standing() == ["A_LIMIT"] and bench.controller.rate() == ML
    to(bench, free / MIN + 1.1)
    assert bench.alarms.standing() == []
    assert bench.events.since(0, 10**6)[-1]["code"] == "A_LIMIT"
    assert ask(bench)["given_now"]


@pytest.mark.requirement("C14")
def test_the_warning_of_a_limit_ends_with_a_dose_a_person_or_the_run():
    def at_the_limit():
        bench = begun({**STEP, "limit_4h_al": 0, "limit_1h_al": 2 * ML + ML // 2})
        ask(bench)
        to(bench, 10)
        ask(bench)
        assert bench.alarms.standing() == ["A_LIMIT"]
        return bench

    bench = at_the_limit()
    bench.controller.clear()
    assert bench.alarms.standing() == [] and bench.controller.state == "infusing"
    assert ask(bench)["denied"]["limit"] == 2 and bench.alarms.standing() == ["A_LIMIT"]
    bench = at_the_limit()
    bench.controller.stop()
    assert bench.alarms.standing() == []
    bench = at_the_limit()
    to(bench, bench.table.run("pca", {})["allowed_from_ms"] / MIN + 0.0001)
    assert bench.alarms.standing() == ["A_LIMIT"], "main has not looked yet"
    assert ask(bench)["given_now"]
    assert bench.alarms.standing() == []


@pytest.mark.requirement("C14")
@pytest.mark.parametrize(("basal", "kvo"), [(0, 0), (ML, ML)])
def test_what_keeps_the_vein_open_never_passes_a_limit(basal, kvo):
    # A dose at the order's end; 3 mL/h of KVO on top of it would pass 2.1 mL in an hour.
    step = {**STEP, "basal_al_per_h": basal, "duration_ms": 30 * MIN, "limit_4h_al": 0}
    bench = Bench(SLOW)
    bench.table.run("load", {"volume_al": 50 * ML})
    step["limit_1h_al"] = 21 * ML // 10
    bench.controller.plan(compiled([step], SLOW, kvo=3 * ML), False)
    bench.controller.start()
    to(bench, 29.99)
    assert ask(bench)["given_now"]
    to(bench, 120)
    assert bench.controller.rate() == kvo
    assert bench.controller.state == ("kvo" if kvo else "idle")
    edges = [at for at, _ in bench.dose.edges]
    hour = HOUR * 1000
    worst = max(
        sum(1 for at in edges[i:] if at < edges[i] + hour) for i in range(0, len(edges), 9)
    )
    assert worst <= 21 * ML // 10 // AL + 1


@pytest.mark.requirement("C13")
def test_the_basal_rate_is_changed_within_the_limits():
    bench = begun()
    to(bench, 5)
    with pytest.raises(errors.Refused) as caught:
        bench.controller.change_rate(3 * ML)  # 12 mL in 4 h
    assert caught.value.code == "E_LIMIT"
    assert bench.controller.rate() == ML
    bench.controller.change_rate(2 * ML)
    assert bench.controller.rate() == 2 * ML


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"dose_al": 0}, "E_ORDER"),
        ({"limit_4h_al": 0}, "E_ORDER"),
        ({"volume_al": ML}, "E_ORDER"),
        ({"dose_rate_al_per_h": 10**22}, "E_RATE_HIGH"),
        ({"basal_al_per_h": 1}, "E_RATE_LOW"),
        ({"basal_al_per_h": 3 * ML}, "E_LIMIT"),  # 12 mL in 4 h
        ({"lockout_ms": 59_999}, "E_DURATION"),
        ({"boluses_apart": 2}, "E_ORDER"),
        ({"boluses_apart": True}, "E_ORDER"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(change, code):
    with pytest.raises(errors.Refused) as caught:
        order.make("pca", [{**STEP, **change}], SLOW)
    assert caught.value.code == code


def test_it_is_an_order_of_its_own():
    with pytest.raises(errors.Refused):
        order.make("pca", [STEP, STEP], SLOW)
    with pytest.raises(errors.Refused):
        order.make("pca", [STEP], SLOW, repeat=2)


def test_only_a_controlled_run_takes_demands():
    with pytest.raises(errors.Refused):
        ask(Bench(SLOW))
    with pytest.raises(errors.Refused):
        Bench(SLOW).table.run("pca", {})
