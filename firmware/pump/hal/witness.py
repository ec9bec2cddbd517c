"""The witness: a second state machine, on the other PIO, that counts real STEP edges.

It shares nothing with the step generator but the wire between its pin and the STEP pin. DMA copies
each new count into one word of memory, so the tick reads it without a call. The two channels chain
to each other without end; nothing here can move the motor.
"""

import rp2
from micropython import const

_SM = const(4)  # PIO1, state machine 0
_DREQ_PIO1_RX0 = const(12)
_FOREVER = const(0x3FFFFFFF)  # transfers before the other channel takes over


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


class Witness:
    """Counts rising edges on ``pin`` into ``word``: minus the count since zero(), mod 2**32."""

    def __init__(self, pin):
        self._pin = pin
        self.word = bytearray(4)
        rp2.PIO(1).remove_program()
        self._sm = rp2.StateMachine(_SM)
        self._pair = (rp2.DMA(), rp2.DMA())
        self.zero()

    def zero(self):
        """Begin a new count. The caller has made sure that nothing moves."""
        one, two = self._pair
        self._sm.active(0)
        # Break the chain before aborting, or one channel would start the other again.
        for dma in self._pair:
            dma.config(ctrl=dma.pack_ctrl(enable=False), trigger=False)
        one.active(0)
        two.active(0)
        self._sm.init(edge_witness, in_base=self._pin)
        for i in range(4):
            self.word[i] = 0
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
