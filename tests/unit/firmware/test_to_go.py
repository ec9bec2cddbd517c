"""What is still to go: volume and time before and during a run, and where they end."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.firmware.bench import Bench, configuration, errors, order
from unit.firmware.test_modes import MIN, intermittent, ramp
from unit.firmware.test_therapy import AL, ML, SLOW, infuse, started, totals


def to_go(bench):
    """Return (steps, ms) to go as status shows them, after main has looked."""
    bench.controller.service()
    run = bench.controller.run
    return run.remaining_steps(), bench.status()["run"]["remaining_ms"]


# -- before start ---------------------------------------------------------------------------------


@pytest.mark.requirement("B2")
def test_a_plan_by_hand():
    # 2.5 mL at 5 mL/h: 30 min. 25 * 10**14 / 173530803503 = 14406.66: 14406 steps.
    bench = Bench(SLOW)
    bench.table.run("load", {"volume_al": 50 * ML})
    plan = bench.table.run("infuse", {"volume_al": 5 * ML // 2, "rate_al_per_h": 5 * ML})
    assert (plan["ordered_steps"], plan["duration_ms"]) == (14406, 30 * MIN)
    assert bench.table.run("plan", {}) == plan
    assert bench.controller.state == "ready" and not bench.dose.active
    bench.controller.start()
    assert to_go(bench) == (14406, 14406 * AL * 3600 // (5 * ML // 1000))


@pytest.mark.requirement("B2")
def test_a_plan_of_every_mode_by_hand():
    # 10 to 40 mL/h in 6 min: 2.5 mL; three doses of 1 mL in 1 min, every 10 min: 21 min; 1 min
    # of pause; all of it twice: 56 min and 11 mL.
    steps = [
        ramp(10 * ML, 40 * ML, duration_ms=6 * MIN),
        intermittent(ML, 60 * ML, 10 * MIN, 3),
        {"mode": "pause", "duration_ms": MIN},
    ]
    made = order.make("t", steps, SLOW, repeat=2)
    assert (made.total_steps(), made.duration_ms()) == (11 * ML // AL, 56 * MIN)


@pytest.mark.requirement("B9")
@pytest.mark.parametrize(
    ("steps", "fill", "changes"),
    [
        ([infuse(10 * ML, 60 * ML)], None, 0),
        # 10 mL are loaded: 61 mL more are two syringes of 50 mL
        ([infuse(11 * ML, 60 * ML)], None, 1),
        ([infuse(71 * ML, 60 * ML)], None, 2),
        ([infuse(71 * ML, 60 * ML)], 50 * ML, 1),
        # what is drawn up first can be infused; what is infused first is gone
        ([{**infuse(5 * ML, 60 * ML), "mode": "withdraw"}, infuse(15 * ML, 60 * ML)], None, 0),
        ([infuse(15 * ML, 60 * ML), {**infuse(5 * ML, 60 * ML), "mode": "withdraw"}], None, 1),
    ],
)
def test_an_order_for_more_than_there_is_announces_the_changes(steps, fill, changes):
    bench = Bench(SLOW)
    bench.table.run("load", {"volume_al": 10 * ML})
    plan = bench.controller.plan(order.make("t", steps, SLOW, fill_al=fill), False)
    assert plan["syringe_changes"] == changes


@pytest.mark.requirement("B9")
def test_a_direct_request_for_more_than_there_is_is_refused():
    # 10 mL hold 57626 whole steps, which are 9.999986... mL; half a step less is 57626 as well.
    bench = Bench(SLOW)
    bench.table.run("load", {"volume_al": 10 * ML})
    with pytest.raises(errors.Refused) as caught:
        bench.table.run("infuse", {"volume_al": 57_627 * AL, "rate_al_per_h": 60 * ML})
    assert caught.value.code == "E_VOLUME" and caught.value.nearest
    assert bench.controller.state == "idle"
    bench.table.run("infuse", {"volume_al": 57_627 * AL - 1, "rate_al_per_h": 60 * ML})


# -- on the way -----------------------------------------------------------------------------------


@pytest.mark.requirement("B3", "B4")
def test_a_rate_change_by_hand():
    # 6 mL at 6 mL/h: after 10 min 5 mL are to go, 50 min; at 10 mL/h 30 min.
    bench = started([infuse(6 * ML, 6 * ML)])
    bench.run_to(10 * MIN * 1000)
    step_ms = AL * 3600 // (6 * ML // 1000) + 1
    assert abs(to_go(bench)[1] - 50 * MIN) <= step_ms
    bench.controller.change_rate(10 * ML)
    assert abs(to_go(bench)[1] - 30 * MIN) <= step_ms
    bench.run_out()
    assert abs(bench.dose.edges[-1][0] - 40 * MIN * 1000) <= step_ms * 1000


@pytest.mark.requirement("B3", "B5")
def test_a_dose_on_top_by_hand():
    # 6 mL at 6 mL/h: after 10 min 1 mL more at 60 mL/h. 6 mL are to go, still in 50 min.
    bench = started([infuse(6 * ML, 6 * ML)])
    bench.run_to(10 * MIN * 1000)
    bench.controller.bolus_now(ML, 60 * ML)
    steps, ms = to_go(bench)
    assert abs(steps - 6 * ML // AL) <= 1
    assert abs(ms - 50 * MIN) <= 2 * AL * 3600 // (6 * ML // 1000)
    # The rest of 1 mL at 6 mL/h would take 10 min; a dose of 20 min takes it along.
    bench = started([infuse(ML, 6 * ML)])
    bench.run_to(1_000_000)
    bench.controller.bolus_now(10 * ML, 30 * ML)
    assert abs(to_go(bench)[1] - 20 * MIN) <= 1000


rates = st.integers(20 * ML, 300 * ML)
volumes = st.integers(AL, 40 * AL)
any_step = st.one_of(
    st.builds(infuse, volumes, rates),
    st.builds(lambda v, r: {**infuse(v, r), "mode": "bolus"}, volumes, rates),
    st.builds(lambda a, b, ms: ramp(a, b, duration_ms=ms), rates, rates, st.integers(99, 20_000)),
    st.builds(intermittent, volumes, rates, st.integers(10_000, 60_000), st.integers(1, 3)),
    st.builds(lambda ms: {"mode": "pause", "duration_ms": ms}, st.integers(1, 20_000)),
)


@pytest.mark.requirement("B3", "B4", "B5", "F14")
@settings(max_examples=100)
@given(
    st.lists(any_step, min_size=1, max_size=4),
    st.lists(
        st.tuples(st.integers(1, 9_000_000), st.sampled_from(["look", "rate", "dose"]), rates,
                  volumes),
        max_size=6,
    ),
    st.none() | st.integers(20 * ML, 40 * ML),
)  # fmt: skip
def test_time_and_steps_to_go_are_those_that_come(steps, acts, kvo):
    # B3: within 1 s and a step at the slowest rate of the run, 20 mL/h: 31 ms a step.
    try:
        bench = started([infuse(2 * AL, 60 * ML), *steps], fill=25 * ML, kvo=kvo)
    except errors.Refused as refused:
        assert refused.code == "E_DURATION"  # a dose that outlasts its `every`
        return
    run = bench.controller.run
    shown = None
    for ticks, act, rate, volume in acts:
        bench.run_to(bench.clock.now + ticks)
        if run.ended:
            break
        try:
            if act == "rate":
                bench.controller.change_rate(rate)
            elif act == "dose":
                bench.controller.bolus_now(volume, rate)
        except errors.Refused:
            pass
        shown = (bench.clock.now, *to_go(bench))
        made = run.witnessed
    if shown is None or run.ended:
        return
    at_most = bench.clock.now + 10 * 3600 * 10**6
    while not run.ended:
        assert bench.clock.now < at_most, (bench.controller.state, bench.alarms.standing())
        bench.run_to(bench.clock.now + 1_000_000)
    at, steps, ms = shown
    end = next(event for event in bench.events.since(0, 10**6) if event["e"] == "end")
    assert abs(end["ms"] - at // 1000 - ms) <= 1000 + 32
    assert 0 <= end["witnessed_steps"] - made - steps <= 1  # the one in flight


FAST = configuration()  # 1000 Hz without a ramp, 20,000 Hz/s; take-up: 64 steps at 500 Hz


@pytest.mark.requirement("B2", "B3")
def test_ramps_and_take_up_are_counted_by_hand():
    # 1200 mL/h are 1921 steps/s: from 1000 Hz a ramp of (1921^2 - 1000^2) / 40,000 = 67 steps in
    # (1921 - 1000) / 20,000 = 46 ms; at 1921 Hz they took 34.9. Up and down: 22 ms more. A
    # withdrawal before it and the way back: 128 ms each. Ten times: 10 * (22 + 2 * 128) - 0.
    made = order.make("t", [infuse(5 * ML, 1200 * ML)], FAST)
    assert abs(made.duration_ms() - 15_000 - 22) <= 2
    steps = [infuse(5 * ML, 1200 * ML), {**infuse(5 * ML, 60 * ML), "mode": "withdraw"}]
    made = order.make("t", steps, FAST, repeat=10)
    # The first time nothing is to be taken up before the infusion.
    assert abs(made.duration_ms() - 10 * 315_000 - 10 * 22 - 19 * 128) <= 20


fast = st.integers(20 * ML, 4000 * ML)
some = st.integers(AL, 9000 * AL)
fast_step = st.one_of(
    st.builds(infuse, some, fast),
    st.builds(lambda v, r: {**infuse(v, r), "mode": "withdraw"}, some, fast),
    st.builds(lambda a, b, ms: ramp(a, b, duration_ms=ms), fast, fast, st.integers(99, 3_000)),
    st.builds(lambda ms: {"mode": "pause", "duration_ms": ms}, st.integers(1, 2_000)),
)


@pytest.mark.requirement("B3")
@settings(max_examples=40)
@given(st.lists(fast_step, min_size=1, max_size=6), st.integers(1, 8), st.integers(0, 40))
def test_time_to_go_with_ramps_and_reversals_is_what_comes(steps, repeat, looks):
    # B3: 1 s and a step, however many ramps and reversals are to come.
    bench = started([infuse(2 * AL, 60 * ML), *steps], FAST, fill=25 * ML, repeat=repeat)
    run, shown = bench.controller.run, []
    while not run.ended and bench.controller.state != "alarm":
        if len(shown) < looks:
            shown.append((bench.clock.now, to_go(bench)[1]))
        bench.run_to(bench.clock.now + 700_000)
    if not run.ended or bench.controller.state == "alarm":
        return  # its syringe was full or empty
    end = next(event for event in bench.events.since(0, 10**6) if event["e"] == "end")
    for at, ms in shown:
        assert abs(end["ms"] - at // 1000 - ms) <= 1000 + 32


@pytest.mark.requirement("F14")
def test_what_is_left_of_a_dose_by_hand():
    # 1 mL at 60 mL/h over 6 mL/h: after 15 of its 60 s there are 0.75 mL and 45 s to go; a step
    # of 0.17 uL comes every 9.5 ms.
    bench = started([infuse(6 * ML, 6 * ML)])
    bench.run_to(10 * MIN * 1000)
    assert "bolus_left_ms" not in bench.status()["run"]
    bench.controller.bolus_now(ML, 60 * ML)
    for s, left in ((0, 60), (15, 45), (59, 1)):
        bench.run_to((10 * 60 + s) * 10**6)
        bench.controller.service()
        run = bench.status()["run"]
        assert run["bolus_nl"] == 10**6
        assert abs(run["bolus_left_nl"] - left * 10**6 / 60) <= AL / 10**9
        assert abs(run["bolus_left_ms"] - left * 1000) <= 10
    bench.run_to((11 * 60 + 1) * 10**6)
    bench.controller.service()
    assert "bolus_left_ms" not in bench.status()["run"]


@pytest.mark.requirement("F14")
def test_what_is_left_of_a_bolus_step_by_hand():
    # The second of two steps: 1 mL at 60 mL/h; half of it after 30 s. The infusion has no line.
    steps = [infuse(ML, 60 * ML), {**infuse(ML, 60 * ML), "mode": "bolus"}, infuse(ML, 60 * ML)]
    bench = started(steps)
    bench.run_to(90 * 10**6)
    run = bench.status()["run"]
    assert (bench.controller.state, run["step"]) == ("bolus", 2)
    assert abs(run["bolus_left_nl"] - 10**6 // 2) <= AL / 10**9
    assert abs(run["bolus_left_ms"] - 30_000) <= 11


@pytest.mark.requirement("F14")
@settings(max_examples=60)
@given(volumes, rates, rates, st.lists(st.integers(1, 3_000_000), max_size=8), st.booleans())
def test_what_is_left_of_a_dose_is_what_comes(volume, dose_rate, rate, looks, pauses):
    # The model: dose_al of it in proportion to the time, from the first step to the end event.
    steps = [{"mode": "pause", "duration_ms": 3_600_000}] if pauses else [infuse(ML, rate)]
    bench = started(steps)
    bench.run_to(1_000_000)
    bench.controller.bolus_now(volume, dose_rate)
    begun, shown = bench.clock.now, []
    for ticks in looks:
        bench.run_to(bench.clock.now + ticks)
        bench.controller.service()
        run = bench.status()["run"]
        if "bolus_left_ms" in run:
            shown.append((bench.clock.now, run["bolus_left_ms"], run["bolus_left_nl"]))
    whole = Fraction(volume * 3600 * 10**6, dose_rate)  # ticks
    for at, ms, nl in shown:
        left = begun + whole - at
        assert abs(ms - left / 1000) <= 1000 + 32
        assert abs(nl - left * volume / whole / 10**9) <= AL / 10**9 + 1


# -- the end --------------------------------------------------------------------------------------


@pytest.mark.requirement("B1")
@settings(max_examples=30)
@given(st.integers(1, 20), st.integers(50 * ML, 900 * ML))
def test_every_tenth_of_a_millilitre_ends_at_its_step(tenths, rate):
    bench = started([infuse(tenths * 10**14, rate)])
    bench.run_out()
    assert totals(bench) == [tenths * 10**14 // AL] * 3
    assert len(bench.dose.edges) == tenths * 10**14 // AL
    # and not early: the volume beyond the last whole step is less than one
    assert 0 <= tenths * 10**14 - len(bench.dose.edges) * AL < AL


@pytest.mark.requirement("B6")
@pytest.mark.parametrize("minutes", [1, 10, 90])
def test_the_warning_comes_as_long_before_empty_as_is_set(minutes):
    # 3 mL at 1 mL/h are three hours; it ends with the syringe.
    config = {**SLOW, "alarms": {"near_empty_ms": minutes * MIN}}
    bench = started([infuse(3 * ML, ML)], config, fill=3 * ML)
    bench.run_to((179 * MIN + 50_000) * 1000)
    warned = next(event for event in bench.events.since(0, 10**6) if event["e"] == "near_empty")
    # main looks every second, and a step takes 0.6 s
    assert 0 <= warned["ms"] - (180 - minutes) * MIN + 1000 <= 2700
    assert bench.alarms.standing() == ["A_NEAR_EMPTY"] and bench.controller.state == "infusing"


@pytest.mark.requirement("B7")
@settings(max_examples=60)
@given(
    st.integers(AL, 60 * AL),
    st.lists(st.tuples(st.integers(AL, 50 * AL), st.integers(20 * ML, 300 * ML)), min_size=1,
             max_size=4),
    st.none() | st.tuples(st.integers(AL, 50 * AL), st.integers(20 * ML, 300 * ML)),
    st.none() | st.just(30 * ML),
)  # fmt: skip
def test_no_step_beyond_what_was_loaded(loaded, stretches, dose, kvo):
    bench = started([infuse(*each) for each in stretches], fill=loaded, kvo=kvo)
    if dose:
        try:
            bench.controller.bolus_now(*dose)
        except errors.Refused as error:
            assert error.code == "E_VOLUME"
    bench.run_to(bench.clock.now + 600 * 10**6)
    ordered = bench.controller.run.ordered
    assert len(bench.dose.edges) <= loaded // AL
    if ordered > loaded // AL or (kvo and ordered < loaded // AL):
        # KVO goes on to the last step of the syringe
        assert len(bench.dose.edges) == loaded // AL
        assert bench.alarms.stopping() == ["A_EMPTY"] and not bench.pins.on
    else:
        assert len(bench.dose.edges) == ordered and bench.controller.state == "idle"
    bench.run_to(bench.clock.now + 60 * 10**6)
    assert len(bench.dose.edges) <= loaded // AL
