"""The step generator: a PIO program, fed by a finite chain of DMA blocks.

It makes the words it is given, each lasting exactly the ticks it says, and stops by itself when
they end. What is in the words is tick.py's business.

    from pump.hal.step_generator import StepGenerator
    generator = StepGenerator(step_pin, stop_pin)
    generator.arm()        # empty queue, stopped, stop latch released
    ...                    # write words and counts, tick.fill()
    generator.launch()     # motion begins
    generator.halt()       # motion ends; what was made can be read

Two DMA channels: ``data`` moves words to the FIFO and, when its block is done, triggers ``chain``,
which writes the next block's length into data's count-and-trigger register. A length of 0 is a
null trigger: nothing starts, nothing chains on, the motion ends. There is no way for a dead CPU to
make either channel go round again, because the word behind the last block is always 0.
"""

import machine
import rp2
import uctypes
from micropython import const

from pump import tick
from pump.hal import registers as reg

SM_HZ = const(5_000_000)  # 125 MHz / 25: a whole divider, so no fractional jitter
TICK_HZ = const(1_000_000)  # five cycles a tick
_DREQ_PIO0_TX0 = const(0)
_PULL_NOBLOCK = const(0x8080)
_SET_PINS_0 = const(0xE000)
_ZEROS = bytes(128)


TYPE_CHECKING = False  # true for a type checker only: MicroPython has no typing
if TYPE_CHECKING:
    from rp2.asm_pio import *


# fmt: off
@rp2.asm_pio(
    out_init=rp2.PIO.OUT_LOW, set_init=rp2.PIO.OUT_LOW,
    out_shiftdir=rp2.PIO.SHIFT_RIGHT, fifo_join=rp2.PIO.JOIN_TX,
)
def step_generator():
    # A word of d ticks is d - 4 in 15 bits and the step flag above them.
    #                              cycles  from the word's start
    wrap_target()
    pull(block)                  # 1       STEP is low here; an empty queue waits here
    out(x, 15)             [2]   # 3
    label("pass")                #         d - 3 passes of 5 cycles = d - 3 ticks
    nop()                  [2]   # 3
    jmp(pin, "halt")             # 1       stop input open: looked at on every pass
    jmp(x_dec, "pass")           # 1
    out(pins, 1)           [9]   # 10      the edge, at 5 * (d - 2) cycles: d - 2 ticks; 2 us high
    set(pins, 0)                 # 1       5 * d cycles in all
    wrap()
    label("halt")
    irq(0)                       #         tell the tick
    label("latched")
    jmp("latched")               #         only arm() leaves this
# fmt: on


class StepGenerator:
    """PIO0 state machine 0 on ``step``, watching ``stop`` (high stops), and its queue's memory."""

    def __init__(self, step, stop):
        self.ring = reg.aligned(2 * tick.RING_WORDS)
        self.ctrl = reg.aligned(4 * tick.CTRL_WORDS)
        self.pio = reg.window(reg.PIO0_BASE, 16)
        self._step = step
        self._stop = stop
        self._data = rp2.DMA()
        self._chain = rp2.DMA()
        self.data = self._data.registers  # pyright: ignore[reportAttributeAccessIssue]
        self.chain = self._chain.registers  # pyright: ignore[reportAttributeAccessIssue]
        self._data_ctrl = self._data.pack_ctrl(
            size=1, inc_read=True, inc_write=False, ring_size=tick.RING_BITS, ring_sel=False,
            treq_sel=_DREQ_PIO0_TX0, chain_to=self._chain.channel, irq_quiet=True,  # pyright: ignore[reportAttributeAccessIssue]
        )  # fmt: skip
        self._chain_ctrl = self._chain.pack_ctrl(
            size=2, inc_read=True, inc_write=False, ring_size=tick.CTRL_BITS, ring_sel=False,
            irq_quiet=True,
        )  # fmt: skip
        rp2.PIO(0).remove_program()
        self._sm = rp2.StateMachine(0)
        self._init()

    def _init(self):
        # Restarts the machine at its first instruction, with empty FIFOs and STEP low.
        self._sm.init(
            step_generator, freq=SM_HZ, out_base=self._step, set_base=self._step,
            jmp_pin=self._stop,
        )  # fmt: skip
        # The SDK's init clears the FIFO on the chip but not in every emulator; emptying it by
        # hand does in both, and restart() drops a half-done pull.
        for _ in range(tick.FIFO_WORDS):
            self._sm.exec(_PULL_NOBLOCK)
        self._sm.restart()

    def arm(self):
        """Empty the queue and release the stop latch. Motion is off before and after."""
        self._abandon()
        machine.mem32[reg.PIO_IRQ] = 1  # write 1 to clear the halt flag
        self._init()
        self._clear()
        self._data.config(read=self.ring, write=self._sm, count=0, ctrl=self._data_ctrl)
        self._chain.config(
            read=self.ctrl,
            write=uctypes.addressof(self.data) + reg.DMA_TRANS_COUNT_TRIG,
            count=1,
            ctrl=self._chain_ctrl,
        )

    def feed(self):
        """Start the DMA on the blocks published so far; the FIFO fills, nothing moves yet."""
        self._chain.active(1)

    def launch(self):
        """Begin the motion: the first word starts now."""
        self._sm.active(1)

    def halt(self):
        """End the motion now. A pulse that has begun is completed; nothing after it is made."""
        self._sm.active(0)
        # The driver sees a pulse of full length: STEP holds its level while these lines run, far
        # longer than 2 us on the chip, and goes low only here.
        high = self._step.value()
        complete = high or self._at_pull()
        self._sm.exec(_SET_PINS_0)
        return complete

    def idle(self):
        """True when every word was made: the machine waits at its pull with an empty FIFO."""
        return self._at_pull() and self.level() == 0

    def level(self):
        """Return the words in the FIFO."""
        return machine.mem32[reg.PIO0_BASE + 0x0C] & 15

    def latched(self):
        """True when the stop input has halted the machine."""
        return bool(machine.mem32[reg.PIO_IRQ] & 1)

    def _at_pull(self):
        # The program may lie anywhere in the PIO's memory; its wrap target is its first word.
        target = (machine.mem32[reg.PIO_SM0_EXECCTRL] >> 7) & 31
        return (machine.mem32[reg.PIO_SM0_ADDR] & 31) == target

    def _clear(self):
        for at in range(0, len(self.ctrl), len(_ZEROS)):
            self.ctrl[at : at + len(_ZEROS)] = _ZEROS

    def _abandon(self):
        # Both channels off before either is aborted, so that neither restarts the other
        # (RP2040-E13).
        self._clear()
        self._sm.active(0)
        self._chain.active(0)
        self._data.active(0)
        self._chain.active(0)
