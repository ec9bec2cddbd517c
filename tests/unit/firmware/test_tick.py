"""tick.py: its queue words say what the segments say, and no value ever leaves 32 bits."""

import importlib.util
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.firmware import flow
from unit.firmware.int32 import Buffer, Int32

from doseloop import resources

t = resources.firmware_module("tick")
leg_module = resources.firmware_module("leg")
order = resources.firmware_module("order")
planner = resources.firmware_module("planner")

BIT30 = 1 << 30
_spec = importlib.util.spec_from_file_location(
    "queue_model", Path(__file__).parents[2] / "micropython" / "queue_model.py"
)
queue_model = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(queue_model)


@pytest.fixture(autouse=True, scope="module")
def narrow_integers():
    """Make the tick's casts give Int32: they read the 16-bit ring as viper's int does."""
    t.int = Int32
    yield
    del t.int


class Bench:
    """The tick's buffers and a queue model that plays them."""

    def __init__(self, ring_at=0, ctrl_at=0, counted=0, budget=t.BLOCK_WORDS, guard=2):
        self.s = Buffer(t.STATE_WORDS)
        self.ring = Buffer(t.RING_WORDS, 16)
        self.ctrl = Buffer(t.CTRL_WORDS)
        self.ends = Buffer(t.CTRL_WORDS, 16)
        self.segs = Buffer(t.SEG_WORDS * t.SEG_SLOTS)
        self.data, self.chain, self.pio = Buffer(16), Buffer(16), Buffer(16)
        self.sio, self.witness = Buffer(1), Buffer(1)
        # Addresses as on the chip: SRAM at 0x20000000, buffers aligned to their size.
        self.data[0] = 0x20008000 + 2 * ring_at
        self.chain[0] = 0x20010000 + 4 * ctrl_at
        s = self.s
        s[t.S_HEAD] = s[t.S_TAIL] = ring_at
        s[t.S_CHEAD] = ctrl_at
        s[t.S_FED] = s[t.S_MADE] = counted
        s[t.S_SEGR] = s[t.S_SEGW] = t.SEG_STOP
        s[t.S_BUDGET], s[t.S_GUARD], s[t.S_DRIFT] = budget, guard, 10
        s[t.S_LEASE] = MOST_LEASE
        self.witness[0] = -counted
        self.model = queue_model.QueueModel(
            t, self.ring, self.ctrl, self.data, self.chain, self.pio, self.witness
        )
        self.segments = iter(())
        self._next = None
        self.ticks_us = 0

    def give(self, segments):
        """Take segments as dose_loop.begin() does: the first edge EDGE_LEAD later."""
        self.segments = iter(segments)
        n, first, *rest = next(self.segments)
        self._next = (n, first + t.EDGE_LEAD, *rest)
        self.append()

    def append(self):
        s = self.s
        while self._next is not None:
            at = s[t.S_SEGW]
            after = at + 1 if at + 1 < t.SEG_SLOTS else t.SEG_STOP
            if after == s[t.S_SEGR]:
                return
            for i, value in enumerate(self._next):
                self.segs[at * t.SEG_WORDS + i] = value
            s[t.S_SEGW] = after
            self._next = next(self.segments, None)

    def fill(self):
        return t.fill(self.s, self.ring, self.ctrl, self.ends, self.segs)

    def launch(self):
        while self.s[t.S_QUEUED] <= t.HIGH_TICKS - t.BLOCK_TICKS and self.fill():
            self.append()
        self.model.feed()
        self.s[t.S_RUN] = 1

    def tick(self):
        self.ticks_us = (self.ticks_us + 1000) % BIT30
        t.tick(
            self.s, self.ring, self.ctrl, self.ends, self.segs, self.data, self.chain,
            self.pio, self.sio, self.witness, self.ticks_us,
        )  # fmt: skip

    def play(self, most_ticks=100_000_000, step=1000):
        """Tick every ``step`` ticks until everything is played; main appends and renews."""
        end = self.model.now + most_ticks
        assert most_ticks // step < 1_200_000, "would take too long"
        while self.model.now < end and not (self.done() and self.model.idle):
            self.model.advance(step)
            self.tick()
            self.append()
            self.s[t.S_LEASE] = MOST_LEASE
            if not self.s[t.S_RUN]:
                break

    def done(self):
        return bool(self.s[t.S_FLAGS] & t.F_DRAINED)

    def queued_words(self):
        """Return the words between tail and head."""
        at, out = int(self.s[t.S_TAIL]), []
        while at != self.s[t.S_HEAD]:
            out.append(int(self.ring[at]))
            at = (at + 1) % t.RING_WORDS
        return out


MOST_LEASE = 3_000_000


def duration(word):
    return (word & 0x7FFF) + t.WORD_MIN


def stretch(p, count, t0=0, first_k=1, edge=None):
    edge = flow.due(t0, first_k - 1, p) if edge is None else edge
    last = first_k + count - 1
    return list(planner.stretch_segments(p.numerator, p.denominator, t0, first_k, last, edge))


def test_words_by_hand():
    # P = 25000.5 ticks. Step 1 at 25000 and EDGE_LEAD 2 more: 25002 = 10000 + 10000 + 5002, the
    # last with the step bit. Step 2 at 50001, 25001 later: 10000 + 10000 + 5001.
    bench = Bench()
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
    bench = Bench()
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
    bench = Bench(ring_at, ctrl_at, BIT30 - 20, budget)
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
    bench = Bench(t.RING_WORDS - 3, t.CTRL_WORDS - 2, BIT30 - 2, budget=400, guard=42)
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
    bench = Bench()
    bench.give([(2, 10, flow.PERIOD_MAX, BIT30 - 1, BIT30, BIT30 - 1)])
    bench.launch()
    assert int(bench.s[t.S_REM]) + int(bench.s[t.S_QUEUED]) == BIT30 + 10 + t.EDGE_LEAD
    assert int(bench.s[t.S_LEFT]) == 1


@pytest.mark.parametrize("p", [flow.Fraction(1_000_000, 7), flow.Fraction(624710 * 7 + 1, 7)])
def test_every_tick_skipped_but_the_needed_ones(p):
    # The firmware must not notice ticks that were skipped because nothing was due.
    often, seldom = Bench(), Bench()
    for bench, step in ((often, 500), (seldom, 150_000)):
        bench.give(stretch(p, 30))
        bench.launch()
        bench.play(step=step)
        assert bench.done()
    assert often.model.edges == seldom.model.edges == [flow.due(0, k, p) for k in range(1, 31)]


def test_the_queue_keeps_its_bounds_in_time():
    for hz in (1, 90, 1000, 9999):
        p = flow.Fraction(1_000_000, hz)
        bench = Bench()
        bench.give(stretch(p, 3 * hz + 3))
        bench.launch()
        while not (bench.s[t.S_SEGR] == bench.s[t.S_SEGW] and not bench.s[t.S_LEFT]):
            queued = int(bench.s[t.S_QUEUED])
            assert t.HIGH_TICKS - t.BLOCK_TICKS - 30_000 < queued < t.HIGH_TICKS + t.WAIT_TICKS
            bench.play(most_ticks=1000)
            assert bench.s[t.S_RUN]


# -- the ways it ends -------------------------------------------------------------------------


def running(hz=1000, seconds=2, **options):
    bench = Bench(**options)
    bench.give(stretch(flow.Fraction(1_000_000, hz), hz * seconds))
    bench.launch()
    bench.play(most_ticks=300_000)
    assert bench.s[t.S_RUN]
    return bench


def test_end_switch_stops_by_the_register():
    bench = running()
    bench.s[t.S_END_MASK] = 1 << 29
    bench.s[t.S_END_INV] = 0
    bench.sio[0] = 1 << 29
    bench.tick()
    assert int(bench.pio[0]) == 0
    assert bench.s[t.S_FLAGS] & t.F_END and not bench.s[t.S_RUN]


def test_stop_input_ends_the_feeding():
    bench = running()
    bench.pio[12] = 1
    bench.tick()
    assert bench.s[t.S_FLAGS] & t.F_STOP and not bench.s[t.S_RUN]


@pytest.mark.parametrize("counted", [0, BIT30 - 301, BIT30 - 305])
@pytest.mark.parametrize(("lost", "stops"), [(10, False), (11, True)])
def test_drift_of_more_than_ten_steps_stops(counted, lost, stops):
    # 1000 steps/s for 0.3 s; the counters wrap around the time the steps are lost.
    bench = running(counted=counted)
    bench.model.lost_steps = lost
    bench.play(most_ticks=100_000)
    assert bool(bench.s[t.S_FLAGS] & t.F_DRIFT) == stops
    assert bool(int(bench.pio[0])) != stops


@pytest.mark.parametrize("counted", [0, BIT30 - 301])
def test_steps_from_nowhere_stop_too(counted):
    bench = running(counted=counted)
    bench.witness[0] = int(bench.witness[0]) - 12
    bench.tick()
    assert bench.s[t.S_FLAGS] & t.F_DRIFT


def test_a_silent_main_loop_ends_the_motion():
    bench = running(hz=100, seconds=60)
    end = bench.model.now + 10_000_000
    while bench.s[t.S_RUN] and bench.model.now < end:
        bench.model.advance(1000)
        bench.tick()
    assert bench.s[t.S_FLAGS] & t.F_LEASE
    bench.model.advance(5_000_000)
    last = bench.model.edges[-1]
    assert last < 300_000 + MOST_LEASE + 1_000_000
    assert bench.model.idle


@pytest.mark.parametrize("hz", [1, 90, 1000, 10_000])
def test_a_dead_tick_leaves_less_than_a_second_and_replays_nothing(hz):
    bench = running(hz, 3)
    died = bench.model.now
    before = len(bench.model.edges)
    bench.model.advance(20_000_000)
    edges = bench.model.edges
    assert edges == [
        flow.due(0, k, flow.Fraction(1_000_000, hz)) for k in range(1, len(edges) + 1)
    ]
    assert len(edges) >= before
    assert edges[-1] <= died + 1_000_000 if edges else True
    bench.tick()  # it comes back too late: that is an underrun, not a motion that goes on
    assert bench.s[t.S_FLAGS] & t.F_UNDERRUN and not bench.s[t.S_RUN]


@pytest.mark.parametrize(
    ("khz", "at_ms", "offset"),
    [(2, 0, 0), (2, 37, 119), (3, 5, 20), (5, 11, 70), (10, 3, 100), (20, 0, 3), (20, 9, 120)],
)
def test_rewind_cuts_behind_the_block_in_play_and_runs_down(khz, at_ms, offset):
    hz = khz * 1000
    ramp = planner.Ramp(1000, 20_000)
    down = planner.ramp_segments(list(reversed(ramp.up(ramp.steps(hz)))))
    bench = Bench(
        offset * 60, offset, BIT30 - 700, max(t.BLOCK_WORDS, hz * 2 // 1000), hz // 5000 + 2
    )
    for i, segment in enumerate(down):
        for j, value in enumerate(segment):
            bench.segs[i * t.SEG_WORDS + j] = value
    bench.s[t.S_STOP_SEGS] = len(down)
    p = flow.Fraction(1_000_000, hz)
    bench.give(stretch(p, hz * 2))
    bench.launch()
    bench.play(most_ticks=5_000 + at_ms * 1000)
    asked = bench.model.now
    bench._next = None
    bench.s[t.S_STOP_REQ] = 1
    fed, queued = int(bench.s[t.S_FED]), int(bench.s[t.S_QUEUED])
    while bench.s[t.S_STOP_REQ] == 1:
        bench.model.advance(1000)
        bench.tick()
        assert bench.model.now < asked + 20_000
    left = bench.queued_words()
    assert int(bench.s[t.S_QUEUED]) == sum(duration(word) for word in left)
    assert int(bench.s[t.S_QUEUED]) < queued or not down
    bench.play(most_ticks=3_000_000)
    assert bench.done() and int(bench.s[t.S_MADE]) == int(bench.s[t.S_FED])
    assert bench.model.made == (int(bench.s[t.S_FED]) - (BIT30 - 700)) % BIT30
    edges = bench.model.edges
    gaps = flow.intervals(edges)
    assert min(gaps) >= int(p)  # never faster than it was
    ramp_steps = ramp.steps(hz)
    assert gaps[-1] <= 1000  # down to the pull-in rate, not to a crawl
    assert down[-1][2] <= gaps[-1] <= down[-1][2] + 1  # the stop ramp's slowest piece
    assert len(edges) < (asked * hz // 10**6) + 30 * hz // 1000 + ramp_steps + 40
    assert fed > 0


@pytest.mark.parametrize("extra", [1, 4, 15, 40, 90, 300])
def test_a_stop_near_the_end_makes_no_step_beyond_the_leg(extra):
    # 2000 steps at 5 kHz with ramps of 600 steps up and down. motor.stop() lets the leg run out
    # when fewer steps are left than its ramps and two blocks have; ``extra`` more are left here.
    al = 173530803503
    item = order.Item(1, 5000 * 3600 * al, 2000 * al, 0)
    order._fix_steps([item], al)
    leg = leg_module.Leg([item], al, 0, 10**9, planner.Ramp(1000, 20_000))
    segments = list(leg.segments())
    bench = Bench(guard=3)
    for i, segment in enumerate(leg.stop_ramp):
        for j, value in enumerate(segment):
            bench.segs[i * t.SEG_WORDS + j] = value
    bench.s[t.S_STOP_SEGS] = len(leg.stop_ramp)
    bench.give(segments)
    bench.launch()
    bench.play(most_ticks=flow.expand(segments)[1999 - leg.fast_steps - 64 - extra])
    bench._next = None
    bench.s[t.S_STOP_REQ] = 1
    bench.play(most_ticks=2_000_000)
    assert bench.done()
    assert bench.model.made == int(bench.s[t.S_FED])
    assert bench.model.made <= leg.steps
