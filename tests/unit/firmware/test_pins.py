"""hal/pins: which inputs forbid a motion, at which level, and the alarm of each."""

import importlib
import sys
from types import SimpleNamespace

import pytest

from doseloop import resources

NUMBERS = {"step": 2, "dir": 3, "enable": 4, "witness": 5, "stop": 6}
ENDS = {"end_front": 7, "end_back": 8}
WATCHED = {"clamp": 14, "diag": 13}


class Pin:
    IN, OUT, PULL_UP, PULL_DOWN = 0, 1, 1, 2
    levels, pulls = {}, {}

    def __init__(self, number, mode, pull=None, value=None):
        self.number = number
        if mode == Pin.IN:
            Pin.pulls[number] = pull
        else:
            Pin.levels[number] = value

    def value(self, level=None):
        if level is None:
            return Pin.levels.get(self.number, 0)
        Pin.levels[self.number] = level
        return None


@pytest.fixture
def make(monkeypatch):
    resources.firmware_module("hal")
    Pin.levels, Pin.pulls = {}, {}
    monkeypatch.setitem(sys.modules, "machine", SimpleNamespace(Pin=Pin, mem32={}))
    uctypes = SimpleNamespace(bytearray_at=lambda address, size: bytearray(size))
    monkeypatch.setitem(sys.modules, "uctypes", uctypes)
    for name in ("pump.hal.pins", "pump.hal.registers"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    registers = importlib.import_module("pump.hal.registers")
    monkeypatch.setattr(registers, "window", lambda address, words: [0] * words)
    module = importlib.import_module("pump.hal.pins")

    def build(end_open=1, **pins):
        board = {"pins": {**NUMBERS, **pins}, "stop_pull": "up", "enable_active": 0,
                 "dir_infuse": 1, "end_open": end_open}  # fmt: skip
        return module.Pins(board)

    yield build
    for name in ("pump.hal.pins", "pump.hal.registers"):
        sys.modules.pop(name, None)  # they hold the fakes


@pytest.mark.parametrize("end_open", [0, 1])
@pytest.mark.parametrize("way", [1, -1])
def test_mask_by_hand(make, end_open, way):
    pins = make(end_open, **ENDS, **WATCHED)
    Pin.levels.update({7: 1 - end_open, 8: 1 - end_open, 14: 0, 13: 0})  # all well
    mask, invert = pins.end_mask(way)
    assert mask == 1 << 7 | 1 << 8 | 1 << 13 | 1 << 14
    # End switches may be open low; clamp and DIAG forbid motion when high.
    assert invert == (0 if end_open else 1 << 7 | 1 << 8)
    well = (0 if end_open else 1) * (1 << 7 | 1 << 8)
    assert (well ^ invert) & mask == 0
    for bit in (7, 8, 13, 14):
        assert ((well ^ 1 << bit) ^ invert) & mask == 1 << bit


@pytest.mark.requirement("D11")
def test_the_switch_that_it_stands_on_is_not_watched_while_it_leaves(make):
    pins = make(**ENDS)
    Pin.levels[8] = 1
    assert pins.end_mask(1) == (1 << 7, 0)
    assert not pins.ends_hit()
    Pin.levels[7] = 1
    assert pins.ends_hit()


def test_a_board_without_any_is_watched_by_none(make):
    pins = make()
    assert pins.end_mask(1) == pins.end_mask(-1) == (0, 0)
    assert not pins.syringe_out() and not pins.ends_hit()


@pytest.mark.requirement("D13")
@pytest.mark.parametrize(
    ("bits", "levels", "code"),
    [
        (1 << 7, {7: 1}, "A_END_SWITCH"),
        (1 << 7, {7: 1, 8: 1}, "A_ENDS"),
        (1 << 14, {}, "A_SYRINGE_OUT"),  # also when it is back by now
        (1 << 14 | 1 << 13, {}, "A_SYRINGE_OUT"),  # torn out, it may stall the motor too
        (1 << 13, {}, "A_STALL"),
    ],
)
def test_the_alarm_by_hand(make, bits, levels, code):
    pins = make(**ENDS, **WATCHED)
    Pin.levels.update(levels)
    assert pins.cause(bits) == code


@pytest.mark.requirement("D12")
def test_an_open_wire_of_the_clamp_is_a_syringe_taken_out(make):
    pins = make(**WATCHED)
    assert (Pin.pulls[14], Pin.pulls[13]) == (Pin.PULL_UP, Pin.PULL_DOWN)
    assert not pins.syringe_out()
    Pin.levels[14] = 1  # the pull-up, when nothing is at the wire
    assert pins.syringe_out()
