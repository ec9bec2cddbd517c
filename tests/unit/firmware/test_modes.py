"""The order book's modes on a motor that plays its segments: ramp, bolus, intermittent, repeat,
and a dose on top of a run. Whatever interrupts them, the total is the ordered one to the step."""

from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from unit.firmware import flow
from unit.firmware.bench import Bench, errors
from unit.firmware.test_therapy import AL, ML, SLOW, infuse, started, totals

from doseloop import resources

order = resources.firmware_module("order")
program = resources.firmware_module("program")

MIN = 60_000
HOUR = 3_600_000


def ramp(rate, rate_end, **more):
    return {"mode": "ramp", "rate_al_per_h": rate, "rate_end_al_per_h": rate_end, **more}


def intermittent(volume_al, rate, every_ms, count):
    return {
        **infuse(volume_al, rate),
        "mode": "intermittent",
        "every_ms": every_ms,
        "count": count,
    }


def items_of(steps, **options):
    return list(order.make("t", steps, SLOW, **options).items())


# -- what steps become ----------------------------------------------------------------------------


def test_a_ramp_by_hand():
    # From 10 to 40 mL/h in 30 s: the mean, 25 mL/h, for 30 s is 0.208333 mL. Thirty stairs of 1 s;
    # up to the end of second k flow 10 k + 0.5 k^2 mL/h*s, so stair k has 10 + k - 0.5 mL/h.
    found = items_of([ramp(10 * ML, 40 * ML, duration_ms=30_000)])
    assert [item.rate for item in found] == [10 * ML + k * ML - ML // 2 for k in range(1, 31)]
    assert sum(item.volume_al for item in found) == 25 * ML * 30 // 3600
    assert {item.duration_ms for item in found} == {1000}
    assert {item.kind for item in found} == {"ramp"}


@given(st.integers(ML, 100 * ML), st.integers(ML, 100 * ML), st.integers(1, 10**8))
def test_a_ramp_lies_on_its_line_at_every_stair(first, last, ms):
    found = items_of([ramp(first, last, duration_ms=ms), infuse(ML, ML)])[:-1]
    t = flowed = 0
    for item in found:
        t += item.duration_ms
        flowed += item.volume_al
        line = (first * t + Fraction((last - first) * t * t, 2 * ms)) / HOUR
        assert -1 < flowed - line < 1 or (t == ms and abs(flowed - line) <= 1)
        assert min(first, last) <= item.rate <= max(first, last)
    assert t == ms


@pytest.mark.parametrize(
    "given_by",
    [
        {"rate_al_per_h": 10 * ML, "duration_ms": HOUR},
        {"rate_al_per_h": 10 * ML, "volume_al": 25 * ML},
        {"volume_al": 25 * ML, "duration_ms": HOUR},
    ],
)
def test_a_ramp_takes_any_two(given_by):
    asked = {"mode": "ramp", "rate_end_al_per_h": 40 * ML, **given_by}
    step = order.make("t", [asked], SLOW).steps[0]
    assert (step.rate, step.volume_al, step.duration_ms) == (10 * ML, 25 * ML, HOUR)


@pytest.mark.requirement("A10")
def test_intermittent_doses_by_hand():
    # 2 mL at 60 mL/h take 2 min; every 10 min, three times, leaves two waits of 8 min.
    found = items_of([intermittent(2 * ML, 60 * ML, 10 * MIN, 3)])
    assert [(item.kind, item.duration_ms) for item in found] == [
        ("infuse", 2 * MIN),
        ("pause", 8 * MIN),
        ("infuse", 2 * MIN),
        ("pause", 8 * MIN),
        ("infuse", 2 * MIN),
    ]
    # With KVO, never above the rate of the dose (A10).
    found = items_of([intermittent(2 * ML, 60 * ML, 10 * MIN, 2)], kvo=90 * ML)
    assert [(item.kind, item.rate) for item in found][1] == ("kvo", 60 * ML)
    assert found[1].volume_al == 8 * ML


def test_a_repeated_order_begins_again():
    steps = [infuse(ML, 60 * ML), {"mode": "pause", "duration_ms": 5_000}]
    made = order.make("t", steps, SLOW, repeat=3)
    assert [item.kind for item in made.items()] == ["infuse", "pause"] * 3
    assert made.total_steps() == 3 * ML // AL
    assert made.duration_ms() == 3 * (MIN + 5_000)


@pytest.mark.parametrize(
    ("steps", "options", "code"),
    [
        ([ramp(ML, 10**30 - 1, duration_ms=MIN)], {}, "E_RATE_HIGH"),
        ([ramp(ML, 1, duration_ms=MIN)], {}, "E_RATE_LOW"),
        ([{"mode": "ramp", "rate_al_per_h": ML, "duration_ms": MIN}], {}, "E_ORDER"),
        # 2 V / T is less than the rate at the end: it would have to begin below zero
        ([{"mode": "ramp", "rate_end_al_per_h": 90 * ML, "volume_al": ML, "duration_ms": HOUR}],
         {}, "E_RATE_LOW"),
        ([intermittent(2 * ML, 60 * ML, 2 * MIN, 2)], {}, "E_DURATION"),
        ([{**infuse(ML, ML), "mode": "intermittent", "every_ms": HOUR}], {}, "E_ORDER"),
        ([intermittent(ML, 60 * ML, HOUR, 0)], {}, "E_ORDER"),
        ([{**infuse(ML, ML), "count": 2}], {}, "E_ORDER"),
        ([{**infuse(ML, ML), "mode": "pulse"}], {}, "E_MODE"),
        ([intermittent(AL, 60 * ML, MIN, 2_501)], {}, "E_ORDER"),
        ([infuse(ML, ML)], {"repeat": 0}, "E_ORDER"),
        ([infuse(ML, ML)], {"repeat": 1_001}, "E_ORDER"),
        ([ramp(ML, 2 * ML, duration_ms=HOUR)], {"repeat": 200}, "E_ORDER"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(steps, options, code):
    with pytest.raises(errors.Refused) as caught:
        order.make("t", steps, SLOW, **options)
    assert caught.value.code == code and caught.value.next


# -- how they run ---------------------------------------------------------------------------------


def test_a_taper_gives_its_volume():
    # 20 up to 60 mL/h in 2 min, 3 min at 60, down to 5 mL/h in 1 min: 1.3333 + 3 + 0.541667 mL
    steps = [
        ramp(20 * ML, 60 * ML, duration_ms=2 * MIN),
        infuse(3 * ML, 60 * ML),
        ramp(60 * ML, 5 * ML, duration_ms=MIN),
    ]
    bench = started(steps)
    bench.run_out()
    want = (20 + 60) * ML * 2 // 120 + 3 * ML + 65 * ML // 120
    assert totals(bench) == [want // AL] * 3
    assert abs(bench.dose.edges[-1][0] - 6 * MIN * 1000) < 1_000_000


def test_doses_begin_on_their_grid_and_kvo_is_counted_apart():
    bench = started([intermittent(ML, 60 * ML, 10 * MIN, 4)], kvo=6 * ML)
    bench.run_to(5 * MIN * 1000)
    assert bench.controller.state == "kvo"
    assert bench.controller.rate() == 6 * ML
    bench.run_to(30 * MIN * 1000 + 30_000_000)
    assert bench.controller.state == "infusing"
    run = bench.controller.run
    bench.run_to(31 * MIN * 1000 + 1_000_000)
    assert run.ended and run.witnessed == run.ordered == 4 * ML // AL
    # three waits of 9 min at 6 mL/h; each loses what is beyond its last step
    assert run.kvo_steps >= 3 * (9 * ML // 10 // AL)
    assert bench.controller.state == "kvo", "after the order too"
    # The fourth dose began at 30 min: its first step a step's time later.
    edges = [at for at, _ in bench.dose.edges]
    gap = flow.period(AL, 60 * ML)
    first = next(at for at in edges if at > 30 * MIN * 1000)
    assert first - 30 * MIN * 1000 <= gap + 2


def test_a_schedule_of_a_month_is_unrolled_a_few_at_a_time():
    bench = started([intermittent(AL * 5, 60 * ML, 8 * HOUR, 90)])
    run = bench.controller.run
    for _ in range(200):
        bench.run_to(bench.clock.now + 4 * HOUR * 1000)
        assert len(run._items) <= 51
        if run.ended:
            break
    assert totals(bench) == [450] * 3
    assert bench.clock.now // 1000 >= 89 * 8 * HOUR


def test_a_bolus_has_its_state_and_keeps_the_rest_waiting():
    bench = started([{**infuse(ML, 120 * ML), "mode": "bolus"}, infuse(ML, 5 * ML)])
    assert bench.controller.state == "bolus"
    bench.run_to(31_000_000)
    bench.controller.service()
    assert bench.controller.state == "infusing"
    bench.run_out()
    assert totals(bench) == [2 * ML // AL] * 3


@pytest.mark.requirement("C22")
def test_a_loading_dose_runs_once():
    # C22: interrupted, it goes on; it does not begin again.
    bench = started([{**infuse(ML, 120 * ML), "mode": "bolus"}, infuse(ML, 5 * ML)])
    for _ in range(3):
        bench.run_to(bench.clock.now + 5_000_000)
        bench.controller.pause()
        bench.run_to(bench.clock.now + 60_000_000)
        bench.controller.resume()
        assert bench.controller.state == "bolus"
    bench.run_out()
    assert totals(bench) == [2 * ML // AL] * 3


def test_a_held_bolus_ends_with_the_hand():
    # 60 mL/h: a step each 10.4 ms. Held at 0, 0.2 and 0.4 s: it ends 0.3 s after the last.
    bench = started([infuse(ML, 60 * ML)])
    bench.controller.stop()
    bench.controller.plan(order.make("b", [{**infuse(ML, 60 * ML), "mode": "bolus"}], SLOW), True)
    begun = bench.clock.now
    for _ in range(3):
        bench.controller.hold()
        bench.run_to(bench.clock.now + 200_000)
    assert bench.controller.state == "bolus"
    bench.run_to(begun + 720_000)
    assert bench.controller.state == "idle"
    last = bench.dose.edges[-1][0] - begun
    assert 680_000 < last <= 702_000
    assert bench.names()[-1] == "stop"
    with pytest.raises(errors.Refused):
        bench.controller.hold()


def test_a_held_bolus_has_a_cap():
    bench = started([infuse(ML, 60 * ML)])
    bench.controller.stop()
    cap = {**infuse(20 * AL, 60 * ML), "mode": "bolus"}
    bench.controller.plan(order.make("b", [cap], SLOW), True)
    for _ in range(5):
        bench.controller.hold()
        bench.run_to(bench.clock.now + 100_000)
        if bench.controller.state != "bolus":
            break
    assert totals(bench) == [20] * 3


def test_stop_in_alarm_without_a_run():
    bench = Bench(SLOW)
    bench.controller.fault()
    assert bench.controller.stop() == {}
    assert bench.controller.state == "idle"


def test_stop_after_a_fault_tells_of_no_kvo():
    bench = started([infuse(ML, 60 * ML)])
    bench.run_to(1_000_000)
    bench.controller.fault()
    bench.controller.stop()
    assert bench.names().count("stop") == 0 and bench.controller.state == "idle"


def test_less_than_a_step_in_all_is_refused():
    with pytest.raises(errors.Refused) as caught:
        order.make("t", [infuse(AL // 3, ML), infuse(AL // 3, ML)], SLOW, kvo=ML)
    assert caught.value.code == "E_VOLUME"


def test_a_step_that_is_due_as_kvo_ends_keeps_the_shortest_word():
    # KVO of 30 steps/s ends without a rest, and the next dose begins a hair before its first step.
    bench = started([intermittent(5 * AL - 1, 3600 * 1000 * AL, 1_000, 4)], kvo=3600 * 30 * AL)
    bench.run_out(10)
    gaps = flow.intervals([at for at, _ in bench.dose.edges])
    assert min(gaps) >= 4


@pytest.mark.parametrize("kind", ["ramp", "bolus", "kvo"])
def test_the_rate_of_a_ramp_a_bolus_or_kvo_is_the_orders(kind):
    steps = {
        "ramp": [ramp(10 * ML, 20 * ML, duration_ms=HOUR)],
        "bolus": [{**infuse(10 * ML, 10 * ML), "mode": "bolus"}],
        "kvo": [intermittent(AL * 10, 60 * ML, HOUR, 2)],
    }[kind]
    bench = started(steps, kvo=ML)
    bench.run_to(10 * MIN * 1000)
    with pytest.raises(errors.Refused) as caught:
        bench.controller.change_rate(12 * ML)
    assert caught.value.code == "E_STATE"


# -- every mode, every interruption ---------------------------------------------------------------

rates = st.integers(20 * ML, 300 * ML)
small = st.integers(1, 40 * AL)
any_step = st.one_of(
    st.builds(infuse, small, rates),
    st.builds(lambda v, r: {**infuse(v, r), "mode": "bolus"}, small, rates),
    st.builds(lambda a, b, ms: ramp(a, b, duration_ms=ms), rates, rates, st.integers(1, 20_000)),
    st.builds(intermittent, small, rates, st.integers(10_000, 60_000), st.integers(1, 3)),
    st.builds(lambda ms: {"mode": "pause", "duration_ms": ms}, st.integers(1, 20_000)),
)
acts = st.lists(
    st.tuples(
        st.integers(1, 9_000_000), st.sampled_from(["pause", "rate", "break", "dose", "empty"]),
        rates, small,
    ),
    max_size=10,
)  # fmt: skip


@pytest.mark.requirement("A9", "C2", "C23")
@example(
    # the first dose is over, and nobody has looked since, when the second is asked for
    [{"mode": "pause", "duration_ms": 1}],
    [(1, "dose", 180 * ML, 2 * AL), (8253, "dose", 20 * ML, AL // 2)], 3, None,
)  # fmt: skip
@settings(max_examples=120)
@given(
    st.lists(any_step, min_size=1, max_size=4), acts, st.integers(1, 3),
    st.one_of(st.none(), st.integers(20 * ML, 40 * ML)),
)  # fmt: skip
def test_each_mode_through_each_interruption_gives_the_ordered_total(steps, acts, repeat, kvo):
    try:
        bench = started([infuse(AL, 60 * ML), *steps], kvo=kvo, repeat=repeat)
    except errors.Refused as refused:
        assert refused.code == "E_DURATION"
        return
    controller, run = bench.controller, bench.controller.run
    doses = 0
    for ticks, act, rate, volume in acts:
        bench.run_to(bench.clock.now + ticks)
        if run.ended or controller.state == "alarm":
            break
        try:
            if act == "rate":
                controller.change_rate(rate)
            elif act == "dose":
                controller.bolus_now(volume + AL, rate)
            elif act == "empty":
                controller.pause()
                bench.motor.load(50 * ML)
                controller.resume()
            elif act == "break" and bench.dose.active:
                bench.dose.send_break()
                controller.service()
                controller.resume()
            elif act == "pause":
                controller.pause()
                bench.run_to(bench.clock.now + 3_000_000)
                controller.resume()
        except errors.Refused as refused:
            assert refused.code in ("E_STATE", "E_RATE_HIGH")
    while not run.ended:
        bench.run_to(bench.clock.now + 1_000_000)
        assert controller.state != "alarm"
        if controller.state == "paused" and not controller.pause_left_ms():
            controller.resume()
    doses = sum(e["given_al"] for e in bench.events.since(0, 10**6) if e["e"] == "bolus_end")
    ordered = run.order.volume_al(1) + doses
    event = next(e for e in bench.events.since(0, 10**6) if e["e"] == "end")
    assert event["witnessed_steps"] == event["ordered_steps"] == ordered // AL
    delivered = bench.dose.edges
    if bench.dose.active:
        controller.stop()
    assert len(bench.dose.edges) == ordered // AL + run.kvo_steps
    assert len(delivered) >= ordered // AL
