"""Run, motor and controller on a motor that plays its segments: pause, rate, load, take-up."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.firmware import flow
from unit.firmware.bench import Bench, compiled, configuration, errors

SLOW = configuration(pull_in_hz=20_000, backlash_steps=0)  # no ramps, no take-up
AL = SLOW["motion"]["al_per_step"]
ML = 10**15


def started(steps, config=SLOW, fill=50 * ML, **options):
    """Return a bench that has begun an order of step dicts."""
    bench = Bench(config)
    bench.table.run("load", {"volume_al": fill})
    bench.controller.plan(compiled(steps, config, **options), False)
    bench.controller.start()
    return bench


def infuse(volume_al, rate):
    return {"mode": "infuse", "volume_al": volume_al, "rate_al_per_h": rate}


def totals(bench):
    event = bench.events.since(0, 10**6)[-1]
    assert event["e"] in ("end", "stop")
    return [event[key] for key in ("ordered_steps", "commanded_steps", "witnessed_steps")]


@pytest.mark.requirement("B1")
def test_an_order_by_hand():
    # 1 mL at 5 mL/h: 10**15 // 173530803503 = 5762 steps, the last after 5762 * 124942.17852216
    # = 719916832 ticks, floored (0.72 s less than 12 min because 0.66 of a step remains).
    bench = started([infuse(ML, 5 * ML)])
    bench.run_out()
    assert totals(bench) == [5762, 5762, 5762]
    assert bench.dose.edges[-1] == (flow.due(0, 5762, flow.period(AL, 5 * ML)), 1)
    assert bench.controller.state == "idle"
    assert not bench.pins.on
    assert bench.motor.position == 5762


rates = st.integers(1 * ML, 300 * ML)
orders = st.lists(st.tuples(st.integers(1, 30 * AL), rates), min_size=1, max_size=6)
# parts of the time since the action before; the action; a rate for those that need one
actions = st.lists(
    st.tuples(
        st.integers(1, 3_000_000), st.sampled_from(["pause", "rate", "glance", "break"]), rates
    ),
    max_size=12,
)


@pytest.mark.requirement("A9", "C23")
@given(orders, actions)
def test_pauses_and_rate_changes_neither_lose_nor_double_a_step(stretches, actions):
    bench = started([infuse(volume, rate) for volume, rate in [(AL, 5 * ML), *stretches]])
    controller = bench.controller
    for ticks, action, rate in actions:
        bench.run_to(bench.clock.now + ticks)
        if controller.state != "infusing":
            break
        if action == "rate":
            try:
                controller.change_rate(rate)
            except errors.Refused as error:
                assert error.code == "E_STATE"
        elif action in ("pause", "break"):
            if action == "pause":
                controller.pause()
            else:
                bench.dose.send_break()
                controller.service()
            if controller.state == "idle":
                break
            made = len(bench.dose.edges)
            bench.run_to(bench.clock.now + 7_000_000)
            assert len(bench.dose.edges) == made
            controller.resume()
    bench.run_out()
    total = (sum(volume for volume, _ in stretches) + AL) // AL
    assert totals(bench) == [total] * 3
    assert len(bench.dose.edges) == total == bench.motor.position
    at = [tick for tick, _ in bench.dose.edges]
    assert at == sorted(set(at))


@given(orders, st.lists(st.integers(1, 4_000_000), min_size=1, max_size=8))
def test_a_paused_order_keeps_its_phase(stretches, pauses):
    # Taking the pauses out of the time, every edge lies where the unbroken flow puts it. Each
    # pause costs a floored tick or two, and up to four where a step was all but due.
    stretches = [(volume + 3 * AL, rate) for volume, rate in stretches]
    bench = started([infuse(volume, rate) for volume, rate in stretches])
    stood = []  # (tick at which it stood, ticks it stood)
    for ticks in pauses:
        bench.run_to(bench.clock.now + ticks)
        if bench.controller.state != "infusing":
            break
        bench.controller.pause()
        if bench.controller.state != "paused":
            break
        stood.append((bench.clock.now, 1_234_567))
        bench.run_to(bench.clock.now + 1_234_567)
        bench.controller.resume()
    bench.run_out()
    want = list(flow.flow_edges(stretches, AL))
    assert len(bench.dose.edges) == len(want)
    for (at, _), exact in zip(bench.dose.edges, want, strict=True):
        before = [long for begun, long in stood if begun < at]
        assert abs(at - sum(before) - exact) <= 3 + 6 * len(before)


@pytest.mark.requirement("A9")
@given(st.integers(2, 200), rates, st.integers(0, 30_000))
def test_a_rate_change_keeps_phase_and_volume(steps, rate, early):
    # 5 mL/h has P = 124942.18; the rate changes at any instant between step 10 and step 11.
    # The edge comes up to a tick before its volume is full; at a slower rate that is worth more.
    slow = flow.period(AL, 5 * ML)
    bench = started([infuse(steps * AL + AL // 2, 5 * ML)])
    change = min(int(slow * steps) - 50_000, int(slow * 10) + 4 * early)
    bench.run_to(change)
    bench.controller.change_rate(rate)
    bench.run_out()
    flowed = change * 5 * ML // flow.HOUR_TICKS
    want = flow.flow_edges([(flowed, 5 * ML), (steps * AL + AL // 2 - flowed, rate)], AL)
    for (at, _), exact in zip(bench.dose.edges, want, strict=True):
        assert abs(at - exact) <= 4 + max(2, flow.Fraction(5 * ML, rate))


@pytest.mark.requirement("A9")
@pytest.mark.parametrize("before", [1, 3, 100, 4_000, 9_000, 10_001, 25_000])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("action", ["pause", "rate", "stop"])
def test_requests_at_the_very_end_of_an_item(before, last, action):
    # The last step's word is pulled up to 10 ms before its edge: a request in between must
    # neither lose that step nor make it twice.
    p = flow.period(AL, 5 * ML)
    first = infuse(10 * AL, 5 * ML)
    bench = started([first] if last else [first, infuse(5 * AL, 9 * ML)])
    bench.run_to(flow.due(0, 10, p) - before)
    bench.controller.service()
    if action == "pause":
        bench.controller.pause()
        bench.run_to(bench.clock.now + 500_000)
        bench.controller.resume()
    elif action == "rate":
        try:
            bench.controller.change_rate(7 * ML)
        except errors.Refused as error:
            assert error.code == "E_STATE"
    else:
        view = bench.controller.stop()
        assert view["witnessed_steps"] == 9 == len(bench.dose.edges)
        return
    bench.run_out()
    steps = 10 if last else 15
    assert totals(bench) == [steps] * 3
    assert len(bench.dose.edges) == steps


@pytest.mark.requirement("B7", "C23")
def test_empty_load_and_the_exact_remainder():
    # 0.3 mL ordered, 0.1 mL loaded: 576 of 1728 steps fit; two more loads of 0.1 mL do it.
    bench = started([infuse(3 * ML // 10, 60 * ML)], fill=ML // 10)
    made = []
    for _ in range(3):
        bench.run_out()
        if bench.controller.state != "alarm":
            break
        made.append(len(bench.dose.edges))
        assert bench.alarms.stopping() == ["A_EMPTY"]
        with pytest.raises(errors.Refused):
            bench.controller.resume()
        bench.table.run("load", {"volume_al": ML // 10})
        assert bench.controller.state == "paused"
        bench.controller.resume()
    bench.run_out()
    assert made == [576, 1152]
    assert totals(bench) == [1728] * 3


@pytest.mark.requirement("C23")
def test_take_up_is_witnessed_not_booked_and_interrupted_goes_on():
    config = configuration(pull_in_hz=20_000, backlash_steps=200, takeup_hz=1000)
    steps = [infuse(50 * AL, 100 * ML), {**infuse(30 * AL, 100 * ML), "mode": "withdraw"}]
    bench = started(steps, config, fill=10 * ML)
    while bench.controller.state != "withdrawing":
        bench.run_to(bench.clock.now + 1000)
    for _ in range(3):  # 200 steps at 1000 Hz take 200 ms
        bench.run_to(bench.clock.now + 40_000)
        bench.controller.pause()
        bench.run_to(bench.clock.now + 1_000_000)
        bench.controller.resume()
    bench.run_out()
    assert totals(bench) == [80, 80, 80]
    assert bench.controller.run.takeup == 200
    assert len(bench.dose.edges) == 280
    assert bench.motor.position == 20
    assert bench.controller.run.as_dict()["delivered_nl"] == 50 * AL // 10**9


def test_an_accepted_stop_is_never_overruled_by_a_later_rate_or_pause():
    # Above the pull-in rate stop runs down a ramp; the pump is still infusing meanwhile.
    config = configuration(pull_in_hz=1000, accel_hz_per_s=20_000, backlash_steps=0)
    rate = 5000 * 3600 * AL
    bench = started([infuse(40_000 * AL, rate)], config)
    bench.run_to(3_000_000)
    bench.controller.stop()
    assert bench.controller.state == "infusing"
    for request in (lambda: bench.controller.change_rate(rate // 2), bench.controller.pause):
        try:
            request()
        except errors.Refused as error:
            assert error.code == "E_STATE"
    bench.run_out()
    assert bench.controller.state == "idle"
    assert bench.names()[-1] == "stop"
    ordered, commanded, witnessed = totals(bench)
    assert ordered == 40_000 and commanded == witnessed == len(bench.dose.edges) < 40_000


@settings(max_examples=15)
@given(
    st.lists(st.tuples(st.integers(1, 400_000), st.sampled_from(["pause", "rate"])), max_size=5),
    st.integers(2000, 20_000),
)
def test_above_the_pull_in_rate_nothing_is_lost_either(actions, hz):
    config = configuration(pull_in_hz=1000, accel_hz_per_s=20_000, backlash_steps=0)
    bench = started([infuse(2500 * AL, hz * 3600 * AL)], config)
    for ticks, action in actions:
        bench.run_to(bench.clock.now + ticks)
        if bench.controller.state != "infusing":
            break
        if action == "rate":
            bench.controller.change_rate((hz - 500) * 3600 * AL)
            bench.run_to(bench.clock.now + 600_000)
        else:
            bench.controller.pause()
            bench.run_to(bench.clock.now + 2_000_000)
            if bench.controller.state == "paused":
                bench.controller.resume()
    bench.run_out()
    assert totals(bench) == [2500] * 3
    assert len(bench.dose.edges) == 2500


def test_ordered_pause_between_stretches():
    bench = started([infuse(10 * AL, 50 * ML), {"mode": "pause", "duration_ms": 60_000},
                     infuse(10 * AL, 50 * ML)])  # fmt: skip
    bench.run_out()
    assert totals(bench) == [20] * 3
    edges = [at for at, _ in bench.dose.edges]
    assert edges[10] - edges[9] >= 60_000_000
    assert bench.names().count("pause") == 1


@pytest.mark.parametrize("at_ms", [700, 1600, 1750, 1850])
def test_a_stop_is_prompt_also_when_little_and_slow_is_left(at_ms):
    # 5000 steps/s, then 300 steps at 5 mL/h (37 s): a stop in the fast part, or while it slows
    # down, must not wait for the slow part to run out.
    config = configuration(pull_in_hz=1000, accel_hz_per_s=20_000, backlash_steps=0)
    bench = started([infuse(8000 * AL, 5000 * 3600 * AL), infuse(300 * AL, 5 * ML)], config)
    bench.run_to(at_ms * 1000)
    bench.controller.stop()
    asked = bench.clock.now
    while bench.dose.active:
        bench.run_to(bench.clock.now + 10_000)
    assert bench.clock.now - asked < 1_000_000
    assert bench.controller.state == "idle"


def test_a_pause_that_is_interrupted_does_not_grow():
    # 1.5 steps at 100 steps an hour end 54 s after 1 step: 18 s after it, then the pause of 60 s.
    rate = 100 * AL
    pause = {"mode": "pause", "duration_ms": 60_000}
    half = 3 * AL // 2
    bench = started([infuse(half, rate), pause, infuse(3 * AL - half, rate)])
    bench.run_to(40_000_000)
    assert bench.controller.state == "paused"
    left = bench.controller.pause_left_ms()
    assert abs(left - (18_000 + 60_000 - 4_000)) <= 1
    for _ in range(5):
        bench.controller.pause()
        bench.run_to(bench.clock.now + 1_000_000)
        bench.controller.resume()
        assert bench.controller.pause_left_ms() == left
    bench.run_out()
    # Three steps: the second leg's first comes half a step's time after the pause's end.
    assert totals(bench) == [3, 3, 3]
    ends = 40_000_000 + 5_000_000 + 74_000_000
    assert abs(bench.dose.edges[1][0] - (ends + 18_000_000)) <= 3_000  # whole milliseconds


@pytest.mark.requirement("A11")
@pytest.mark.parametrize(("extra", "codes"), [(2, []), (3, ["A_DRIFT"])])
def test_steps_from_nowhere_in_a_small_dose_are_told_at_its_end(extra, codes):
    bench = started([infuse(20 * AL, 100 * 3600 * AL)])
    end = bench.dose.end

    def ended():
        at = end()
        bench.dose.seen += extra
        return at

    bench.dose.end = ended
    bench.run_out()
    assert bench.alarms.standing() == codes
