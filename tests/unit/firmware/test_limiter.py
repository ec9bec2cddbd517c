"""The limiter against cases by hand, the trap of looking back only, and a judge in fractions."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from unit.firmware import windows

from doseloop import resources

limiter = resources.firmware_module("limiter")
Limiter = limiter.Limiter

ML = 10**15
MIN = 60_000
HOUR = 60 * MIN
VECTORS = Path(__file__).parents[2] / "vectors" / "limiter.json"


def flowed(limits, changes):
    """Return a limiter that has seen these changes."""
    made = Limiter(limits)
    for ms, rate in changes:
        made.flow(ms, rate)
    return made


# -- by hand ---------------------------------------------------------------------------------


@pytest.mark.requirement("C11", "C13")
def test_c13_a_first_dose_by_hand():
    # Limit 2 mL in any 60 min; basal 1 mL/h from 0 on; a dose of 1 mL in 1 min (60 mL/h) at once.
    # Looking back there is nothing. The window [0, 60 min] will hold 1 mL of dose and 1 mL/h * 1 h
    # = 1 mL of basal: 2 mL, equal to the limit, allowed. One aL/h more in the dose is too much:
    # it adds 1 aL/h * 60000 ms > 0.
    limit = (HOUR, 2 * ML)
    made = flowed([limit], [(0, ML)])
    assert made.refuses(0, [(MIN, 61 * ML)], ML) is None
    assert made.refuses(0, [(MIN, 61 * ML + 1)], ML) == limit
    assert made.refuses(0, [(MIN + 1, 61 * ML)], ML) == limit
    assert made.refuses(0, [(MIN, 61 * ML)], ML + 1) == limit


@pytest.mark.requirement("C11")
def test_c11_a_second_dose_by_hand():
    # The dose of the case above is given from 0 to 1 min. At 30 min the last hour holds
    # 1 + 30/60 = 1.5 mL. A second dose at T; times in min: the window [s, s + 60], 0 <= s <= 1,
    # holds 1 - s mL of the first dose, s + 60 - T mL of the second, 1 mL of basal: 62 - T mL.
    # That is 2 mL or less from T = 60 min on, and 1 ms sooner it is too much.
    made = flowed([(HOUR, 2 * ML)], [(0, 61 * ML), (MIN, ML)])
    dose = [(MIN, 61 * ML)]
    assert made.used(30 * MIN, HOUR) == 15 * ML // 10
    assert made.allowed_from(30 * MIN, dose, ML) == HOUR
    assert made.refuses(HOUR - 1, dose, ML) is not None
    assert made.refuses(HOUR, dose, ML) is None
    # A dose twice as large fits into no hour with its basal rate.
    assert made.allowed_from(30 * MIN, [(2 * MIN, 61 * ML)], ML) is None
    # Nothing forbids what it is: from now on.
    assert made.allowed_from(30 * MIN, [], ML) == 30 * MIN


@pytest.mark.requirement("C12")
def test_c12_two_limits_and_the_one_that_refuses_is_named():
    # 3 mL in 1 h and 4 mL in 4 h, no basal rate, doses of 1 mL in 1 min. Three doses fill the
    # hour: a fourth within it meets the first limit, and fits at 61 min. The fifth meets the
    # second limit: 5 mL in 4 h.
    hour, four = (HOUR, 3 * ML), (4 * HOUR, 4 * ML)
    made = Limiter([hour, four])
    dose = [(MIN, 60 * ML)]
    for minute in (0, 10, 20, 61):
        assert made.refuses(minute * MIN, dose, 0) is None
        made.flow(minute * MIN, 60 * ML)
        made.flow((minute + 1) * MIN, 0)
        if minute == 20:
            assert made.refuses(30 * MIN, dose, 0) == hour
            assert made.allowed_from(30 * MIN, dose, 0) == 60 * MIN
    assert made.refuses(200 * MIN, dose, 0) == four
    # The first dose leaves the 4 h window as fast as the new one enters it.
    assert made.allowed_from(200 * MIN, dose, 0) == 240 * MIN


@pytest.mark.requirement("C10")
def test_c10_a_restored_history_by_hand():
    # 60 mL/h flows from 9 to 10 min: 1 mL. Dumped at 10 min, while it goes on to flow; the next
    # dump was due 30 s later, so at most 60 mL/h * 30 s = 0.5 mL more flowed. After the reset pump
    # time may go on from anywhere. 1.5 mL are known, the last 0.5 of them in the last millisecond:
    # the flow of the minute leaves the hour's window from 59 min after, that of the grace at once
    # at 60 min after.
    text = json.dumps(flowed([(HOUR, 2 * ML)], [(9 * MIN, 60 * ML)]).dump(10 * MIN))
    for now in (0, 10 * MIN, 10**9):
        made = Limiter([(HOUR, 2 * ML)])
        made.restore(json.loads(text), now, 30_000)
        assert made.used(now, HOUR) == 15 * ML // 10
        assert made.used(now, 1) == ML // 2 + 60 * ML // HOUR + 1  # 16666666666.67 aL, rounded up
        assert made.used(now + 59 * MIN, HOUR) == 15 * ML // 10
        assert made.used(now + HOUR - 1, HOUR) == ML // 2 + 60 * ML // HOUR + 1
        assert made.used(now + HOUR, HOUR) == 0
        assert made.refuses(now, [(MIN, 30 * ML)], 0) is None
        assert made.refuses(now, [(MIN, 30 * ML + 1)], 0) is not None


@pytest.mark.requirement("C10")
def test_c10_a_dump_at_the_instant_of_a_change_keeps_the_rate_that_begins():
    # What begins at the dump flows for the grace: 60 mL/h * 1 min = 1 mL, though none of it had
    # flowed when it was dumped. A second reset at once, nothing flowing, adds nothing.
    made = flowed([(HOUR, 2 * ML)], [(MIN, 60 * ML)])
    again = Limiter([(HOUR, 2 * ML)])
    again.restore(made.dump(MIN), 5, MIN)
    assert again.used(5, HOUR) == ML
    for _ in range(200):
        data = json.loads(json.dumps(again.dump(5)))
        again.restore(data, 5, MIN)
    assert again.used(5, HOUR) == ML
    assert len(data[0]) < 6


def test_c10_the_grace_flows_in_one_millisecond_however_short_the_last_piece():
    # 60 mL/h for 2 ms and for the grace of 1 min: 1 mL and 2 ms of it, 33333333333.33 aL.
    for held in (1, 2, 3):
        made = Limiter([(HOUR, 2 * ML)])
        made.restore(flowed([(HOUR, 2 * ML)], [(0, 60 * ML)]).dump(held), 0, MIN)
        assert made.used(0, HOUR) == ML + -(-60 * ML * held // HOUR)
        assert made.used(0, 1) == ML + -(-60 * ML // HOUR)


# -- the trap of looking back only ------------------------------------------------------------

BASAL, DOSE_RATE, LOCKOUT = ML, 60 * ML, 6 * MIN
FOUR_HOURS = (240 * MIN, 10 * ML)


def requests_for_20_h(allows):
    """Return the flow when a dose of 1 mL in 1 min is asked for every minute of 20 h."""
    made = flowed([FOUR_HOURS], [(0, BASAL)])
    changes = [(0, BASAL)]
    last = None
    for now in range(0, 20 * HOUR, MIN):
        if last is not None and now == last + MIN:
            made.flow(now, BASAL)
            changes.append((now, BASAL))
        if (last is None or now - last >= LOCKOUT) and allows(made, now):
            last = now
            made.flow(now, BASAL + DOSE_RATE)
            changes.append((now, BASAL + DOSE_RATE))
    return changes


@pytest.mark.requirement("C12", "C13")
def test_c12_c13_the_worked_example_fills_the_worst_window_exactly():
    # 4 h of basal are 4 mL, so 6 doses of 1 mL fit: 10.0 mL, and not one dose less.
    dose = [(MIN, BASAL + DOSE_RATE)]
    changes = requests_for_20_h(lambda made, now: made.refuses(now, dose, BASAL) is None)
    assert windows.Volume(changes).fullest(FOUR_HOURS[0]) == 10 * ML
    assert sum(rate > BASAL for _, rate in changes) == 30


@pytest.mark.requirement("C13")
def test_c13_looking_back_only_lets_13_ml_through_and_the_judge_sees_it():
    # At 48 min the ninth dose finds 8 + 0.8 mL and makes 9.8; then basal goes on to 9 + 4 = 13 mL.
    changes = requests_for_20_h(lambda made, now: made.used(now, 240 * MIN) + ML <= 10 * ML)
    assert windows.Volume(changes).fullest(FOUR_HOURS[0]) == 13 * ML


# -- properties -------------------------------------------------------------------------------

rates = st.sampled_from([0, ML, 60 * ML, 61 * ML]) | st.integers(0, 10**18)
spans = st.sampled_from([1, 1000, MIN, 10 * MIN]) | st.integers(1, 2 * HOUR)
pieces = st.lists(st.tuples(spans, rates), max_size=3)
limit = st.tuples(
    st.sampled_from([1, MIN, HOUR, 4 * HOUR]) | st.integers(1, 5 * HOUR), st.integers(0, 10**18)
)
limits = st.lists(limit, min_size=1, max_size=3)
histories = st.lists(st.tuples(spans, rates), max_size=20)


def as_changes(history):
    """Return ([(ms, rate), ...], end) of [(duration, rate), ...], from an instant above 0 on."""
    now, changes = 7, []
    for ms, rate in history:
        changes.append((now, rate))
        now += ms
    return changes, now


@pytest.mark.requirement("C11", "C12", "C13")
@settings(max_examples=400)
@given(limits, histories, pieces, rates, st.integers(0, HOUR))
@example([(HOUR, ML)], [], [], ML, 0)
@example([(HOUR, ML)], [(HOUR, ML)], [], ML, 0)
@example([(1, 0)], [(5, ML)], [], 0, 0)
def test_c11_c12_c13_refused_is_what_some_window_would_exceed(limits, past, wanted, then, later):
    changes, now = as_changes(past)
    made = flowed(limits, changes)
    now += later
    found = windows.exceeded(changes, now, wanted, then, limits)
    assert made.refuses(now, wanted, then) == (found[0] if found else None)
    volume = windows.Volume(changes) if changes else lambda ms: 0
    for window, _ in limits:
        assert made.used(now, window) == math.ceil(volume(now) - volume(now - window))


@settings(max_examples=200)
@given(limits, histories, pieces, rates, st.integers(0, HOUR))
def test_allowed_from_is_allowed_and_the_first_when_no_less_is_asked_for(
    limits, past, wanted, then, later
):
    changes, now = as_changes(past)
    made = flowed(limits, changes)
    now += later
    flows = changes[-1][1] if changes else 0
    first = made.allowed_from(now, wanted, then)
    if first is not None:
        assert not windows.exceeded(changes, first, wanted, then, limits)
    assume(min([rate for _, rate in wanted] + [then]) >= flows)
    if first is None:
        for wait in (0, 1, HOUR, max(window for window, _ in limits), 30 * HOUR):
            assert windows.exceeded(changes, now + wait, wanted, then, limits)
    elif first > now:
        assert windows.exceeded(changes, first - 1, wanted, then, limits)


@settings(max_examples=100)
@given(limits, st.lists(st.tuples(spans, rates), min_size=30, max_size=60), pieces, rates)
def test_a_merged_history_never_counts_less(limits, past, wanted, then):
    changes, now = as_changes(past)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limiter, "PIECES_MAX", 5)
        made = Limiter(limits)
        for ms, rate in changes:
            made.flow(ms, rate)
            assert len(made.dump(ms)[0]) <= 6
    volume = windows.Volume(changes)
    for window in {1, now // 2, now, *(window for window, _ in limits)}:
        if window <= max(window for window, _ in limits):
            assert made.used(now, window) >= volume.window(now, window)
    if made.refuses(now, wanted, then) is None:
        assert not windows.exceeded(changes, now, wanted, then, limits)


def test_a_merged_history_of_doses_counts_little_more():
    # A dose of 0.1 mL in 6 s every minute for 12 h on 1 mL/h: 480 changes in 4 h, five times what
    # is kept. A fall is levelled and keeps its volume, so what is known stays within one part
    # in a hundred of 4 mL + 24 mL.
    made = Limiter([(240 * MIN, 100 * ML)])
    changes = []
    for minute in range(12 * 60):
        changes += [(minute * MIN, 61 * ML), (minute * MIN + 6000, ML)]
    for ms, rate in changes:
        made.flow(ms, rate)
    assert len(made.dump(12 * HOUR)[0]) == limiter.PIECES_MAX + 1  # and the one under way
    exact = windows.Volume(changes).window(12 * HOUR, 240 * MIN)
    assert exact == 28 * ML
    assert exact <= made.used(12 * HOUR, 240 * MIN) <= exact * 101 // 100


@pytest.mark.requirement("C10")
@settings(max_examples=200)
@given(limits, histories, pieces, rates, st.integers(0, MIN), st.integers(0, MIN), st.data())
def test_c10_a_restored_history_never_counts_less(limits, past, wanted, then, held, lost, data):
    changes, now = as_changes(past)
    made = flowed(limits, changes)
    now += held
    text = json.dumps(made.dump(now))
    # What flowed goes on for some of the lost time; the pump then stands until the reset.
    stood = data.draw(st.integers(0, lost))
    truth = [*changes, (now + stood, 0)]
    there = data.draw(st.sampled_from([0, now, 10**12]))
    again = Limiter(limits)
    again.restore(json.loads(text), there, MIN)
    later = data.draw(st.integers(0, HOUR))
    real = now + lost + later
    if again.refuses(there + later, wanted, then) is None:
        assert not windows.exceeded(truth, real, wanted, then, limits)
    for window, _ in limits:
        assert again.used(there + later, window) >= windows.Volume(truth).window(real, window)


@pytest.mark.requirement("C11")
@given(st.integers(1, 10**12), histories, st.integers(0, 5 * HOUR), st.integers(1, 5 * HOUR))
def test_c11_steps_never_exceed_the_volume_rounded_up(al, past, end, window):
    # Step k comes when k * al have flowed; those in (end - window, end] are counted from the flow.
    assume(past)
    volume = windows.Volume(as_changes(past)[0])
    steps = math.floor(volume(end) / al) - math.floor(volume(end - window) / al)
    assert steps <= math.ceil(volume.window(end, window) / al)


# -- edges ------------------------------------------------------------------------------------


def test_history_is_dropped_when_no_window_reaches_it():
    made = Limiter([(HOUR, ML)])
    for hour in range(48):
        made.flow(hour * HOUR, hour)
        made.flow(hour * HOUR, hour)  # said twice: no piece of its own
    assert len(made.dump(48 * HOUR)[0]) <= 3


def test_of_two_rates_told_at_one_instant_the_later_holds():
    made = flowed([(HOUR, ML)], [(0, ML), (5, 2 * ML), (9, 3 * ML), (9, 4 * ML)])
    assert made.dump(10) == [[HOUR, 5, 4, 1], [0, ML, 2 * ML, 4 * ML]]


def test_no_limits_never_refuse_and_keep_no_history():
    made = flowed([], [(0, 0), (5, ML), (10, 2 * ML)])
    assert made.refuses(10, [(HOUR, 10**21)], 10**21) is None
    assert made.allowed_from(10, [(HOUR, 10**21)], 10**21) == 10
    assert made.dump(12) == [[2], [2 * ML]]
    again = Limiter([(HOUR, ML)])
    again.restore(flowed([], [(0, ML)]).dump(0), 0, 3600)
    assert again.used(0, HOUR) == ML // 1000
    again.restore(made.dump(12), 0, 0)  # 2 mL/h * 2 ms
    assert again.used(0, HOUR) == -(-2 * ML * 2 // HOUR)


def test_time_that_runs_backwards_is_no_flow():
    made = flowed([(HOUR, ML)], [(10, ML)])
    for call in (
        lambda: made.flow(9, 0),
        lambda: made.refuses(9, [], 0),
        lambda: made.used(9, HOUR),
        lambda: made.dump(9),
    ):
        with pytest.raises(ValueError) as caught:
            call()
        assert str(caught.value) == "pump time ran backwards"
    assert made.used(10 + HOUR, HOUR) == ML


@pytest.mark.parametrize(
    "data",
    [None, [], [[1]], {}, [[1], 5], [5, [1]], [[], []], [[1], [1, 2]], [[1], [-1]]]
    + [[[1.5], [1]], [[True], [1]], [["1"], [1]], [[1], [None]], [[1], [1], [1]]],
)
def test_what_is_no_dump_is_refused_and_changes_nothing(data):
    made = flowed([(HOUR, ML)], [(0, ML)])
    with pytest.raises(ValueError) as caught:
        made.restore(data, 0, 0)
    assert str(caught.value) == "not a limiter's history"
    assert made.used(HOUR, HOUR) == ML


def test_the_shared_vectors_are_what_the_judge_says():
    cases = json.loads(VECTORS.read_text())["cases"]
    assert len(cases) >= 30
    for case in cases:
        limits = [tuple(each) for each in case["limits"]]
        changes, now, then = case["flow"], case["now"], case["then"]
        found = windows.exceeded(changes, now, case["pieces"], then, limits)
        assert case["refuses"] == (list(found[0]) if found else None)
        volume = windows.Volume(changes)
        used = [math.ceil(volume.window(now, window)) for window, _ in limits]
        assert case["used"] == used
        first = case["allowed_from"]
        if first is None:
            for wait in (0, HOUR, 30 * HOUR):
                assert windows.exceeded(changes, now + wait, case["pieces"], then, limits)
        else:
            assert not windows.exceeded(changes, first, case["pieces"], then, limits)
            if first > now:
                assert windows.exceeded(changes, first - 1, case["pieces"], then, limits)


def test_a_request_after_what_is_given_already_by_hand():
    # 10 in any 1000 ms. 6 flow in the next 300 ms, and 6 more are asked for in 100 ms: when 2 of
    # the first have left the window, which then ends 1100 ms from now; it begins 100 earlier.
    per_ms = 3_600_000  # aL/h in an aL/ms
    own = limiter.Limiter([(1000, 10_000)])
    own.flow(0, 0)
    before, asked = [(300, 20 * per_ms)], [(100, 60 * per_ms)]
    assert own.allowed_from(50_000, asked, 0, before) == 51_000
    # With 2 aL/ms between and after: 20 (1200 - t) + 2 (t - 300) + 6000 <= 10000, t >= 1077.8.
    assert own.allowed_from(50_000, asked, 2 * per_ms, before) == 51_078


def test_the_first_ms_is_found_to_the_millisecond():
    # 1 aL in any 4 ms. One flowed in [0, 1); the next may flow in [4, 5).
    made = flowed([(4, 1)], [(0, HOUR), (1, 0)])
    assert made.allowed_from(1, [(1, HOUR)], 0) == 4


def test_what_a_window_still_reaches_is_kept_when_a_long_piece_goes():
    # 1 mL/h for 3 h, 6 mL/h for 10 min, 1 mL/h for 50: the last hour holds 1 + 5/6 mL.
    limit = [(HOUR, 100 * ML)]
    changes = [(0, ML), (3 * HOUR, 6 * ML), (3 * HOUR + 10 * MIN, ML), (4 * HOUR, 0)]
    made = flowed(limit, changes)
    assert made.dump(4 * HOUR) == [[10 * MIN, 50 * MIN, 0], [6 * ML, ML, 0]]
    assert made.used(4 * HOUR, HOUR) == -(-11 * ML // 6)
