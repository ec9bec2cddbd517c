"""The witness: a second state machine, on the other PIO, that counts real STEP edges.

It shares nothing with the step generator but the wire between its pin and the STEP pin. DMA copies
each new count into a scratch register of the watchdog: the tick reads it without a call, and it
outlives every reset but a loss of power. The two channels chain to each other without end; nothing
here can move the motor.

Scratch registers: 0 the count, 1 which motion it is of, 2 the last count of the motion before. The
boot ROM and MicroPython use 4 to 7.
"""

import machine
import rp2
from micropython import const

from pump.hal import registers

_SM = const(4)  # PIO1, state machine 0
_DREQ_PIO1_RX0 = const(12)
_FOREVER = const(0x3FFFFFFF)  # transfers before the other channel takes over
_COUNT = registers.WATCHDOG_SCRATCH
_MOTION = _COUNT + 4
_BEFORE = _COUNT + 8
_MARK = const(0xD05E)  # in the upper half of register 1: it is ours


TYPE_CHECKING = False  # true for a type checker only: MicroPython has no typing
if TYPE_CHECKING:
    from rp2.asm_pio import *


# fmt: off
@rp2.asm_pio()
def edge_witness():
    set(x, 0)
    wrap_target()
    wait(0, pin, 0)
    wait(1, pin, 0)
    jmp(x_dec, "count")    # x counts down from 0: minus the edges, mod 2**32
    label("count")
    mov(isr, x)
    push(noblock)
    wrap()
# fmt: on


def kept():
    """Return (motion, steps, steps of the motion before) as a reset left them, or None.

    ``motion`` is what zero() was given; all three wrap, at 2**16 and 2**32.
    """
    tag = machine.mem32[_MOTION] & 0xFFFFFFFF  # mem32 reads are signed
    if tag >> 16 != _MARK:
        return None
    before, now = machine.mem32[_BEFORE], machine.mem32[_COUNT]
    return tag & 0xFFFF, -now & 0xFFFFFFFF, -before & 0xFFFFFFFF


def forget():
    """What kept() says has been booked, or is of nobody's motion."""
    machine.mem32[_MOTION] = machine.mem32[_COUNT] = 0


class Witness:
    """Counts rising edges on ``pin`` into ``word``: minus the count since zero(), mod 2**32."""

    def __init__(self, pin):
        self._pin = pin
        self.word = registers.window(_COUNT, 1)
        rp2.PIO(1).remove_program()
        self._sm = rp2.StateMachine(_SM)
        self._pair = (rp2.DMA(), rp2.DMA())

    def zero(self, motion):
        """Begin a new count, of a motion (16 bits). The caller knows that nothing moves."""
        one, two = self._pair
        self._sm.active(0)
        # Break the chain before aborting, or one channel would start the other again.
        for dma in self._pair:
            dma.config(ctrl=dma.pack_ctrl(enable=False), trigger=False)
        one.active(0)
        two.active(0)
        self._sm.init(edge_witness, in_base=self._pin)
        # A reset in between finds no mark, and nobody takes one count for another.
        machine.mem32[_MOTION] = 0
        machine.mem32[_BEFORE] = machine.mem32[_COUNT]
        machine.mem32[_COUNT] = 0
        machine.mem32[_MOTION] = _MARK << 16 | motion
        for dma, other in ((two, one), (one, two)):
            dma.config(
                read=self._sm, write=self.word, count=_FOREVER,
                ctrl=dma.pack_ctrl(
                    size=2, inc_read=False, inc_write=False, treq_sel=_DREQ_PIO1_RX0,
                    chain_to=other.channel, irq_quiet=True,  # pyright: ignore[reportAttributeAccessIssue]
                ),
                trigger=dma is one,
            )  # fmt: skip
        self._sm.active(1)
