"""tick.py's buffers for a test, all of them narrow (int32.py), and the model that plays them."""

import importlib.util
from pathlib import Path

from unit.firmware import flow
from unit.firmware.int32 import Buffer

from doseloop import resources

t = resources.firmware_module("tick")
planner = resources.firmware_module("planner")

BIT30 = 1 << 30
MOST_LEASE = 3_000_000
_spec = importlib.util.spec_from_file_location(
    "queue_model", Path(__file__).parents[2] / "micropython" / "queue_model.py"
)
queue_model = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(queue_model)


class TickBench:
    """The tick's buffers and a queue model that plays them."""

    def __init__(self, ring_at=0, ctrl_at=0, counted=0, budget=t.BLOCK_WORDS, guard=2):
        self.s = Buffer(t.ALL_WORDS)
        self.ring = Buffer(t.RING_WORDS, 16)
        self.ctrl = Buffer(t.CTRL_WORDS)
        self.ends = Buffer(t.CTRL_WORDS, 16)
        self.segs = Buffer(t.SEG_WORDS * t.SEG_SLOTS)
        self.data, self.chain, self.pio = Buffer(16), Buffer(16), Buffer(16)
        self.sio, self.witness, self.usb = Buffer(1), Buffer(1), Buffer(2)
        t.connect(
            self.s, self.ring, self.ctrl, self.ends, self.segs, self.data, self.chain, self.pio,
            self.sio, self.witness, self.usb,
        )  # fmt: skip
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
        return t.fill(self.s)

    def launch(self):
        while self.s[t.S_QUEUED] <= t.HIGH_TICKS - t.BLOCK_TICKS and self.fill():
            self.append()
        self.model.feed()
        self.s[t.S_RUN] = 1

    def tick(self):
        self.ticks_us = (self.ticks_us + 1000) % BIT30
        t.tick(self.s, self.ticks_us)

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


def duration(word):
    return (word & 0x7FFF) + t.WORD_MIN


def stretch(p, count, t0=0, first_k=1, edge=None):
    edge = flow.due(t0, first_k - 1, p) if edge is None else edge
    last = first_k + count - 1
    return list(planner.stretch_segments(p.numerator, p.denominator, t0, first_k, last, edge))
