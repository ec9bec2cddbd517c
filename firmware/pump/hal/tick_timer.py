"""The hard timer interrupt that runs the dose loop's tick every millisecond.

Holds every buffer the tick needs, so that the callback makes no object.
"""

import time

import machine
import micropython
from micropython import const

from pump import tick as _tick

_PERIOD_MS = const(1)


class TickTimer:
    """Runs tick.tick() on ``state``. Keep a reference: a collected timer stops.

    The other buffers are known to the tick by address only, so they are kept alive here.
    """

    def __init__(self, state, generator, ends, segs, sio, witness, usb):
        buffers = (
            generator.ring, generator.ctrl, ends, segs, generator.data, generator.chain,
            generator.pio, sio, witness.word, usb,
        )  # fmt: skip
        _tick.connect(state, *buffers)
        self._state = state
        self._buffers = buffers
        self._timer = None
        self._callback = self._run  # bound once: binding allocates

    def start(self):
        """Start ticking; stop() first if it already does."""
        self.stop()
        self._timer = machine.Timer(
            -1, period=_PERIOD_MS, mode=machine.Timer.PERIODIC, hard=True, callback=self._callback
        )

    def stop(self):
        """Stop ticking. The motion ends by itself when the queue is played."""
        if self._timer is not None:
            self._timer.deinit()
            self._timer = None

    @micropython.native
    def _run(self, _timer):  # ISR-safe
        try:
            _tick.tick(self._state, time.ticks_us())
        except:  # noqa: E722 -- also KeyboardInterrupt, which can be raised in a hard IRQ
            # No stop by register here: whatever broke may be that. Not feeding ends the motion.
            self._state[_tick.S_RUN] = 0
            self._state[_tick.S_FLAGS] = _tick.F_ERROR
