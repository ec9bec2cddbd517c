"""Boluses: their volume, when there is none, what an alarm leaves of one, and what is recorded."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.firmware.bench import Bench, configuration, errors
from unit.firmware.test_modes import HOUR, MIN, intermittent, ramp
from unit.firmware.test_patient import STEP, ask, begun
from unit.firmware.test_therapy import AL, ML, infuse, started, totals

from doseloop import resources

states = resources.firmware_module("states")
tick = resources.firmware_module("tick")

# A hundred times the volume a step: a whole syringe of 50 mL is 2881 steps.
COARSE = configuration(al_per_step=100 * AL, pull_in_hz=20_000, backlash_steps=0)


@pytest.mark.requirement("C1")
@pytest.mark.parametrize("volume", [100 * AL, 50 * ML])
def test_twenty_five_boluses_of_the_least_and_of_a_whole_syringe(volume):
    # 50 * 10**15 / 17353080350300 = 2881.33: 2881 steps, and the third of one is never made up
    bench = Bench(COARSE)
    for nth in range(1, 26):
        bench.table.run("load", {"volume_al": 50 * ML})
        bench.table.run("bolus", {"volume_al": volume, "rate_al_per_h": 600 * ML})
        bench.controller.start()
        bench.run_out()
        assert totals(bench) == [volume // (100 * AL)] * 3
        assert len(bench.dose.edges) == nth * (volume // (100 * AL))


@pytest.mark.requirement("C7")
@pytest.mark.parametrize("state", sorted(states.TABLE))
def test_a_dose_on_top_needs_a_run_that_delivers(state):
    bench = started([infuse(6 * ML, 6 * ML)])
    bench.run_to(1_000_000)
    bench.controller.state = state
    if states.moving(state) and state != states.PRIMING:  # nobody is at the line's other end
        bench.controller.bolus_now(ML, 60 * ML)
        return
    with pytest.raises(errors.Refused) as caught:
        bench.controller.bolus_now(ML, 60 * ML)
    assert caught.value.code == "E_STATE"
    with pytest.raises(errors.Refused):
        bench.controller.hold()
    assert "bolus" not in bench.names() and bench.controller.run.ordered == 6 * ML // AL


@pytest.mark.requirement("C7", "C15")
def test_a_demand_in_an_alarm_is_denied_and_counted():
    bench = begun()
    bench.run_to(60_000_000)
    bench.dose.flags |= tick.F_STOP
    bench.controller.service()
    assert bench.controller.state == "alarm"
    view = ask(bench)
    assert not view["given_now"] and view["denied"]["state"] == 1
    assert not bench.dose.active


def alarmed(bench, flag=tick.F_STOP):
    """Let the stop input open, then a person close it, clear and resume."""
    bench.dose.flags |= flag
    bench.controller.service()
    assert bench.controller.state == "alarm" and not bench.pins.on
    made = len(bench.dose.edges)
    bench.run_to(bench.clock.now + 60_000_000)
    assert len(bench.dose.edges) == made, "nothing flows until a person says so"
    bench.dose.flags = 0
    bench.controller.clear()
    assert bench.controller.state == "paused"
    bench.run_to(bench.clock.now + 60_000_000)
    assert len(bench.dose.edges) == made
    bench.controller.resume()


@pytest.mark.requirement("C8")
def test_an_alarm_ends_a_dose_on_top_for_good_by_hand():
    # 6 mL at 6 mL/h; 1 mL on top at 60 mL/h from 10 min on, stopped after 15 s: 0.25 mL given.
    bench = started([infuse(6 * ML, 6 * ML)])
    bench.run_to(10 * MIN * 1000)
    bench.controller.bolus_now(ML, 60 * ML)
    bench.run_to(bench.clock.now + 15_000_000)
    alarmed(bench)
    (ended,) = [event for event in bench.events.since(0, 10**6) if event["e"] == "bolus_end"]
    assert abs(ended["given_al"] - ML // 4) <= 2 * AL
    assert (bench.controller.state, bench.controller.rate()) == ("infusing", 6 * ML)
    bench.run_out()
    assert totals(bench) == [(6 * ML + ended["given_al"]) // AL] * 3


@pytest.mark.requirement("C8")
@settings(max_examples=50)
@given(
    st.integers(AL, 100 * AL), st.integers(60 * ML, 300 * ML), st.integers(1, 3_000_000)
)  # fmt: skip
def test_what_an_alarm_cuts_off_is_never_given(volume, rate, ticks):
    bench = started([infuse(600 * AL, 60 * ML)])
    bench.run_to(1_000_000)
    bench.controller.bolus_now(volume, rate)
    bench.run_to(bench.clock.now + ticks)
    if bench.controller.state not in ("infusing", "bolus"):
        return
    alarmed(bench)
    assert bench.controller.state == "infusing"
    bench.run_out()
    (ended,) = [event for event in bench.events.since(0, 10**6) if event["e"] == "bolus_end"]
    assert 0 <= ended["given_al"] <= volume
    assert totals(bench) == [(600 * AL + ended["given_al"]) // AL] * 3


@pytest.mark.requirement("C8", "C22")
def test_a_loading_dose_goes_on_only_when_a_person_says_so():
    bench = started([{**infuse(ML, 120 * ML), "mode": "bolus"}, infuse(ML, 5 * ML)])
    bench.run_to(10_000_000)
    alarmed(bench)
    assert bench.controller.state == "bolus"
    bench.run_out()
    assert totals(bench) == [2 * ML // AL] * 3


@pytest.mark.requirement("C15")
def test_every_denial_is_logged_with_its_time_and_reason():
    # A dose at 1 min; asked again while it is given, at 3 min (lockout 6), and while paused.
    bench = begun()
    asked = []
    for at, pause in ((MIN, False), (MIN + 30_000, False), (3 * MIN, False), (4 * MIN, True)):
        bench.run_to(at * 1000)
        if pause:
            bench.controller.pause()
        asked.append(ask(bench)["given_now"])
    assert asked == [True, False, False, False]
    denied = [event for event in bench.events.since(0, 10**6) if event["e"] == "denied"]
    assert [(event["ms"], event["why"]) for event in denied] == [
        (MIN + 30_000, "delivering"),
        (3 * MIN, "lockout"),
        (4 * MIN, "state"),
    ]
    view = bench.table.run("pca", {})
    assert (view["demands"], view["given"], sum(view["denied"].values())) == (4, 1, 3)


@pytest.mark.requirement("C14", "C15")
def test_at_the_limit_a_demand_is_refused_and_logged_and_the_basal_rate_goes_on():
    # Six doses in 36 min leave 10 - 4 - 6 = 0 mL of the 4 h: the seventh meets the limit.
    bench = begun()
    for nth in range(7):
        bench.run_to((6 * nth * MIN + 1) * 1000)
        ask(bench)
    denied, alarm = bench.events.since(0, 10**6)[-2:]
    assert (denied["why"], alarm["code"], alarm["priority"]) == ("limit", "A_LIMIT", "low")
    bench.run_to(bench.clock.now + 1_000_000)
    assert (bench.controller.state, bench.controller.rate()) == ("infusing", ML)


@pytest.mark.requirement("C18")
@pytest.mark.parametrize(
    ("syringe", "most"),
    [("bd-plastipak-50", 12_494_217_852_216_000_000), ("bd-plastipak-1", 390_196_428_120_000_000)],
)
def test_the_highest_rate_of_a_bolus_is_that_of_board_and_syringe(syringe, most):
    # 20,000 steps/s of 173530803503 aL, or of 5419394835: a thin syringe allows less
    from unit.firmware import bench as bench_module

    from doseloop import boards, syringes
    from doseloop import config as compiler

    board = boards.find_board("pico_tmc2209")
    text = compiler.compile_config(board, syringes.find_syringe(syringe)).sealed
    config = bench_module.config_module.check(text)
    bench = Bench(config)
    bench.table.run("load", {"volume_al": ML})
    with pytest.raises(errors.Refused) as caught:
        bench.table.run("bolus", {"volume_al": ML // 2, "rate_al_per_h": most + 1})
    assert caught.value.code == "E_RATE_HIGH"
    assert bench_module.quantity.parse(caught.value.nearest, "rate") == most
    bench.table.run("bolus", {"volume_al": ML // 2, "rate_al_per_h": most})


# -- every mode through every interruption --------------------------------------------------------

MODES = {
    "infuse": [infuse(300 * AL, 60 * ML)],
    "withdraw": [{**infuse(300 * AL, 60 * ML), "mode": "withdraw"}],
    "bolus": [{**infuse(300 * AL, 60 * ML), "mode": "bolus"}],
    "ramp": [ramp(30 * ML, 90 * ML, volume_al=300 * AL)],
    "intermittent": [intermittent(100 * AL, 60 * ML, 3_000, 3)],
    "pca": [{**STEP, "basal_al_per_h": 2 * ML, "dose_al": ML // 50, "duration_ms": HOUR // 4}],
}


@pytest.mark.requirement("C23")
@pytest.mark.parametrize("how", ["pause", "break", "stop input", "link"])
@pytest.mark.parametrize("mode", MODES)
def test_each_mode_goes_on_after_each_interruption_to_the_ordered_step(mode, how):
    bench = started(MODES[mode], fill=40 * ML, stop_ms=1_000)
    controller, run = bench.controller, bench.controller.run
    for nth in range(4):
        bench.run_to(bench.clock.now + 700_123)
        if controller.state == "paused" and controller.pause_left_ms():
            bench.run_to(bench.clock.now + controller.pause_left_ms() * 1000)
        if mode == "pca" and nth == 1:
            assert ask(bench)["given_now"]
            bench.run_to(bench.clock.now + 2_000_000)  # its dose is over: cut short is C8
        assert states.moving(controller.state), "the case must interrupt something"
        if how == "pause":
            controller.pause()
        elif how == "break":
            bench.dose.send_break()
            controller.service()
        elif how == "stop input":
            bench.dose.flags |= tick.F_STOP
            controller.service()
            bench.dose.flags = 0
            controller.clear()
        else:
            controller.link_lost(1_000)
            controller.clear()
        assert controller.state == "paused"
        bench.run_to(bench.clock.now + 5_000_000)
        controller.resume()
    while not run.ended:
        bench.run_to(bench.clock.now + 10_000_000)
        assert controller.state != "alarm"
    # pca: 2 mL/h for 15 min and one dose of 0.02 mL
    want = 300 if mode != "pca" else (ML // 2 + ML // 50) // AL
    assert totals(bench) == [want] * 3
    assert len(bench.dose.edges) == want
