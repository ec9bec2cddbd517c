"""A reset in the middle of a run: what was delivered is known, and it goes on only when asked to.

A reset that keeps power leaves the witness's count: exact to the step. A loss of power leaves the
record of the last second or two: then the books say how many steps they may be short of.
"""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from unit.firmware.bench import Bench, configuration, errors, slots
from unit.firmware.test_modes import HOUR, MIN, any_step, intermittent, ramp
from unit.firmware.test_therapy import AL, ML, SLOW, infuse, started, totals


def ask(bench, name, **args):
    """One pass of main: the reply goes out after what it says has been kept."""
    reply = bench.table.run(name, args)
    bench.controller.service()
    return reply


def last(bench, name):
    return [e for e in bench.events.since(0, 10**6) if e["e"] == name][-1]


@pytest.mark.requirement("B8", "F10")
def test_a_reset_by_hand():
    # 1 mL at 5 mL/h: 5762 steps, the k-th at floor(k * 124942.17852216) us. At 60.4 s 483 are
    # made (483.42); the record is of 60 s or so.
    bench = started([infuse(ML, 5 * ML)])
    bench.run_to(60_400_000)
    bench = bench.reboot()
    assert bench.controller.state == "interrupted" and not bench.pins.on
    assert bench.alarms.standing() == ["A_RESET"]
    event = last(bench, "interrupted")
    assert (event["run"], event["why"]) == ("1-1", None)
    assert [event[k] for k in ("commanded_steps", "witnessed_steps", "booked_in")] == [483] * 3
    assert bench.status()["run"]["delivered_nl"] == 483 * AL // 10**9
    assert bench.motor.position == 483
    bench.run_to(HOUR * 1000)
    assert bench.controller.state == "interrupted" and len(bench.dose.edges) == 483
    assert bench.alarms.standing() == ["A_RESET", "A_STANDBY", "A_WAITING"]
    bench.controller.resume()
    bench.controller.service()
    assert bench.controller.state == "infusing" and bench.alarms.standing() == []
    bench.run_out()
    assert totals(bench) == [5762] * 3 and len(bench.dose.edges) == 5762
    assert bench.motor.position == 5762
    assert bench.reboot().controller.state == "idle", "it is over"


@pytest.mark.requirement("B8")
def test_a_loss_of_power_by_hand():
    # The same. Eight steps a second: kept every 7 s, and the books may be short of 50 + 2 * 9 + 1.
    bench = started([infuse(ML, 5 * ML)])
    bench.run_to(60_400_000)
    bench = bench.reboot(power_lost=True)
    event = last(bench, "interrupted")
    made = event["witnessed_steps"]
    assert made <= 483 <= made + event["uncertain_steps"]
    assert event["uncertain_steps"] == 69 and made >= 483 - 58
    assert bench.status()["run"]["uncertain_steps"] == 69
    bench.controller.resume()
    bench.run_out()
    assert totals(bench) == [5762] * 3
    assert 5762 <= len(bench.dose.edges) <= 5762 + 69


def test_abandoned_the_total_is_what_was_delivered():
    bench = started([infuse(ML, 5 * ML)])
    bench.run_to(60_400_000)
    bench = bench.reboot()
    ask(bench, "stop")
    assert totals(bench) == [5762, 483, 483]
    assert bench.controller.state == "idle" and bench.alarms.standing() == []
    assert bench.reboot().controller.state == "idle"


def test_two_resets_in_a_row_count_no_step_twice():
    bench = started([infuse(ML, 5 * ML)])
    bench.run_to(60_400_000)
    for power_lost in (False, False, True):
        bench = bench.reboot(power_lost)
        assert bench.controller.run.witnessed == 483
    bench.controller.resume()
    bench.run_to(bench.clock.now + 10_000_000)
    bench = bench.reboot()
    assert bench.controller.run.witnessed == len(bench.dose.edges)


def test_nothing_else_goes_before_the_interrupted_run_is_answered():
    bench = started([infuse(ML, 5 * ML)])
    bench.run_to(60_000_000)
    bench = bench.reboot()
    asked = {
        "infuse": {"volume_al": ML, "rate_al_per_h": ML},
        "pause": {},
        "rate": {"rate_al_per_h": ML},
        "bolus_now": {"volume_al": ML, "rate_al_per_h": 60 * ML},
        "start": {},
        "hold": {},
    }
    for name, args in asked.items():
        with pytest.raises(errors.Refused) as caught:
            bench.table.run(name, args)
        assert caught.value.code == "E_STATE", name
    bench.table.run("clear", {})
    assert bench.controller.state == "interrupted"


def test_another_syringe_may_be_loaded_before_it_goes_on():
    bench = started([infuse(3 * ML, 60 * ML)], fill=2 * ML)
    bench.run_to(90_000_000)
    bench = bench.reboot()
    assert bench.motor.remaining_steps() == 2 * ML // AL - len(bench.dose.edges)
    ask(bench, "load", volume_al=10 * ML)
    bench = bench.reboot()
    assert bench.motor.remaining_steps() == 10 * ML // AL
    bench.controller.resume()
    bench.run_out()
    assert totals(bench) == [3 * ML // AL] * 3


def test_an_ordered_pause_is_waited_to_its_end():
    # Doses of 1 min at 0 and 10 min. Reset at 6 min: 4 min are left (kept each minute).
    bench = started([intermittent(ML, 60 * ML, 10 * MIN, 2)])
    bench.run_to(6 * MIN * 1000)
    bench = bench.reboot()
    assert bench.controller.state == "interrupted"
    bench.controller.resume()
    assert bench.controller.state == "paused"
    assert 4 * MIN <= bench.controller.pause_left_ms() <= 5 * MIN + 1000
    bench.run_out()
    assert totals(bench) == [2 * ML // AL] * 3


def test_a_dose_on_top_ends_with_the_reset():
    # C8: half a minute of 1 mL/min on top of 6 mL/h.
    bench = started([infuse(6 * ML, 6 * ML)])
    bench.run_to(10 * MIN * 1000)
    bench.controller.bolus_now(ML, 60 * ML)
    bench.run_to(10 * MIN * 1000 + 30_000_000)
    bench = bench.reboot()
    given_al = last(bench, "bolus_end")["given_al"]
    assert abs(given_al - ML // 2) < 2 * AL
    bench.controller.resume()
    assert bench.controller.rate() == 6 * ML
    bench.run_out()
    assert totals(bench) == [(6 * ML + given_al) // AL] * 3


def test_a_held_bolus_is_over():
    bench = Bench(SLOW)
    bench.table.run("load", {"volume_al": 50 * ML})
    bench.table.run("bolus", {"volume_al": ML, "rate_al_per_h": 60 * ML})
    bench.controller.hold()
    bench.run_to(200_000)
    bench = bench.reboot()
    assert bench.controller.state == "idle" and bench.alarms.standing() == ["A_RESET"]
    assert last(bench, "end")["reason"] == "reset"
    assert "held" in last(bench, "interrupted")["why"]
    assert last(bench, "end")["witnessed_steps"] == len(bench.dose.edges)


def test_keeping_the_vein_open_is_over_and_said():
    bench = started([infuse(ML, 60 * ML)], kvo=5 * ML)
    bench.run_to(2 * MIN * 1000)
    assert bench.controller.state == "kvo"
    bench = bench.reboot()
    assert bench.controller.state == "idle" and bench.alarms.standing() == ["A_RESET"]
    assert bench.controller.run.booked_in == ML // AL
    assert bench.controller.run.booked_in + bench.controller.run.kvo_steps == len(bench.dose.edges)
    assert "vein" in last(bench, "interrupted")["why"]
    ask(bench, "clear")
    assert bench.reboot().alarms.standing() == []


def test_take_up_is_no_delivery_and_is_not_repeated():
    config = configuration(pull_in_hz=20_000, backlash_steps=1000, takeup_hz=100)
    steps = [infuse(100 * AL, 60 * ML), dict(infuse(100 * AL, 60 * ML), mode="withdraw")]
    bench = started(steps, config)
    bench.run_to(8_000_000)
    assert bench.motor.taking_up
    for power_lost in (False, True):
        bench = bench.reboot(power_lost)
        assert bench.controller.run.witnessed == 100
        bench.controller.resume()
        bench.run_to(bench.clock.now + 1_000_000)
    uncertain = bench.controller.run.uncertain
    assert 0 < uncertain <= 251
    bench.run_out()
    run = bench.controller.run
    assert (run.booked_in, run.booked_out) == (100, 100)
    assert 1000 <= len(bench.dose.edges) - 200 <= 1000 + uncertain


def test_another_configuration_keeps_it_from_going_on():
    bench = started([infuse(ML, 5 * ML)])
    bench.run_to(60_000_000)
    bench = bench.reboot(config=dict(SLOW, crc="another"))
    assert bench.controller.state == "idle" and bench.alarms.standing() == ["A_RESET"]
    event = last(bench, "interrupted")
    assert "configuration" in event["why"] and event["witnessed_steps"] >= 480 - 58


def test_an_order_that_can_not_be_read_keeps_it_from_going_on():
    bench = started([infuse(ML, 5 * ML)])
    bench.run_to(60_000_000)
    bench.storage.files["order.a"] = "x"
    bench = bench.reboot()
    assert bench.controller.state == "idle"
    assert "order" in last(bench, "interrupted")["why"]


def test_a_reset_before_the_first_step_finds_the_run():
    bench = Bench(SLOW)
    ask(bench, "load", volume_al=50 * ML)
    ask(bench, "infuse", volume_al=ML, rate_al_per_h=5 * ML)
    bench.controller.start()  # and main has not come round since
    bench = bench.reboot()
    assert bench.controller.state == "interrupted"
    assert bench.controller.run.witnessed == 0
    ask(bench, "resume")
    bench.run_out()
    assert totals(bench) == [5762] * 3


def test_a_rate_that_was_changed_outlives_the_reset():
    bench = started(MODES["pca"])
    bench.run_to(5_000_000)
    bench.controller.change_rate(10 * ML)
    bench.controller.service()
    bench = bench.reboot()
    ask(bench, "resume")
    assert bench.controller.rate() == 10 * ML
    assert bench.controller._patient._rules.basal == 10 * ML


def test_a_flash_that_fails_warns_and_disturbs_nothing():
    # H11
    bench = started([infuse(ML, 60 * ML)])
    bench.run_to(10_000_000)
    bench.storage.failing = True
    bench.run_out()
    assert totals(bench) == [ML // AL] * 3
    assert bench.alarms.standing() == ["A_STORE"]
    bench = Bench(SLOW)
    bench.storage.failing = True
    bench.table.run("load", {"volume_al": 50 * ML})
    bench.table.run("infuse", {"volume_al": ML, "rate_al_per_h": 60 * ML})
    bench.table.run("start", {})
    bench.run_out()
    assert totals(bench) == [ML // AL] * 3


def test_flash_is_left_alone_while_the_queue_is_short():
    bench = started([infuse(ML, 60 * ML)])
    bench.run_to(5_000_000)
    kept = slots.Slots(bench.storage, "run")
    before = kept.read()
    bench.dose.queued_us = lambda: 499_999
    bench.run_to(15_000_000)
    assert kept.read() == before
    bench.dose.queued_us = lambda: 500_000
    bench.run_to(17_000_000)
    assert kept.read() != before


@pytest.mark.requirement("C10")
@pytest.mark.parametrize("names", [("pca.a",), ("pca.a", "pca.b")])
@pytest.mark.parametrize(
    "text", ["x", slots.pack("pca", 1, 99, "[1]"), slots.pack("pca", 1, 99, "7")]
)
def test_a_damaged_history_of_doses_is_refused_and_breaks_nothing(names, text):
    bench = started(MODES["pca"])
    bench.run_to(41_700_000)
    for name in names:
        bench.storage.files[name] = text
    bench = bench.reboot()
    assert bench.controller.state == "interrupted"
    assert bench.alarms.stands("A_STORE")
    for ask in (bench.controller.pca, bench.controller.demand, bench.controller.resume):
        with pytest.raises(errors.Refused) as caught:
            ask()
        assert caught.value.code == "E_STORE"
    bench.controller.clear()
    bench.controller.resume()
    assert bench.controller.pca()["demands"] == 0
    assert bench.controller.state == "infusing"


def test_the_record_fits_into_the_directory():
    # littlefs keeps a file of up to 512 bytes inside its directory: a second costs no block then.
    big = [infuse(49 * ML, 1234 * ML // 7)] * 9
    bench = started(big, kvo=ML // 3, repeat=7, fill=49 * ML)
    bench.run_to(600_000_000)
    bench.controller.bolus_now(ML + 1, None, 61_003)
    bench.run_to(605_000_000)
    bench.controller.bolus_now(ML + 1, 77 * ML + 7)
    bench.run_to(610_000_000)
    for name in ("run.a", "run.b"):
        assert len(bench.storage.files[name]) <= 512


# -- every mode, every interruption ---------------------------------------------------------------

MODES = {
    "infuse": [infuse(2 * ML, 60 * ML)],
    "withdraw": [infuse(ML, 60 * ML), dict(infuse(ML, 60 * ML), mode="withdraw")],
    "bolus": [dict(infuse(2 * ML, 120 * ML), mode="bolus")],
    "loading dose": [dict(infuse(ML, 120 * ML), mode="bolus"), infuse(ML, 30 * ML)],
    "ramp up": [ramp(10 * ML, 90 * ML, duration_ms=2 * MIN)],
    "ramp down": [ramp(90 * ML, 10 * ML, duration_ms=2 * MIN)],
    "intermittent": [intermittent(ML, 60 * ML, 3 * MIN, 3)],
    "pulse": [infuse(ML // 3, 60 * ML), {"mode": "pause", "duration_ms": 5000}] * 4,
    "fifty steps": [infuse(ML // 20 + k, (30 + k) * ML) for k in range(50)],
    "micro-rate": [infuse(3 * AL, 60 * AL)],
    "pca": [
        {
            "mode": "pca", "basal_al_per_h": 20 * ML, "dose_al": ML // 10,
            "dose_rate_al_per_h": 60 * ML, "lockout_ms": 10_000, "limit_1h_al": 40 * ML,
            "duration_ms": 2 * MIN,
        }
    ],
}  # fmt: skip
KVO = {"intermittent": 10 * ML, "infuse": 10 * ML}


def interrupt(bench, how):
    """Interrupt a run; return the bench, which stands or flows on."""
    controller = bench.controller
    if how == "pause":
        controller.pause()
    elif how == "break":
        bench.dose.send_break()
        controller.service()
    elif how == "bolus":
        controller.bolus_now(ML // 7, 60 * ML)
    elif how == "rate":
        controller.change_rate(45 * ML)
    elif how == "link":
        bench.controller.run.order.stop_ms = 1000
        controller.link_lost(1000)
        controller.clear()
    elif how == "empty":
        bench.motor._loaded = bench.motor.position + 50
        pause_left = controller.pause_left_ms()
        controller.pause()
        controller.resume()
        bench.run_to(bench.clock.now + 60_000_000 + pause_left * 1000)
        if controller.state == "alarm":
            assert "A_EMPTY" in bench.alarms.standing()
            bench.table.run("load", {"volume_al": 40 * ML})
    elif how == "reset":
        return bench.reboot()
    elif how == "power cut":
        return bench.reboot(power_lost=True)
    return bench


@pytest.mark.requirement("A9", "C23")
@pytest.mark.parametrize("then", ["resume", "abandon"])
@pytest.mark.parametrize(
    "how", ["pause", "break", "stop", "bolus", "rate", "link", "reset", "power cut", "empty"]
)
@pytest.mark.parametrize("mode", MODES)
def test_mode_by_interruption_by_what_comes_then(mode, how, then):
    # A9, C23: the total is the ordered one, or what was truly delivered, to the step.
    if how == "stop" and then == "resume":
        return  # a stopped run is over
    bench = started(MODES[mode], kvo=KVO.get(mode))
    bench.run_to(41_700_000)
    controller = bench.controller
    if how == "stop":
        controller.stop()
    else:
        try:
            bench = interrupt(bench, how)
        except errors.Refused as refused:
            assert how in ("rate", "bolus"), "everything can be paused, or reset"
            assert refused.code in ("E_STATE", "E_LIMIT"), refused
        controller = bench.controller
        bench.run_to(bench.clock.now + 700_000)
        if then == "abandon":
            controller.stop()
        else:
            if controller.state in ("paused", "interrupted") and not controller.pause_left_ms():
                controller.resume()
            bench.run_out()
            bench.run_to(bench.clock.now + 1_000_000)
    run = controller.run
    made = len([way for _, way in bench.dose.edges if way > 0])
    out = len(bench.dose.edges) - made
    short = run.uncertain if how == "power cut" else 0
    assert run.booked_in + run.kvo_steps <= made <= run.booked_in + run.kvo_steps + short
    assert run.booked_out <= out <= run.booked_out + short
    assert run.ended
    if then == "resume":
        assert run.commanded == run.witnessed == run.ordered
    else:
        assert run.commanded <= run.ordered
        end = [e for e in bench.events.since(0, 10**6) if e["e"] in ("stop", "end")][-1]
        assert end["witnessed_steps"] == run.booked_in + run.booked_out
        assert abs(end["delivered_nl"] * 10**9 - run.booked_in * AL) < 10**9


acts = st.lists(
    st.tuples(
        st.integers(1, 9_000_000),
        st.sampled_from(["reset", "reset", "cut", "pause", "rate", "dose", "load"]),
        st.integers(20 * ML, 200 * ML),
    ),
    max_size=8,
)


@pytest.mark.requirement("B8", "C22", "C23")
@settings(max_examples=30)
@given(st.lists(any_step, min_size=1, max_size=4), acts, st.sampled_from([None, 20 * ML]))
@example([infuse(10 * AL, 60 * ML)], [(1, "reset", ML), (1, "reset", ML)], None)
def test_random_sessions_with_resets_lose_and_double_no_step(steps, acts, kvo):
    # C22, C23; B8: the delivered volume never goes back.
    bench = started([infuse(AL, 60 * ML), *steps], kvo=kvo)
    delivered = uncertain = 0
    for ticks, act, rate in acts:
        bench.run_to(bench.clock.now + ticks)
        try:
            if act in ("reset", "cut"):
                bench = bench.reboot(power_lost=act == "cut")
                run = bench.controller.run
                if run is not None:
                    uncertain = run.uncertain
            elif act == "pause":
                bench.controller.pause()
            elif act == "rate":
                bench.controller.change_rate(rate)
            elif act == "load":
                bench.table.run("load", {"volume_al": 50 * ML})
            else:
                bench.controller.bolus_now(rate // 10**4, rate)
            if bench.controller.state in ("paused", "interrupted"):
                bench.controller.resume()
        except errors.Refused as refused:
            assert refused.code in ("E_STATE", "E_VOLUME", "E_RATE_HIGH"), refused
        run = bench.controller.run
        if run is None:
            return  # over before the reset
        bench.controller.service()
        flowed = run.booked_in + run.kvo_steps
        made = len(bench.dose.edges) + (bench.dose.seen if bench.dose.active else 0)
        assert delivered - uncertain <= flowed <= made <= flowed + uncertain
        delivered = made
    if not bench.controller.run.ended:
        bench.run_out()
    run = bench.controller.run
    ends = [e["reason"] for e in bench.events.since(0, 10**6) if e["e"] == "end"]
    if run.ended and ends in (["done"], []):  # none: it kept the vein open when the reset came
        assert run.commanded == run.witnessed == run.ordered
