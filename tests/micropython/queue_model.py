"""What the tick sees of DMA, FIFO and witness, word by word: it plays the queue in model time.

Not the board: no registers, no pins (host_tools/doseloop/sim/device has those). It is enough to
run tick.py alone, on CPython and on MicroPython. Playing a word that was never published raises.
"""

FIFO_WORDS = 8


class QueueModel:
    """Plays ``ring`` by the block lengths in ``ctrl``. ``t`` is the module pump.tick.

    data, chain, pio, witness: arrays that the tick reads as registers; ``edges`` records when
    each step came, in ticks since the first word began, if ``record``.
    """

    def __init__(self, t, ring, ctrl, data, chain, pio, witness, record=True):
        self.t = t
        self.ring, self.ctrl = ring, ctrl
        self.data, self.chain, self.pio, self.witness = data, chain, pio, witness
        self.edges = [] if record else None
        self.now = 0
        self.made = 0
        self.lost_steps = 0  # how many of the next edges the witness does not see
        self.stopped = False  # as if the generator's clock were off
        self._read = (int(data[0]) & 0x3FFF) >> 1
        self._cread = (int(chain[0]) & 0x7FF) >> 2
        self._block = 0
        self._ended = False
        self._fifo = []
        self._word = None
        self._word_end = 0
        self._seen = -int(witness[0]) & 0xFFFFFFFF
        pio[0] = 1

    def feed(self):
        """Let the DMA fill the FIFO as far as it goes."""
        fifo = self._fifo
        while len(fifo) < FIFO_WORDS and not self._ended:
            if self._block == 0:
                self._block = int(self.ctrl[self._cread])
                self._cread = (self._cread + 1) & self.t.CTRL_MASK
                if self._block == 0:
                    self._ended = True  # a null trigger: nothing starts the channels again
                    break
            fifo.append(int(self.ring[self._read]))
            self._read = (self._read + 1) & self.t.RING_MASK
            self._block -= 1
        self.data[0] = (int(self.data[0]) & ~0x3FFF) | (self._read << 1)
        self.chain[0] = (int(self.chain[0]) & ~0x7FF) | (self._cread << 2)
        self.pio[3] = len(fifo)

    @property
    def idle(self):
        """True when everything published was played."""
        return self._word is None and not self._fifo

    def advance(self, ticks):
        """Play for so many ticks. The generator stands while pio[0] (its enable) is 0."""
        end = self.now + ticks
        while self.pio[0] and not self.stopped:
            if self._word is None:
                if not self._fifo:
                    self.feed()
                if not self._fifo:
                    break
                self._word = self._fifo.pop(0)
                self._word_end = self.now + (self._word & 0x7FFF) + self.t.WORD_MIN
                self.feed()
            if self._word_end > end:
                break
            self.now = self._word_end
            if self._word & 0x8000:
                self._edge(self.now - self.t.EDGE_LEAD)
            self._word = None
        self.now = end

    def _edge(self, at):
        self.made += 1
        if self.edges is not None:
            self.edges.append(at)
        if self.lost_steps:
            self.lost_steps -= 1
            return
        self._seen += 1
        value = -self._seen & 0xFFFFFFFF
        self.witness[0] = value - (1 << 32) if value >> 31 else value
