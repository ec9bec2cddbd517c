"""tick.py: its queue words say what the segments say, and no value ever leaves 32 bits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.firmware import flow
from unit.firmware.int32 import Int32
from unit.firmware.tick_bench import BIT30, TickBench, duration, stretch, t


@pytest.fixture(autouse=True, scope="module")
def narrow_integers():
    """Make the tick's casts give Int32: they read the 16-bit ring as viper's int does."""
    t.int = Int32
    yield
    del t.int


def test_words_by_hand():
    # P = 25000.5 ticks. Step 1 at 25000 and EDGE_LEAD 2 more: 25002 = 10000 + 10000 + 5002, the
    # last with the step bit. Step 2 at 50001, 25001 later: 10000 + 10000 + 5001.
    bench = TickBench()
    bench.give([(2, 25000, 25000, 1, 2, 1)])
    assert bench.fill() == 6
    words = [int(bench.ring[i]) for i in range(6)]
    wait = 10000 - t.WORD_MIN
    assert words == [wait, wait, 4998 | 0x8000, wait, wait, 4997 | 0x8000]
    assert [int(bench.ctrl[i]) for i in range(2)] == [6, 0]
    assert int(bench.s[t.S_QUEUED]) == 25002 + 25001
    assert int(bench.s[t.S_FED]) == 2
    bench.launch()
    bench.play()
    assert bench.model.edges == [25000, 50001]


@pytest.mark.parametrize("waits", range(1, 4))
@pytest.mark.parametrize("more", range(-3, 12))
def test_no_word_is_too_short_and_none_too_long(waits, more):
    gap = waits * t.WAIT_TICKS + more
    bench = TickBench()
    bench.give([(3, gap, gap, 0, 1, 0)])
    while bench.fill():
        pass
    words = bench.queued_words()
    assert all(t.WORD_MIN <= duration(word) <= t.WAIT_TICKS for word in words)
    assert sum(duration(word) for word in words) == 3 * gap + t.EDGE_LEAD
    assert sum(word >> 15 for word in words) == 3


segment_rates = st.one_of(
    st.tuples(st.integers(4, 60_000), st.integers(0, BIT30 - 1), st.just(BIT30)),
    st.tuples(st.integers(4, 60_000), st.integers(0, 40), st.integers(1, 41)),
)


@st.composite
def segments(draw):
    out = []
    for q, r, d in draw(st.lists(segment_rates, min_size=1, max_size=9)):
        r %= d
        n = draw(st.integers(1, 20))
        first = draw(st.integers(t.WORD_MIN, 60_000))
        out.append((n, first, q, r, d, draw(st.integers(0, d - 1))))
    return out


@given(
    segments(),
    st.integers(0, t.RING_WORDS - 1),
    st.integers(0, t.CTRL_WORDS - 1),
    st.integers(1, 70),
    st.integers(100, 30_000),
)
def test_edges_are_the_segments_edges_however_the_blocks_are_cut(
    segments, ring_at, ctrl_at, budget, step
):
    # ``step`` is the time between ticks: late ones, bursts of 1 tick are all the same to it.
    # Both ring and counters wrap on the way for some starts.
    bench = TickBench(ring_at, ctrl_at, BIT30 - 20, budget)
    bench.give(segments)
    filled = bench.fill()
    assert 0 < filled <= budget
    bench.launch()
    want = flow.expand(segments)
    bench.play(step=max(step, want[-1] // 1500))
    edges = bench.model.edges
    if bench.s[t.S_FLAGS] & t.F_UNDERRUN:  # blocks too small for so late a tick: ends, no more
        assert edges == want[: len(edges)]
        assert budget * t.WORD_MIN < step
    else:
        assert bench.done()
        assert edges == want
        assert int(bench.s[t.S_FED]) == int(bench.s[t.S_MADE]) == (BIT30 - 20 + len(want)) % BIT30
        assert int(bench.s[t.S_SEEN]) == int(bench.s[t.S_MADE])
        assert int(bench.s[t.S_QUEUED]) == 0


@pytest.mark.parametrize("segment", [
    (1, flow.PERIOD_MAX + 2, flow.PERIOD_MAX, BIT30 - 1, BIT30, BIT30 - 1),
    (BIT30 - 1, 5, 5, BIT30 - 1, BIT30, BIT30 - 1),
    (400, 5, 5, BIT30 - 2, BIT30 - 1, BIT30 - 2),
    (400, 5, 5, 0, 1, 0),
    (40, t.WORD_MIN, t.WORD_MIN, 1, 2, 0),
    (3, 1_000_000, 60_000_000, BIT30 - 1, BIT30, BIT30 - 1),
])  # fmt: skip
def test_extremes_stay_within_32_bits(segment):
    # Int32 and Buffer assert; the sums to look for: e + r < 2**31, at * SEG_WORDS at slot 191,
    # q + 1 and first + EDGE_LEAD up to 2**30 + 2, counters about to wrap at 2**30.
    bench = TickBench(t.RING_WORDS - 3, t.CTRL_WORDS - 2, BIT30 - 2, budget=400, guard=42)
    bench.s[t.S_SEGR] = bench.s[t.S_SEGW] = t.SEG_SLOTS - 1
    bench.give([segment])
    bench.launch()
    # the longest gap has 107 375 words; a second of the fastest rate has 200 000
    bench.play(
        most_ticks=200_000 if segment[1] < 10**6 else 1_100_000_000,
        step=1000 if segment[1] < 10**6 else 20_000,
    )
    edges = bench.model.edges
    assert edges
    _, first, q, r, d, e = segment
    assert edges == [first + j * q + (e + j * r) // d for j in range(len(edges))]
    assert not bench.s[t.S_FLAGS] & (t.F_DRIFT | t.F_LEASE | t.F_ERROR)


def test_the_second_interval_of_the_slowest_rate():
    # Straight to the second step: rem = q + 1 = 2**30 comes from the sum, not from ``first``.
    bench = TickBench()
    bench.give([(2, 10, flow.PERIOD_MAX, BIT30 - 1, BIT30, BIT30 - 1)])
    bench.launch()
    assert int(bench.s[t.S_REM]) + int(bench.s[t.S_QUEUED]) == BIT30 + 10 + t.EDGE_LEAD
    assert int(bench.s[t.S_LEFT]) == 1


@pytest.mark.parametrize("p", [flow.Fraction(1_000_000, 7), flow.Fraction(624710 * 7 + 1, 7)])
def test_every_tick_skipped_but_the_needed_ones(p):
    # The firmware must not notice ticks that were skipped because nothing was due.
    often, seldom = TickBench(), TickBench()
    for bench, step in ((often, 500), (seldom, 150_000)):
        bench.give(stretch(p, 30))
        bench.launch()
        bench.play(step=step)
        assert bench.done()
    assert often.model.edges == seldom.model.edges == [flow.due(0, k, p) for k in range(1, 31)]


def test_the_queue_keeps_its_bounds_in_time():
    for hz in (1, 90, 1000, 9999):
        p = flow.Fraction(1_000_000, hz)
        bench = TickBench()
        bench.give(stretch(p, 3 * hz + 3))
        bench.launch()
        while not (bench.s[t.S_SEGR] == bench.s[t.S_SEGW] and not bench.s[t.S_LEFT]):
            queued = int(bench.s[t.S_QUEUED])
            assert t.HIGH_TICKS - t.BLOCK_TICKS - 30_000 < queued < t.HIGH_TICKS + t.WAIT_TICKS
            bench.play(most_ticks=1000)
            assert bench.s[t.S_RUN]
