"""planner.stretch_segments against an oracle of fractions; and its numbers against 32 bits."""

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.firmware import flow

from doseloop import resources

arith = resources.firmware_module("arith")
planner = resources.firmware_module("planner")
tick = resources.firmware_module("tick")

BIT30 = 1 << 30


@pytest.mark.requirement("A7")
def test_one_millilitre_an_hour_by_hand():
    # P = 624710.8926108 (test_arith.py) = 624710 + 2231527/2500000.
    # Step 1 at 624710.89, 2 at 1249421.78, 3 at 1874132.67, 9 at 5622398.03: floored, the steps
    # are 624711 apart except the one from 8 (4997687.14) to 9, after 7 (4372976.24): 624711 also,
    # and 9 (5622398.03) to 10 (6247108.92): 624710, because the carried remainder starts anew.
    segments = list(planner.stretch_segments(1561777231527, 2500000, 0, 1, 10, 0))
    assert segments == [(10, 624710, 624710, 2231527, 2500000, 2231527)]
    edges = flow.expand(segments)
    assert edges[:3] == [624710, 1249421, 1874132]
    assert edges[6:] == [4372976, 4997687, 5622398, 6247108]
    assert flow.intervals(edges) == [624711] * 8 + [624710]


def test_a_stretch_beyond_the_exact_count_goes_on_in_a_second_segment():
    # P = 32/3. 2**29 leaves 2 when divided by 3, so 32 * 2**29 leaves 1: step 2**29 is due 1/3
    # after its edge, and the next, 32/3 later, falls on a whole tick: 11 ticks after that edge.
    last = (1 << 29) + 1
    segments = list(planner.stretch_segments(32, 3, 0, 1, last, 0))
    assert segments == [(1 << 29, 10, 10, 2, 3, 2), (1, 11, 10, 2, 3, 0)]


def test_a_segment_ends_where_its_last_edge_is_exact():
    # P = 10 + 2/D with D = 2**30 + 3: the tick counts in 1 / 2**30, so 2/D becomes 1 / 2**30 there
    # (floored), half of what it is. Step D - 5 is due 10/D before a second tick is full: five
    # steps later it is, exactly at D; but the tick's own count is then 5 / 2**30 short. So a
    # segment for steps D - 5 ... D + 2 would end one tick early, and D + 1, D no better; it ends
    # at D - 1, and the next begins at D from the exact instant, 10 + 1 ticks later.
    d = BIT30 + 3
    num = 10 * d + 2
    edge = 10 * (d - 6) + 1
    whole = list(planner.stretch_segments(num, d, 0, d - 5, d + 2, edge))
    assert whole == [(5, 10, 10, 1, BIT30, BIT30 - 10), (3, 11, 10, 1, BIT30, 0)]
    # where the last edge is exact at once, nothing is cut
    assert list(planner.stretch_segments(num, d, 0, d - 5, d - 1, edge)) == whole[:1]
    # and one step always is
    pair = list(planner.stretch_segments(num, d, 0, d - 1, d, 10 * (d - 2) + 1))
    assert pair == [(1, 10, 10, 1, BIT30, BIT30 - 2), (1, 11, 10, 1, BIT30, 0)]
    # P = 10.7 and a hair, 0.1/D: 10 * 751619279 = 7 D + 1. Ten steps end 1/D after tick 107, which
    # the tick's count misses by one; nine end at 96, as they should.
    num = 10 * d + 751619279
    r = 751619279 * BIT30 // d
    tens = list(planner.stretch_segments(num, d, 0, 1, 10, 0))
    assert tens == [(9, 10, 10, r, BIT30, r), (1, 11, 10, r, BIT30, 0)]
    assert flow.expand(tens) == [10, 21, 32, 42, 53, 64, 74, 85, 96, 107]


@st.composite
def periods(draw):
    """Rates over the whole range of real and extreme syringes, and periods of any shape."""
    kind = draw(st.sampled_from(["rate", "near whole", "fraction"]))
    if kind == "fraction":
        den = draw(st.integers(1, 2 * BIT30) | st.integers(BIT30 - 3, BIT30 + 3))
        p = Fraction(draw(st.integers(5 * den, flow.PERIOD_MAX * den)), den)
    else:
        al = draw(st.sampled_from(flow.AL_PER_STEP))
        least, most = flow.rate_span(al)
        whole = draw(st.integers(5, flow.PERIOD_MAX))
        near = al * flow.HOUR_TICKS // whole + draw(st.integers(-2, 2))
        rate = near if kind == "near whole" else draw(st.integers(least, most))
        p = flow.period(al, min(max(rate, least), most))
    return p


def check_ranges(segments, first_min):
    """Assert what keeps tick.fill within signed 32 bits: see its docstring."""
    for n, first, q, r, d, e in segments:
        assert 1 <= n < BIT30
        assert first_min <= first <= BIT30
        assert 0 <= q < BIT30
        assert 0 <= r < d <= BIT30
        assert 0 <= e < d


def check_edge(edge, exact, want):
    assert edge == want if exact else want - 1 <= edge <= want


@pytest.mark.requirement("A3")
@given(periods(), st.integers(0, 10**15), st.integers(1, 10**7), st.integers(1, 300))
def test_every_edge_of_a_chunk(p, t0, first_k, count):
    last_k = first_k + count - 1
    edge = flow.due(t0, first_k - 1, p)
    segments = list(
        planner.stretch_segments(p.numerator, p.denominator, t0, first_k, last_k, edge)
    )
    check_ranges(segments, tick.WORD_MIN)
    edges = flow.expand(segments, edge)
    assert len(edges) == count
    exact = p.denominator < BIT30
    for i, at in enumerate(edges):
        check_edge(at, exact, flow.due(t0, first_k + i, p))


@pytest.mark.requirement("A3")
@settings(max_examples=40)
@given(
    periods(),
    st.integers(1, 10**6),
    st.integers(2**19 - 1, 4 * 10**6),
    st.lists(st.integers(0, 10**9), min_size=30, max_size=30),
)
def test_long_stretches_by_jumping(p, first_k, count, picks):
    last_k = first_k + count - 1
    edge = flow.due(0, first_k - 1, p)
    segments = list(planner.stretch_segments(p.numerator, p.denominator, 0, first_k, last_k, edge))
    check_ranges(segments, tick.WORD_MIN)
    exact = p.denominator < BIT30
    assert len(segments) == 1 if exact else len(segments) >= count >> 19
    k = first_k
    for n, first, q, r, d, e in segments:
        begin = edge + first
        assert begin == flow.due(0, k, p)  # every segment begins at its exact instant
        for j in {0, n - 1, *(pick % n for pick in picks)}:
            check_edge(begin + j * q + (e + j * r) // d, exact, flow.due(0, k + j, p))
        edge = begin + (n - 1) * q + (e + (n - 1) * r) // d
        k += n
    assert k == last_k + 1
    assert edge == flow.due(0, last_k, p)


@pytest.mark.parametrize("al", flow.AL_PER_STEP)
def test_the_slowest_and_the_fastest_rate(al):
    for rate in flow.rate_span(al):
        num, den = arith.period(al, rate)
        assert 5 * den <= num <= planner.PERIOD_MAX * den
        segments = list(planner.stretch_segments(num, den, 0, 1, 1000, 0))
        check_ranges(segments, 5)
        edges = flow.expand(segments)
        assert max(flow.due(0, k, Fraction(num, den)) - edges[k - 1] for k in range(1, 1001)) <= 1


def test_a_stretch_joined_from_any_chunks_is_the_same_stretch():
    p = flow.period(173530803503, 3 * 10**15 + 1)  # denominator far above 2**30
    whole = flow.expand(planner.stretch_segments(p.numerator, p.denominator, 7, 1, 4000, 0))
    for cut in (1, 2, 1999, 3999):
        one = flow.expand(planner.stretch_segments(p.numerator, p.denominator, 7, 1, cut, 0))
        two = flow.expand(
            planner.stretch_segments(p.numerator, p.denominator, 7, cut + 1, 4000, one[-1]),
            one[-1],
        )
        assert len(one + two) == len(whole)
        assert max(abs(a - b) for a, b in zip(one + two, whole, strict=True)) <= 1


# -- ramps ------------------------------------------------------------------------------------

ramps = st.tuples(st.integers(1, 3000), st.integers(100, 50_000))


def test_ramp_by_hand():
    # From 1000 Hz at 20000 Hz/s to 2000 Hz: (2000**2 - 1000**2) / (2 * 20000) = 75 steps,
    # in (2000 - 1000) / 20000 s = 50 ms.
    ramp = planner.Ramp(1000, 20000)
    assert ramp.steps(1000) == 0
    assert ramp.steps(2000) == 75
    pieces = ramp.up(75)
    assert sum(n for n, _ in pieces) == 75
    assert sum(ticks for _, ticks in pieces) == 50_000
    # Its first piece has 5 steps: (sqrt(1000**2 + 5 * 2 * 20000) - 1000) / 20000 s = 4772.26 us
    assert pieces[0] == (5, 4772)


def test_a_piece_of_a_ramp_may_have_four_steps_and_not_fewer():
    # Nine steps from 1000 Hz at 20000 Hz/s end at sqrt(1000**2 + 9 * 40000) = 1166 Hz. Two pieces;
    # half the gain is 1083 Hz, reached after (1083**2 - 1000**2) / 40000 = 4.3 steps: 4, in
    # (sqrt(1000**2 + 4 * 40000) - 1000) / 20000 s = 3851.6 us; all nine in 8309.5 us.
    ramp = planner.Ramp(1000, 20_000)
    assert ramp.up(9) == [(4, 3851), (5, 8309 - 3851)]
    # Eight: half the gain, 1074 Hz, comes after 3.8 steps. One piece, 7445.5 us.
    assert ramp.up(8) == [(8, 7445)]


@given(ramps, st.integers(1, 20_000))
def test_ramp_follows_constant_acceleration(limits, hz):
    v0, a = limits
    ramp = planner.Ramp(v0, a)
    steps = ramp.steps(hz)
    if hz <= v0:
        assert steps == 0
        return
    # Rounded down: the last speed, sqrt(v0**2 + 2 a s), is never above hz.
    assert steps <= Fraction(hz * hz - v0 * v0, 2 * a) < steps + 1
    done = ticks = 0
    for n, piece in ramp.up(steps):
        assert n >= 1
        done, ticks = done + n, ticks + piece

        def position(t):
            return v0 * Fraction(t, 10**6) + a * Fraction(t, 10**6) ** 2 / 2

        assert position(ticks) <= done < position(ticks + 1)
        assert piece + 1 > Fraction(n * 10**6, hz)  # never shorter than the final rate's
    assert done == steps


@pytest.mark.parametrize(("pull_in", "accel", "hz"), [
    (1000, 20_000, 1500), (1000, 20_000, 3000), (1000, 20_000, 20_000), (500, 8000, 8000),
])  # fmt: skip
def test_ramp_starts_near_the_pull_in_rate_and_rises_gently(pull_in, accel, hz):
    # A piece has one interval: from standstill the motor jumps to the first piece's mean speed,
    # then from mean to mean. With the boards' limits: at most a fifth, then half the pull-in rate.
    ramp = planner.Ramp(pull_in, accel)
    speeds = [Fraction(n * 10**6, ticks) for n, ticks in ramp.up(ramp.steps(hz))]
    assert speeds[0] <= pull_in * Fraction(6, 5)
    assert all(b - a <= pull_in / 2 for a, b in pairwise(speeds))


@given(ramps, st.integers(1, 10**6))
def test_ramp_intervals_only_fall_and_its_segments_spread_them(limits, steps):
    ramp = planner.Ramp(*limits)
    pieces = ramp.up(steps)
    assert sum(n for n, _ in pieces) == steps
    means = [Fraction(ticks, n) for n, ticks in pieces]
    # Each boundary is floored to a whole tick, so a mean is up to 1 / n ticks off.
    slack = [Fraction(1, n) for n, _ in pieces]
    for i in range(len(means) - 1):
        assert means[i + 1] <= means[i] + slack[i] + slack[i + 1]
    segments = planner.ramp_segments(pieces)
    check_ranges(segments, 0)
    if steps < 1000:
        edges = flow.expand(segments)
        assert len(edges) == steps
        assert edges[-1] == sum(ticks for _, ticks in pieces)
        done = at = 0
        for n, ticks in pieces:
            spread = flow.intervals([at, *edges[done : done + n]])
            assert max(spread) - min(spread) <= 1
            done, at = done + n, at + ticks


@pytest.mark.parametrize(
    ("hz", "steps", "lag_ms"),
    [
        # 33 steps to 310 Hz at 1300 Hz/s, their peak is sqrt(10000 + 85800) = 309 Hz: twice
        # 209 / 1300 s is 321 ms, where 66 steps at 310 Hz take 212.
        (310, 1000, 321 - 212),
        # Of 21 steps 10 are the ramp up: to sqrt(10000 + 26000) = 189 Hz; 136 ms, not 64.
        (310, 21, 136 - 64),
        (310, 1, 0),
        (100, 1000, 0),
    ],
)
def test_what_a_ramp_adds_to_the_time_by_hand(hz, steps, lag_ms):
    lag = planner.Ramp(100, 1300).lag_ms(hz, steps)
    assert lag == lag_ms and type(lag) is int


def test_a_long_ramp_adds_its_time_to_the_millisecond():
    # 10 Hz/s up to 3100 Hz: 300 s, twice; its 480,000 steps at 3100 Hz, twice: 309,677 ms.
    assert planner.Ramp(100, 10).lag_ms(3100, 10**6) == 600_000 - 2000 * 480_000 // 3100 == 290_323
