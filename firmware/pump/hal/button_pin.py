"""The bolus button's pin: a hard interrupt at every edge, so that no press waits for main.

Imported when the board has a button. Flash being erased holds interrupts back, 45 ms as a rule and
0.4 s at worst: a press that begins and ends meanwhile is not seen, one that lasts longer is.
"""

import time

import machine
import micropython
from machine import Pin

from pump.button import Button

_EDGES = Pin.IRQ_RISING | Pin.IRQ_FALLING


class ButtonPin:
    """``pressed``: the level while it is down. ``news[0]`` is set when main should look."""

    def __init__(self, number, pull, pressed):
        self._pin = Pin(number, Pin.IN, pull)
        self._pressed = pressed
        self.news = bytearray(1)
        self._deaf = False
        self._button = Button(time.ticks_us(), self._pin.value() == pressed)
        irq = self._pin.irq(self._edge, 0, hard=True)
        self._listen = irq.trigger  # pyright: ignore[reportAttributeAccessIssue]
        self._listen(_EDGES)

    @micropython.native
    def _edge(self, _pin):  # ISR-safe
        self.news[0] = 1
        try:
            if self._button.edge(time.ticks_us(), self._pin.value() == self._pressed):
                # A broken wire may make edges without end: the tick and main come first.
                self._listen(0)
                self._deaf = True
        except:  # noqa: E722 -- also KeyboardInterrupt; main reads the pin whenever it looks
            self._deaf = True

    def look(self):
        """Return how many presses have settled since the last look."""
        if self._deaf:
            self._deaf = False
            # Before the pin is read, so that no edge is missed.
            self._listen(_EDGES)
        self.news[0] = 0
        masked = machine.disable_irq()  # some 30 us
        try:
            return self._button.look(time.ticks_us(), self._pin.value() == self._pressed)
        finally:
            machine.enable_irq(masked)

    def forget(self):
        """A run begins: what is down now is no press until it was up."""
        masked = machine.disable_irq()
        try:
            self._button.forget()
        finally:
            machine.enable_irq(masked)

    @property
    def down(self):
        """True while it is pressed."""
        return self._button.down

    @property
    def stuck(self):
        """True when it has been down for longer than a person would hold it."""
        return self._button.stuck

    def wait_ms(self):
        """Return how soon main must look again, if no edge comes before."""
        return self._button.wait_ms(time.ticks_us())
