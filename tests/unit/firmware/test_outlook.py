"""What a plan says of limits and of the plunger's end, against hand, fractions and real runs."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace

import pytest
from bench import seal_order
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.firmware.bench import Bench
from unit.firmware.test_therapy import SLOW, infuse

from doseloop import output, resources
from doseloop.outlook import Outlook, Window, outlook
from doseloop.results import Plan, Stretch, SyringeState

order_module = resources.firmware_module("order")

ML = 10**15
HOUR = 3_600_000
AL = SLOW["motion"]["al_per_step"]


def look(steps, syringe=None, **top) -> Outlook:
    sealed = seal_order(steps, **{"fill_al": 50 * ML, **top})
    return outlook(SimpleNamespace(sealed=sealed), SLOW, syringe)


def pca(lockout_ms, limit_al=10**18, basal=0, duration_ms=8 * HOUR):
    return {
        "mode": "pca", "basal_al_per_h": basal, "dose_al": ML, "dose_rate_al_per_h": 60 * ML,
        "lockout_ms": lockout_ms, "limit_1h_al": limit_al, "duration_ms": duration_ms,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("step", "most_ul"),
    [
        # Doses of 1 mL in 1 min. Every 10 min: in an hour six.
        (pca(600_000), 6_000),
        # Every 7 min: at 0, 7, … 56, which is over at 57: nine.
        (pca(420_000), 9_000),
        # Every 59.5 min: one, and of the next the first half minute.
        (pca(3_570_000), 1_500),
        # The same over 1 mL/h, which flows all the hour.
        (pca(3_570_000, basal=ML), 2_500),
        # Six would fit the lockout, the limit takes three and all of the basal rate.
        (pca(600_000, limit_al=4 * ML, basal=ML), 4_000),
        # It is over after 15 min: at 0 and 10.
        (pca(600_000, duration_ms=900_000), 2_000),
    ],
)
def test_the_fullest_hour_by_hand(step, most_ul):
    (window,) = look([step]).windows
    assert (window.window_ms, window.most_nl) == (HOUR, most_ul * 1000)
    assert window.most_nl * 10**9 <= window.limit_al


@settings(max_examples=30)
@given(st.integers(60_000, 2 * HOUR), st.integers(0, 20 * ML), st.integers(60_000, 6 * HOUR))
def test_the_fullest_hour_is_that_of_all_windows(lockout, basal, duration):
    (window,) = look(
        [pca(lockout, basal=basal if basal >= ML else 0, duration_ms=duration)]
    ).windows
    basal = basal if basal >= ML else 0
    begins = range(0, duration, lockout)

    def flowed(until):  # in aL, since 0
        full = sum(min(60_000, max(0, until - at)) for at in begins)
        return Fraction(basal * max(0, until) + 60 * ML * full, HOUR)

    changes = [*begins, *(at + 60_000 for at in begins), duration, HOUR]
    ends = [end for c in changes for end in (c, c + HOUR) if end <= duration]
    most = max(flowed(end) - flowed(end - HOUR) for end in ends)
    assert window.most_nl == -(-most // 10**9)


def test_rates_used_by_hand():
    seen = look([infuse(ML, 5 * ML), infuse(ML, 50 * ML)], kvo_al_per_h=ML // 2)
    assert (seen.fastest_al_per_h, seen.slowest_al_per_h) == (50 * ML, ML // 2)
    assert seen.rate_max_al_per_h == SLOW["limits"]["rate_max_al_per_h"]
    ramp = {"mode": "ramp", "rate_al_per_h": 5 * ML, "rate_end_al_per_h": 40 * ML,
            "duration_ms": HOUR}  # fmt: skip
    assert look([ramp]).fastest_al_per_h == 40 * ML
    assert look([pca(600_000, basal=ML)]).fastest_al_per_h == 61 * ML


def test_the_plunger_by_hand():
    # 120 mL from syringes of 50 mL: floor(5e16 / AL) = 288133 steps each, 691519 in all, so the
    # third ends after 691519 - 2 * 288133 = 115253 steps.
    seen = look([infuse(120 * ML, 60 * ML)])
    assert (seen.syringes, seen.position_steps) == (3, 115253)
    assert seen.remaining_nl == (288133 - 115253) * AL // 10**9
    # Without a fill it begins where the plunger is: 10 of 100 steps made, 30 more, 60 left.
    here = SyringeState("s", AL, 10, 90 * AL // 10**9)
    seen = look([infuse(30 * AL, 5 * ML)], here, fill_al=None)
    assert (seen.syringes, seen.position_steps, seen.remaining_nl) == (1, 40, 60 * AL // 10**9)
    back = {"mode": "withdraw", "volume_al": 50 * ML, "rate_al_per_h": 60 * ML}
    assert look([infuse(ML, 60 * ML), back]).full


MOVES = st.one_of(
    st.builds(infuse, st.integers(AL, 40 * ML), st.integers(100 * ML, 400 * ML)),
    st.builds(lambda ms: {"mode": "pause", "duration_ms": ms}, st.integers(1, 9_000)),
    st.builds(
        lambda volume, rate: {"mode": "withdraw", "volume_al": volume, "rate_al_per_h": rate},
        st.integers(AL, 100 * AL), st.integers(100 * ML, 400 * ML),
    ),
    st.builds(
        lambda volume, count: {"mode": "intermittent", "volume_al": volume, "count": count,
                               "rate_al_per_h": 400 * ML, "every_ms": HOUR},
        st.integers(AL, 30 * ML), st.integers(2, 4),
    ),
)  # fmt: skip


@settings(max_examples=40)
@given(
    st.lists(MOVES, min_size=1, max_size=4), st.integers(AL, 50 * ML), st.integers(1, 2),
    st.sampled_from([None, 2 * ML]),
)  # fmt: skip
def test_the_plunger_ends_where_a_run_leaves_it(steps, fill, repeat, kvo):
    steps = [infuse(100 * AL, 300 * ML), *steps]
    seen = look(steps, fill_al=fill, repeat=repeat, kvo_al_per_h=kvo)
    bench = Bench(SLOW)
    controller = bench.controller
    order = order_module.make("x", steps, SLOW, fill_al=fill, repeat=repeat, kvo=kvo)
    controller.plan(order, False)
    controller.start()
    run, syringes, full = controller.run, 1, False
    while not run.ended and not full:
        bench.run_to(bench.clock.now + 60_000_000)
        alarms = bench.alarms.standing()
        full = "A_FULL" in alarms
        if "A_EMPTY" in alarms and not run.ended:
            bench.table.run("load", {"volume_al": 50 * ML})
            controller.resume()
            syringes += 1
    at = bench.motor.position
    if run.kvo is not None:  # it keeps the vein open already: that is not in the outlook
        at -= run.kvo.done
    assert (seen.syringes, seen.full, seen.position_steps) == (syringes, full, at)


@pytest.mark.requirement("C21")
def test_the_plan_says_whether_a_clinicians_bolus_counts():
    plan = Plan(1, HOUR, [Stretch("pca", 5 * ML, 1, HOUR)])
    for more, words in (({}, "counted towards"), ({"boluses_apart": 1}, "given apart from")):
        seen = look([{**pca(600_000), **more}])
        lines = output.plan_text(plan, AL, "it", (), seen).splitlines()
        assert f"  boluses  a clinician's are {words} the limits" in lines


def test_the_lines_of_a_plan():
    seen = Outlook(
        60 * ML, 5 * ML, 12_494_217_852_216_000_000, 581_807_357_439,
        (Window(HOUR, 9_500_000, 10 * ML), Window(4 * HOUR, 30_000_000, 30 * ML)),
        2, 1234567, 3_000_499, False,
    )  # fmt: skip
    plan = Plan(1, HOUR, [Stretch("pca", 5 * ML, 1, HOUR)])
    lines = output.plan_text(plan, AL, "it", (), seen).splitlines()[-6:]
    assert lines == [
        "  fastest  60 mL/h: 0.5 % of the pump's most, 12494 mL/h",
        "  slowest  5 mL/h: 8,593 times its least, 581.8 nL/h",
        "  any 1 h  at most 9.500 mL, asked for at every chance; limit 10 mL",
        "  any 4 h  at most 30.000 mL, asked for at every chance; limit 30 mL",
        "  boluses  a clinician's are counted towards the limits",
        "  plunger  ends at step 1,234,567, 3.000 mL left, in syringe 2 (without demands)",
    ]
    assert max(map(len, lines)) <= 80
