"""Buzzer and lamps: a PIO program that plays a pattern of words, again and again, fed by DMA.

Neither needs the CPU: what was begun sounds on, in its own time, while main is busy or hangs, and
takes nothing from the dose loop but a word of memory bandwidth every 50 ms or so. What the words
say is signals.py's. On PIO1 beside the witness, whose count it can't reach.

A word: bit 0 the red lamp, bit 1 the yellow one, bit 2 the tone, above them the periods of 2 ms
that it lasts, less one.
"""

import rp2
from machine import Pin
from micropython import const

from pump.hal import registers as reg

SM_HZ = const(25_000)  # 125 MHz / 5000: a whole divider
WORDS = const(64)  # of a pattern that repeats: a DMA ring, so a power of two
_RING_BITS = const(8)  # 64 words of 4 bytes
_SM = const(7)  # PIO1, state machine 3
_DREQ_PIO1_TX3 = const(11)
_FIFO_WORDS = const(4)
_PULL_NOBLOCK = const(0x8080)
_FOREVER = const(0x3FFFFFFF)  # of these words: years

TYPE_CHECKING = False  # true for a type checker only: MicroPython has no typing
if TYPE_CHECKING:
    from rp2.asm_pio import *


# fmt: off
@rp2.asm_pio(
    out_init=(rp2.PIO.OUT_LOW, rp2.PIO.OUT_LOW), set_init=rp2.PIO.OUT_LOW,
    out_shiftdir=rp2.PIO.SHIFT_RIGHT,
)
def alarm_signal():
    # A word of n periods lasts 4 + 50 n cycles of 40 us: 2 ms each, and 0.16 ms for the word.
    #                          cycles
    wrap_target()
    pull(block)              # 1       a pattern that ends waits here; all is off then
    out(pins, 2)             # 1       the lamps
    out(y, 1)                # 1       tone or not
    out(x, 29)               # 1       periods less one
    label("period")
    jmp(not_y, "quiet")      # 1
    set(pins, 1)       [22]  # 23
    jmp("half")              # 1       high for 24 cycles of 50: 500 Hz
    label("quiet")
    nop()              [23]  # 24
    label("half")
    set(pins, 0)       [23]  # 24
    jmp(x_dec, "period")     # 1
    wrap()
# fmt: on


class Annunciator:
    """A buzzer on one pin; a red lamp on another and a yellow one on the pin after that."""

    def __init__(self, buzzer, red):
        self._buzzer = Pin(buzzer, Pin.OUT, value=0)
        self._lamps = Pin(red, Pin.OUT, value=0)
        self._ring = reg.aligned(4 * WORDS)
        self._dma = rp2.DMA()
        self._ctrl = self._dma.pack_ctrl(
            size=2, inc_read=True, inc_write=False, ring_size=_RING_BITS, ring_sel=False,
            treq_sel=_DREQ_PIO1_TX3, irq_quiet=True,
        )  # fmt: skip
        self._sm = rp2.StateMachine(_SM)

    def play(self, words, again, first=()):
        """Play ``first``, up to four words, then ``words``: WORDS of them, ``again`` and again,
        or any number up to that, once. What was played ends now."""
        self._sm.active(0)
        self._dma.active(0)
        # Restarts the machine at its first instruction, with the pins low. On the chip it empties
        # the FIFO as well; not in every emulator.
        self._sm.init(alarm_signal, freq=SM_HZ, out_base=self._lamps, set_base=self._buzzer)
        for _ in range(_FIFO_WORDS):
            self._sm.exec(_PULL_NOBLOCK)
        self._sm.restart()
        for at in range(len(words)):
            self._ring[4 * at : 4 * at + 4] = words[at].to_bytes(4, "little")
        for word in first:
            self._sm.put(word)
        if words:
            self._dma.config(
                read=self._ring, write=self._sm, count=_FOREVER if again else len(words),
                ctrl=self._ctrl, trigger=True,
            )  # fmt: skip
        self._sm.active(1)
