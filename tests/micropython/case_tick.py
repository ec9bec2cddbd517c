"""The tick's whole path on real MicroPython with the heap locked: nothing in it may allocate.

The callback is the one hal/tick_timer.py hands to machine.Timer, with its own native wrapper; only
the Timer is ours, so that a test decides when it fires.
"""

import gc
import sys
from array import array

import micropython
from queue_model import QueueModel

from pump import planner
from pump import tick as t

LEASE = 3000000


class _Timer:
    """machine.Timer that fires when a test calls ``fire``."""

    PERIODIC = 1
    fire = None

    def __init__(self, number, period, mode, hard, callback):
        if (number, period, hard) != (-1, 1, True):
            raise ValueError("the tick is a hard timer of 1 ms")
        _Timer.fire = callback

    def deinit(self):
        _Timer.fire = None


class _Machine:
    Timer = _Timer


sys.modules["machine"] = _Machine
from pump.hal.tick_timer import TickTimer  # noqa: E402


class _Generator:
    def __init__(self):
        self.ring = array("H", [0] * t.RING_WORDS)
        self.ctrl = array("i", [0] * t.CTRL_WORDS)
        self.data, self.chain, self.pio = (array("i", [0] * 16) for _ in range(3))


class _Witness:
    def __init__(self):
        self.word = array("i", [0])


class Bench:
    """Buffers, the real TickTimer, and a queue model that plays what it writes."""

    def __init__(self, segments, max_hz, stop_ramp=()):
        self.g, self.w, self.sio = _Generator(), _Witness(), array("i", [0])
        self.usb = array("i", [0, 0])
        self.s = array("i", [0] * t.ALL_WORDS)
        self.ends = array("H", [0] * t.CTRL_WORDS)
        self.segs = array("i", [0] * (t.SEG_WORDS * t.SEG_SLOTS))
        s = self.s
        s[t.S_SEGR] = s[t.S_SEGW] = t.SEG_STOP
        s[t.S_BUDGET] = max(t.BLOCK_WORDS, max_hz * 2 // 1000)
        s[t.S_GUARD] = max_hz // 5000 + 2
        s[t.S_DRIFT], s[t.S_LEASE] = 10, LEASE
        s[t.S_STOP_SEGS] = len(stop_ramp)
        for slot, segment in enumerate(stop_ramp):
            self._put(slot, segment)
        self.segments = iter(segments)
        self._next = next(self.segments)
        self.append()
        g = self.g
        self.model = QueueModel(
            t, g.ring, g.ctrl, g.data, g.chain, g.pio, self.w.word, record=False
        )
        self.timer = TickTimer(s, g, self.ends, self.segs, self.sio, self.w, self.usb)
        while s[t.S_QUEUED] <= t.HIGH_TICKS - t.BLOCK_TICKS:
            if not t.fill(s):
                break
            self.append()
        self.model.feed()
        self.timer.start()
        s[t.S_RUN] = 1

    def append(self):
        while self._next is not None:
            at = self.s[t.S_SEGW]
            after = at + 1 if at + 1 < t.SEG_SLOTS else t.SEG_STOP
            if after == self.s[t.S_SEGR]:
                return
            self._put(at, self._next)
            self.s[t.S_SEGW] = after
            self._next = next(self.segments, None)

    def _put(self, slot, segment):
        for i in range(t.SEG_WORDS):
            self.segs[slot * t.SEG_WORDS + i] = segment[i]

    def tick(self):
        """Fire the timer with the heap locked. An allocation ends in S_FLAGS as F_ERROR."""
        fire = _Timer.fire
        micropython.heap_lock()
        try:
            fire(None)
        finally:
            micropython.heap_unlock()
        if self.s[t.S_FLAGS] & t.F_ERROR:
            raise MemoryError("the tick raised, with the heap locked")

    def run(self, calls, ticks=1000):
        for _ in range(calls):
            self.model.advance(ticks)
            self.tick()
            self.append()
            self.s[t.S_LEASE] = LEASE
            if not self.s[t.S_RUN]:
                break

    def flag(self, flag):
        return bool(self.s[t.S_FLAGS] & flag)


def check(good, what):
    if not good:
        raise AssertionError(what)


def stretch(num, den, steps):
    return planner.stretch_segments(num, den, 0, 1, steps, 0)


def test_a_lock_that_holds(_folder):
    # A test that can't fail proves nothing: with the heap locked an allocation does raise.
    micropython.heap_lock()
    try:
        found = [1, 2, 3]
    except MemoryError:
        found = None
    micropython.heap_unlock()
    check(found is None, "heap_lock does not lock")


def _steady(num, den, hz, calls):
    bench = Bench(stretch(num, den, 1 << 28), hz)
    bench.run(calls)
    s = bench.s
    check(s[t.S_RUN] and s[t.S_FLAGS] == 0, "flags %d" % s[t.S_FLAGS])
    check(s[t.S_TICKS] == calls, "calls")
    want = (calls * 1000 + t.EDGE_LEAD) * den // num
    check(abs(bench.model.made - want) <= 1, "%d steps for %d" % (bench.model.made, want))
    return "%d calls, %d steps" % (calls, bench.model.made)


def test_one_step_a_minute(_folder):
    return _steady(60_000_000, 1, 1, 61000)


def test_one_millilitre_an_hour(_folder):
    return _steady(1561777231527, 2500000, 2, 20000)


def test_1000_steps_a_second_and_a_denominator_above_30_bits(_folder):
    return _steady(1000 * (2**40 + 1), 2**40, 1000, 4000)


def test_10000_steps_a_second(_folder):
    return _steady(100 * (2**35 + 7), 2**35, 10000, 2000)


def test_100000_steps_a_second(_folder):
    return _steady(10, 1, 100000, 600)


def test_the_slowest_rate_and_the_largest_numbers(_folder):
    d = 1 << 30
    bench = Bench([(5, d + 1, d - 1, d - 1, d, d - 1)], 1)
    bench.s[t.S_FED] = bench.s[t.S_MADE] = bench.s[t.S_SEEN] = d - 1
    bench.w.word[0] = -(d - 1)
    bench.run(4000)
    check(bench.s[t.S_FLAGS] == 0, "flags")


def test_segment_changes(_folder):
    segments = []
    edge = 0
    for i in range(400):
        n = 1 + i % 7
        q = 700 + 13 * i
        segments.append((n, q, q, i, i + 1, i // 2))
        edge += n
    bench = Bench(segments, 2000)
    bench.run(8000)
    check(bench.flag(t.F_DRAINED), "not drained")
    check(bench.model.made == edge == bench.s[t.S_FED], "steps")
    return "%d segments" % len(segments)


def test_rewind_to_the_stop_ramp(_folder):
    ramp = planner.Ramp(1000, 20000)
    up = ramp.up(ramp.steps(10000))
    down = planner.ramp_segments([up[i] for i in range(len(up) - 1, -1, -1)])
    bench = Bench(stretch(100, 1, 1 << 28), 10000, down)
    bench.run(100)
    bench.segments, bench._next = iter(()), None
    before = bench.model.made
    bench.s[t.S_STOP_REQ] = 1
    bench.run(2000)
    check(bench.flag(t.F_DRAINED), "not drained: flags %d" % bench.s[t.S_FLAGS])
    check(bench.s[t.S_STOP_REQ] == 2, "not taken")
    check(bench.model.made == bench.s[t.S_FED], "steps lost or doubled")
    after = bench.model.made - before
    check(ramp.steps(10000) <= after <= ramp.steps(10000) + 300, "%d steps after" % after)


def test_drift(_folder):
    bench = Bench(stretch(1000, 1, 1 << 28), 1000)
    bench.run(300)
    bench.model.lost_steps = 11
    bench.run(100)
    check(bench.flag(t.F_DRIFT) and not bench.s[t.S_RUN], "no drift seen")
    check(bench.g.pio[0] == 0, "generator not stopped")


def test_underrun(_folder):
    bench = Bench(stretch(100, 1, 1 << 28), 10000)
    bench.run(300)
    bench.model.advance(5000000)  # five seconds without a tick
    made = bench.model.made
    bench.run(10)
    check(bench.flag(t.F_UNDERRUN) and not bench.s[t.S_RUN], "no underrun seen")
    bench.model.advance(5000000)
    check(bench.model.made == made, "replayed")


def test_end_switch_stop_input_lease_and_break(_folder):
    for flag in (t.F_END, t.F_STOP, t.F_LEASE, t.F_BREAK):
        bench = Bench(stretch(1000, 1, 1 << 28), 1000)
        bench.s[t.S_END_MASK], bench.s[t.S_END_INV] = 1 << 29, 1 << 29
        bench.sio[0] = 1 << 29
        bench.run(300)
        check(bench.s[t.S_FLAGS] == 0, "flags")
        if flag == t.F_END:
            bench.sio[0] = 0
        elif flag == t.F_STOP:
            bench.g.pio[12] = 1
        elif flag == t.F_BREAK:
            bench.usb[0] = 0xFFFF2321 - (1 << 32)
        else:
            bench.s[t.S_LEASE] = 500
            bench.model.advance(1000)
        bench.tick()
        check(bench.flag(flag) and not bench.s[t.S_RUN], "flag %d" % flag)


def test_the_lock_finds_what_it_is_for(_folder):
    # The wrapper turns any exception inside the tick into F_ERROR, and feeds no more.
    bench = Bench(stretch(1000, 1, 1 << 28), 1000)
    true_tick = t.tick
    t.tick = lambda s, now: bytearray(16)
    try:
        bench.tick()
    except MemoryError:
        check(bench.s[t.S_RUN] == 0, "still running")
        return
    finally:
        t.tick = true_tick
    raise AssertionError("not noticed")


gc.collect()
