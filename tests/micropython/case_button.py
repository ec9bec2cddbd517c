"""The bolus button's pin on real MicroPython with the heap locked: its interrupt may not allocate.

The handler is the one hal/button_pin.py hands to Pin.irq; only the machine is ours, so that a test
decides when an edge comes. As on a chip, none comes while interrupts are masked.
"""

import sys

import micropython


class _Irq:
    def __init__(self, handler):
        self.handler = handler
        self.mask = 0

    def trigger(self, mask):
        self.mask = mask


class _Pin:
    IN, PULL_UP, IRQ_FALLING, IRQ_RISING = 0, 1, 4, 8
    one = None

    def __init__(self, number, mode, pull):
        self.level = 1
        _Pin.one = self

    def value(self):
        return self.level

    def irq(self, handler, trigger, hard):
        if not hard or trigger:
            raise ValueError("hard, and silent until it is known")
        self.handler = _Irq(handler)
        return self.handler

    def set(self, level):
        self.level = level
        if self.handler.mask == 12:
            self.handler.handler(self)


class _Machine:
    Pin = _Pin
    masked = 0

    @staticmethod
    def disable_irq():
        _Machine.masked += 1
        return 7

    @staticmethod
    def enable_irq(state):
        _Machine.masked -= 1
        if state != 7:
            raise ValueError("another state")


_real = sys.modules.get("machine")
sys.modules["machine"] = _Machine
sys.modules.pop("pump.hal.button_pin", None)
from pump.button import EDGES_MAX  # noqa: E402
from pump.hal.button_pin import ButtonPin  # noqa: E402

if _real is not None:
    sys.modules["machine"] = _real


class _Time:
    now = 0

    @staticmethod
    def ticks_us():
        return _Time.now


def _made():
    sys.modules["pump.hal.button_pin"].time = _Time
    _Time.now = (1 << 30) - 10_000  # it wraps during the press
    button = ButtonPin(9, 1, 0)
    return button, _Pin.one


def test_an_edge_allocates_nothing(folder):
    button, pin = _made()
    micropython.heap_lock()
    try:
        pin.set(0)
        _Time.now = 50_000
        pin.set(1)
    finally:
        micropython.heap_unlock()
    assert button.news[0] == 1
    assert button.look() == 1 and button.news[0] == 0
    assert _Machine.masked == 0


def test_a_press_and_what_main_is_told(folder):
    button, pin = _made()
    assert button.look() == 0 and not button.down and button.wait_ms() == 2000
    pin.set(0)
    assert button.news[0] == 1 and button.look() == 0
    assert button.wait_ms() == 30
    _Time.now = 20_000
    assert button.look() == 1 and button.down and not button.stuck
    _Time.now = 60_000_000
    assert button.look() == 0 and button.stuck


def test_a_storm_is_shut_out_until_main_looks(folder):
    button, pin = _made()
    micropython.heap_lock()
    try:
        for i in range(EDGES_MAX):
            pin.set(i & 1)
    finally:
        micropython.heap_unlock()
    assert pin.handler.mask == 0
    button.look()
    assert pin.handler.mask == 12 and _Machine.masked == 0


def test_forget_is_masked_too(folder):
    button, pin = _made()
    pin.set(0)
    button.look()
    button.forget()
    _Time.now = 90_000
    assert button.look() == 0 and button.down and _Machine.masked == 0
