"""What the annunciator's state machine and its DMA channel do to the pins of buzzer and lamps.

A behavioural model of one program, firmware/pump/hal/annunciator.py; tests/pio runs that one in an
emulator and compares every edge. Nobody waits for it: it is played up to now when somebody asks.
The tone is noted as a stretch, from its first rising to its last falling edge, not edge by edge.
"""

_CYCLE_US = 40
_PERIOD = 50  # cycles
# From the start of a word, in cycles, to where it shows at the pins, and to the word's end
_LAMPS, _RISE, _FALL, _WORD = 2, 6, 30, 4
RED, YELLOW, TONE = 1, 2, 4
_KEPT = 4000  # entries; older ones go


class Annunciator:
    """State machine, FIFO and ring; ``log`` gets [us, "red" or "yellow", level], and
    [us, "buzzer", us of the end, periods] for a stretch of tone."""

    def __init__(self):
        self.log = []
        self._tone = None
        self._levels = 0
        self.stop(0)

    def stop(self, now):
        """The machine is initialised, or the chip reset: pins low, FIFO empty, no DMA."""
        self.running = False
        self._fifo = []
        self._ring = None
        self._left = self._at = 0
        self._next = None  # when the next word is pulled; None: it stands or waits
        self._lamps(now, 0)
        self._tone_over(now)

    def put(self, word):
        """The CPU writes to the FIFO."""
        if len(self._fifo) >= 4:
            raise ValueError("the FIFO is full: it would wait for ever")
        self._fifo.append(word)

    def feed(self, ring, count):
        """The DMA channel reads a ring of 64 words, ``count`` of them."""
        self._ring, self._left, self._at = ring, count, 0

    def start(self, now):
        """The state machine runs."""
        self.running = True
        self._next = now

    def halt(self, now):
        """It stands, its pins as they are; only stop() follows."""
        self.upto(now)
        self._next = None
        self._tone_over(now)

    def _word(self):
        if self._fifo:
            return self._fifo.pop(0)
        if not self._left:
            return None
        self._left -= 1
        at = self._at
        self._at = (at + 4) & 255
        return int.from_bytes(self._ring[at : at + 4], "little")

    def upto(self, now):
        """Play until now: every word that begins before it."""
        while self._next is not None and self._next <= now:
            word = self._word()
            if word is None:
                self._next = None
                return
            begin, periods = self._next, (word >> 3) + 1
            self._lamps(begin + _LAMPS * _CYCLE_US, word & 3)
            if word & TONE:
                self._tones(begin, periods)
            self._next = begin + (_WORD + _PERIOD * periods) * _CYCLE_US

    def _lamps(self, at, levels):
        before, self._levels = self._levels, levels
        for bit, name in ((RED, "red"), (YELLOW, "yellow")):
            if (before ^ levels) & bit:
                self._note([at, name, 1 if levels & bit else 0])

    def _tones(self, begin, periods):
        rise = begin + _RISE * _CYCLE_US
        fall = begin + (_FALL + _PERIOD * (periods - 1)) * _CYCLE_US
        tone = self._tone
        # Two words of tone on end sound as one.
        if tone is not None and rise - tone[2] < _PERIOD * _CYCLE_US:
            tone[2], tone[3] = fall, tone[3] + periods
        else:
            self._tone = [rise, "buzzer", fall, periods]
            self._note(self._tone)

    def _tone_over(self, now):
        # The pin goes low in the middle of a tone.
        tone, self._tone = self._tone, None
        if tone is None or tone[2] <= now:
            return
        tone[2] = now
        tone[3] = (now - tone[0]) // (_PERIOD * _CYCLE_US) + 1
        if now <= tone[0]:
            self.log.remove(tone)  # before it began

    def take(self, now):
        """Return the log up to now, and forget it; a tone that goes on stays for later."""
        self.upto(now)
        log = self.log
        self.log = [entry for entry in log if entry is self._tone and entry[2] > now]
        return [list(entry) for entry in log if entry not in self.log]

    def _note(self, entry):
        self.log.append(entry)
        if len(self.log) > _KEPT:
            del self.log[: _KEPT // 4]
