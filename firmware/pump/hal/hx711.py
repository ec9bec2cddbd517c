"""The HX711 converter for a bridge of strain gauges: 24 bits, clocked out by a PIO program.

Clocked by hand it would fail: a clock line that is high for over 60 us, an interrupt long, powers
the chip down. Sections: Avia Semiconductor, HX711 datasheet. Imported when the board has one.

    from pump.hal import hx711
    force = hx711.connect(machine.Pin(16), machine.Pin(17), 128, clock)
    counts = force.read()      # None until the next conversion, ten or eighty times a second

It has a state machine of PIO1, where the witness is: the tick stops a motor by stopping all of
PIO0, and would leave the clock line high. Connect it after the witness, which empties PIO1.
"""

import rp2
from micropython import const

_SM = const(7)  # PIO1, state machine 3
_SM_HZ = const(1_000_000)
# Clocks a reading, "Serial Interface": 25, 26 or 27 choose input and gain of the next one. The
# program makes 24 and one more than it is given.
_MORE = {128: 0, 32: 1, 64: 2}
_FIFO = const(4)
_SETTLING = const(4)  # conversions after power-up or a change of gain: "Electrical
# Characteristics", output settling time, 400 ms at 10 a second
_SILENT_MS = const(1000)  # settling, and five times the slower pace
_LEAST = const(-0x800000)  # where a reading ends up that is out of range
_MOST = const(0x7FFFFF)


TYPE_CHECKING = False  # true for a type checker only: MicroPython has no typing
if TYPE_CHECKING:
    from rp2.asm_pio import *


# fmt: off
@rp2.asm_pio(set_init=rp2.PIO.OUT_LOW, in_shiftdir=rp2.PIO.SHIFT_LEFT)
def hx711_clock():
    pull(block)                # clocks after the first 25
    wrap_target()
    wait(0, pin, 0)            # data line low: a conversion is ready; the clock line is low
    set(x, 23)
    label("bit")               # cycles of 1 us
    set(pins, 1)         [1]   # 2    clock high; the bit is out after 0.1 us (T2)
    set(pins, 0)               # 1    low for 3 us in all; 0.2 us would do (T4)
    in_(pins, 1)               # 1    it stays until the next rise
    jmp(x_dec, "bit")          # 1
    mov(y, osr)
    label("gain")
    set(pins, 1)         [1]
    set(pins, 0)
    jmp(y_dec, "gain")
    in_(pins, 1)               # 1 if the chip has raised its line after the 25th clock
    push(noblock)
    wrap()
# fmt: on


class Hx711:
    """Readings of a state machine that runs hx711_clock. ``fault``: what is wrong, or None."""

    def __init__(self, sm, clock):
        self._sm = sm
        self._clock = clock
        self._heard_ms = clock.ms()
        self._settling = _SETTLING
        self.fault = None

    def read(self):
        """Return the latest reading as a signed integer of 24 bits; None when there is no new one
        that means anything: ``fault`` then says why, if it is not just too early."""
        waiting = self._sm.rx_fifo()
        now = self._clock.ms()
        if not waiting:
            if now - self._heard_ms > _SILENT_MS:
                self.fault = "the converter is never ready: its line is stuck high or cut"
            return None
        self._heard_ms = now
        word = 0
        for _ in range(waiting):
            word = self._sm.get()
        if waiting == _FIFO:
            return None  # full: these may be old, what came since is lost
        if not word & 1:
            self.fault = "the converter's line is stuck low"
            return None
        if self._settling:
            self._settling -= 1
            return None
        counts = (word >> 1 ^ 0x800000) - 0x800000
        if counts == _LEAST or counts == _MOST:
            self.fault = "beyond the converter's range: check the bridge's wires"
            return None
        self.fault = None
        return counts


def connect(data, clock_line, gain, clock):
    """Start converting at a gain of 128, 64 (input A) or 32 (input B). ``clock``: hal's.

    data, clock_line: Pins, the first an input, the second a low output.
    """
    sm = rp2.StateMachine(_SM)
    sm.init(hx711_clock, freq=_SM_HZ, in_base=data, set_base=clock_line)
    sm.put(_MORE[gain])
    sm.active(1)
    return Hx711(sm, clock)
