"""The dose loop's main-level half: arms a motion, keeps segments coming, ends it, counts it.

A motion runs in one direction from arm to drained or halted. tick.py's hard half owns the queue
while S_RUN is 1; this half then only appends segments, renews the lease and reads counts.
"""

import io
from array import array

from micropython import const

from pump import arith
from pump import tick as t

_TICK_DEAD_US = const(700_000)  # no tick for this long, though a block lasts 0.28 s at most
_STALL_US = const(1_500_000)  # no word pulled for this long, though none lasts over 10 ms
DRIFT_STEPS = const(10)
NUMBER_MASK = const(0x3FFF)
_STREAM_POLL = const(3)


class DoseLoop:
    """Runs segments. The parts are hal's; ``timer_of(state, ends, segs)`` makes the tick timer."""

    def __init__(self, generator, witness, clock, timer_of):
        self._generator = generator
        self._witness = witness
        self._clock = clock
        self.state = array("i", [0] * t.ALL_WORDS)
        self._ends = array("H", [0] * t.CTRL_WORDS)
        self._segs = array("i", [0] * (t.SEG_WORDS * t.SEG_SLOTS))
        self._timer = timer_of(self.state, self._ends, self._segs)
        self._segments = None
        self._next = None
        self._made = self._seen = 0
        self._tail = -1
        self._lease = 0
        self._moved = 0
        self.flags = 0  # what the tick had found when the latest motion ended
        self.number = 0  # of the latest motion; counts on over a reset
        self.active = False

    def begin(
        self, segments, steps, max_hz, stop_ramp, ends, bias=0, kind=0, lease=arith.LEASE_TICKS
    ):
        """Arm a motion and let it go. Return the tick at which it began.

        segments: iterator of planner tuples, ``steps`` in all; max_hz: its fastest rate, for
        block and guard sizes;
        stop_ramp: segments from max_hz down to the pull-in rate, slowest last, may be empty;
        ends: (mask, bits to invert) of the GPIO inputs that stop it; bias: commanded less
        witnessed steps so far, so that drift adds up over a run; kind: 0 to 3, kept with the count
        for who must tell after a reset what the motion was; lease: ticks that main may be silent,
        then the tick stops feeding.
        """
        s = self.state
        self._timer.stop()
        for i in range(t.STATE_WORDS):
            s[i] = 0
        self._generator.arm()
        self.number = self.number + 1 & NUMBER_MASK
        self._witness.zero(self.number << 2 | kind)
        self._made = self._seen = 0
        s[t.S_SEGR] = s[t.S_SEGW] = t.SEG_STOP
        s[t.S_BUDGET] = max(t.BLOCK_WORDS, max_hz * 2 // 1000)
        s[t.S_GUARD] = max_hz // 5000 + 2  # words the DMA may take in 200 us
        s[t.S_DRIFT] = DRIFT_STEPS
        s[t.S_LEASE] = self._lease = lease
        s[t.S_END_MASK], s[t.S_END_INV] = ends
        s[t.S_BIAS] = bias & t.COUNT_MASK
        s[t.S_TOTAL] = steps & t.COUNT_MASK
        for i in range(len(stop_ramp)):
            self._put(i, stop_ramp[i])
        s[t.S_STOP_SEGS] = len(stop_ramp)
        self._segments = segments
        self._next = next(segments, None)
        if self._next is not None:
            n, first, q, r, d, e = self._next
            # A word ends EDGE_LEAD ticks after its edge.
            self._next = (n, first + t.EDGE_LEAD, q, r, d, e)
        self._append()
        self._fill()
        self._generator.feed()
        self._timer.start()
        s[t.S_BEAT] = self._clock.us() & t.COUNT_MASK
        self._tail = -1
        self.active = True
        began = self._clock.us()
        self._generator.launch()
        s[t.S_RUN] = 1
        return began

    def service(self):
        """Keep the motion supplied and vouched for; return its F_ flags. Call it every second."""
        s = self.state
        self._append()
        s[t.S_LOW] = 0
        s[t.S_LEASE] = self._lease
        self._count()
        return s[t.S_FLAGS]

    def tick_dead(self):
        """True when the tick has not run for longer than the queue allows."""
        s = self.state
        return bool(
            self.active and s[t.S_RUN] and self._clock.since_us(s[t.S_BEAT]) > _TICK_DEAD_US
        )

    def stalled(self):
        """True when the queue has not moved for longer than any word lasts."""
        now = self._clock.us()
        if self.state[t.S_TAIL] != self._tail or self.drained():
            self._tail = self.state[t.S_TAIL]
            self._moved = now
        return now - self._moved > _STALL_US

    def drained(self):
        """True when the step generator has pulled everything; the last word may still play."""
        return bool(self.state[t.S_FLAGS] & t.F_DRAINED)

    def finished(self):
        """True when every step that was fed has been made."""
        return self.drained() and self._generator.idle()

    def forget_break(self):
        """A person starts or resumes: a break that came before is answered."""
        t.forget_break(self.state)

    def request_stop(self):
        """Run down the stop ramp; finished() follows. For motion above the pull-in rate."""
        self._segments = None
        self._next = None
        self.state[t.S_STOP_REQ] = 1

    def end(self):
        """Stop now, or close a finished motion. Return the tick at which it stood."""
        s = self.state
        s[t.S_RUN] = 0
        complete = self._generator.halt()
        at = self._clock.us()
        self._timer.stop()
        t.look(s, s[t.S_BEAT])  # S_RUN is 0: it takes back what was pulled
        if not complete:
            # The word in the generator was pulled but its step, if it has one, not made.
            last = (s[t.S_TAIL] - 1) & t.RING_MASK
            ring = self._generator.ring
            if ring[2 * last + 1] & 0x80:
                s[t.S_MADE] = (s[t.S_MADE] - 1) & t.COUNT_MASK
        self._count()
        # Looked at before arm() forgets it: a request may have come in the same pass as a stop.
        self.flags = s[t.S_FLAGS] | (t.F_STOP if self._generator.latched() else 0)
        self._generator.arm()
        self._segments = None
        self.active = False
        return at

    def queued_us(self):
        """Return how long the queue lasts without the CPU."""
        return self.state[t.S_QUEUED]

    def met(self):
        """Return the GPIO bits of the inputs that have ended the motion (F_END)."""
        return self.state[t.S_END_MASK]

    def flying(self):
        """Return 1 when the last step pulled may not be made yet, else 0."""
        return self.state[t.S_FLYING] if self.active else 0

    @property
    def made(self):
        """Commanded steps of this motion: those the step generator took up."""
        return self._made

    @property
    def seen(self):
        """Witnessed steps of this motion."""
        return self._seen

    def _count(self):
        # Extend the wrapping counters; differences stay far below 2**29 at a call a second.
        s = self.state
        self._made += _signed(s[t.S_MADE] - (self._made & t.COUNT_MASK))
        self._seen += _signed(s[t.S_SEEN] - (self._seen & t.COUNT_MASK))

    def _fill(self):
        s = self.state
        while s[t.S_QUEUED] <= t.HIGH_TICKS - t.BLOCK_TICKS:
            if not t.fill(s):
                break
            self._append()

    def _append(self):
        s = self.state
        while self._next is not None and not s[t.S_STOP_REQ]:
            at = s[t.S_SEGW]
            after = at + 1 if at + 1 < t.SEG_SLOTS else t.SEG_STOP
            if after == s[t.S_SEGR]:
                s[t.S_MORE] = 1
                return
            self._put(at, self._next)
            # S_MORE before S_SEGW: the tick must not take the last slot for the motion's end.
            self._next = next(self._segments, None)
            if self._next is not None:
                s[t.S_MORE] = 1
            s[t.S_SEGW] = after
            if self._next is None:
                s[t.S_MORE] = 0

    def _put(self, slot, segment):
        base = slot * t.SEG_WORDS
        for i in range(t.SEG_WORDS):
            self._segs[base + i] = segment[i]


class TickWake(io.IOBase):
    """Lets a poll end when the tick has set flags that main has not looked at yet, or when
    ``news[0]`` is set: one object for both, since it is asked a thousand times a second."""

    def __init__(self, state, news=b"\0"):
        self._state = state
        self._news = news
        self._known = 0

    def acknowledge(self):
        """Main has looked at the flags as they are."""
        self._known = self._state[t.S_FLAGS]

    def ioctl(self, request, _arg):
        """Answer MP_STREAM_POLL: readable when there is news."""
        if request != _STREAM_POLL:
            return 0
        flags = self._state[t.S_FLAGS]
        self._known &= flags  # a new motion has none: what it sets is news again
        return 1 if self._state[t.S_LOW] or flags & ~self._known or self._news[0] else 0


def _signed(difference):
    difference &= t.COUNT_MASK
    return difference - t.COUNT_MASK - 1 if difference > t.COUNT_MASK >> 1 else difference
