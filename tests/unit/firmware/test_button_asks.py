"""The bolus button on a pump: the patient's demand, in a patient's run, and nothing else ever."""

import pytest
from unit.firmware.bench import Bench, Button, errors, tick
from unit.firmware.test_patient import HOUR, MIN, SLOW, STEP, order
from unit.firmware.test_therapy import AL, ML, infuse

SECOND = 1_000_000


def wired(step=STEP, down=False):
    """Return a bench with a button, and the patient's order (or another) planned."""
    bench = Bench(SLOW)
    bench.button = bench.controller.button = Button(bench.clock, down)
    bench.table.run("load", {"volume_al": 50 * ML})
    bench.controller.plan(order.make("test", [step], SLOW), False)
    return bench


def begun(step=STEP, down=False):
    bench = wired(step, down)
    bench.controller.start()
    return bench


def wait(bench, seconds):
    bench.run_to(bench.clock.now + round(seconds * SECOND))


def press(bench, seconds=0.5):
    bench.button.set(True)
    wait(bench, seconds)
    bench.button.set(False)
    wait(bench, 0.5)


def told(bench, *names):
    return [event for event in bench.events.since(0, 10**6) if event["e"] in names]


def counts(bench):
    view = bench.table.run("pca", {})
    return view["demands"], view["given"]


@pytest.mark.requirement("F3")
def test_a_press_by_hand():
    bench = begun()
    wait(bench, 600)
    bench.button.set(True)
    wait(bench, 0.029)
    assert bench.controller.state == "infusing"
    wait(bench, 0.003)  # noticed after the 30 ms of its debounce, not after main's second
    assert (bench.controller.state, bench.controller.rate()) == ("bolus", 61 * ML)
    wait(bench, 0.5)
    bench.button.set(False)
    wait(bench, 120)
    press(bench)  # 2 min after the dose began: the lockout is 6
    assert [event["why"] for event in told(bench, "denied")] == ["lockout"]
    wait(bench, 5 * 60)
    press(bench)
    assert counts(bench) == (3, 2) and len(told(bench, "bolus")) == 2
    bench.run_to(25 * HOUR * 1000)
    assert len(bench.dose.edges) == 26 * ML // AL  # 24 h at 1 mL/h and two doses


def test_each_press_is_one_event():
    bench = begun()
    wait(bench, 60)
    for _ in range(30):
        bench.button.set(True)
        for _ in range(10):  # 100 Hz of bounce
            bench.button.set(False)
            wait(bench, 0.005)
            bench.button.set(True)
            wait(bench, 0.005)
        press(bench, 0.2)
    assert counts(bench) == (30, 1)
    assert len(told(bench, "bolus", "denied")) == 30


@pytest.mark.requirement("C16")
@pytest.mark.parametrize("where", ["ready", "paused", "alarm", "ended", "kvo"])
def test_when_no_dose_can_come_it_is_counted_as_unmet(where):
    # C16
    bench = wired({**STEP, "duration_ms": HOUR})
    if where == "kvo":
        kept = order.make("test", [{**STEP, "duration_ms": HOUR}], SLOW, kvo=ML // 2)
        bench.controller.plan(kept, False)
    if where != "ready":
        bench.controller.start()
        wait(bench, 300)
    if where == "paused":
        bench.controller.pause()
    elif where == "alarm":
        bench.dose.flags |= tick.F_STOP
        wait(bench, 2)
    elif where in ("ended", "kvo"):
        bench.run_to((HOUR + MIN) * 1000)
    assert bench.controller.state == {"ended": "idle"}.get(where, where)
    before = len(bench.dose.edges), bench.controller.state
    press(bench)
    press(bench)
    assert [event["why"] for event in told(bench, "denied")] == ["state", "state"]
    assert not told(bench, "bolus") and bench.controller.state == before[1]
    if where == "ready":
        bench.controller.start()
    assert counts(bench) == (2, 0)
    assert bench.table.run("pca", {})["denied"]["state"] == 2


@pytest.mark.parametrize("state", ["idle", "ready", "infusing", "paused", "withdrawing"])
def test_without_a_patients_order_it_is_nothing(state):
    bench = Bench(SLOW)
    bench.button = bench.controller.button = Button(bench.clock)
    bench.table.run("load", {"volume_al": 20 * ML})
    if state != "idle":
        step = dict(infuse(10 * ML, 20 * ML), mode="infuse")
        if state == "withdrawing":
            step["mode"] = "withdraw"
        bench.controller.plan(order.make("test", [step], SLOW), False)
    if state not in ("idle", "ready"):
        bench.controller.start()
    if state == "paused":
        wait(bench, 1)
        bench.controller.pause()
    assert bench.controller.state == state
    before = bench.events.last
    press(bench)
    assert bench.events.last == before and bench.controller.state == state
    assert not bench.alarms.standing()


def test_another_order_after_the_patients_is_not_the_patients():
    bench = begun()
    wait(bench, 60)
    bench.controller.stop()
    press(bench)
    assert counts(bench) == (1, 0)
    bench.controller.plan(order.make("test", [infuse(ML, 20 * ML)], SLOW), False)
    bench.controller.start()
    before = bench.events.last
    press(bench)
    assert bench.events.last == before and counts(bench) == (1, 0)


@pytest.mark.requirement("C19", "F5")
def test_a_button_that_sticks_gives_one_dose_and_then_an_alarm():
    # C19, F5
    bench = begun()
    wait(bench, 600)
    bench.button.set(True)
    wait(bench, 59.9)
    assert not bench.alarms.standing()
    wait(bench, 0.2)
    assert bench.alarms.standing() == ["A_BUTTON"]
    wait(bench, 3600)
    assert counts(bench) == (1, 1) and len(told(bench, "alarm")) == 1
    assert bench.controller.state == "infusing"  # it stops nothing
    assert bench.controller.clear()["alarms"] == ["A_BUTTON"]  # it is down yet
    bench.button.set(False)
    wait(bench, 1)
    assert bench.alarms.standing() == ["A_BUTTON"]
    press(bench)  # a contact that stuck once is not trusted until somebody has seen to it
    assert counts(bench) == (2, 1) and told(bench, "denied")[-1]["why"] == "state"
    assert bench.controller.clear()["alarms"] == []
    press(bench)
    assert counts(bench) == (3, 2)
    bench.button.set(True)
    wait(bench, 61)
    assert bench.alarms.standing() == ["A_BUTTON"] and len(told(bench, "alarm")) == 2


@pytest.mark.parametrize("when", ["boot", "before the start", "just before the start"])
def test_what_is_down_when_the_run_begins_gives_nothing(when):
    bench = wired(down=when == "boot")
    if when != "boot":
        bench.button.set(True)
        wait(bench, 5 if when == "before the start" else 0.02)
    denied = len(told(bench, "denied"))
    assert denied == (1 if when == "before the start" else 0)
    bench.controller.start()
    wait(bench, 54)
    assert not told(bench, "bolus") and not bench.alarms.standing()
    wait(bench, 10)
    assert bench.alarms.standing() == ["A_BUTTON"]
    bench.button.set(False)
    wait(bench, 1)
    bench.controller.clear()
    press(bench)
    assert counts(bench) == (1 + denied, 1)


def test_what_is_down_when_the_run_goes_on_gives_nothing():
    bench = begun()
    wait(bench, 60)
    bench.controller.pause()
    bench.button.set(True)
    wait(bench, 0.02)
    bench.controller.resume()
    wait(bench, 10)
    assert not told(bench, "bolus")


def test_stuck_without_any_order_it_warns_too():
    bench = Bench(SLOW)
    bench.controller.button = Button(bench.clock, True)
    wait(bench, 61)
    assert bench.alarms.standing() == ["A_BUTTON"] and bench.controller.state == "idle"


def test_a_demand_of_the_host_is_counted_after_the_end_too():
    bench = begun({**STEP, "duration_ms": HOUR})
    bench.run_to((HOUR + MIN) * 1000)
    assert bench.controller.state == "idle"
    view = bench.table.run("demand", {})
    assert not view["given_now"] and (view["demands"], view["given"]) == (1, 0)
    assert told(bench, "denied")[-1]["why"] == "state"
    assert not bench.dose.active


@pytest.mark.requirement("C16")
def test_a_demand_before_the_start_is_counted_and_refused():
    bench = wired()
    with pytest.raises(errors.Refused) as caught:
        bench.table.run("demand", {})
    assert caught.value.code == "E_STATE"
    bench.controller.start()
    assert counts(bench) == (1, 0)


def test_a_new_plan_begins_a_new_count():
    bench = wired()
    press(bench)
    bench.controller.plan(order.make("test", [STEP], SLOW), False)
    bench.controller.start()
    assert counts(bench) == (0, 0)
