"""The HX711: its PIO program instruction by instruction against the datasheet's timing, and the
readings that are made of its words."""

from __future__ import annotations

import random
from collections import deque
from itertools import pairwise
from types import SimpleNamespace

import pytest
from pio.emulator import _typed
from pioemu import State, emulate

DATA, CLOCK = 0, 1  # GPIOs; the emulator's first input is GPIO 0
# By hand from the RP2040 datasheet's section 3.4: opcode, delay, operands.
OPCODES = (
    "100 00000 1 0 1 00000",  # pull: not if-empty only, block
    "001 00000 0 01 00000",  # wait: for 0, pin 0
    "111 00000 001 10111",  # set: x, 23
    "111 00001 000 00001",  # set: pins, 1, one more cycle
    "111 00000 000 00000",  # set: pins, 0
    "010 00000 000 00001",  # in: pins, 1 bit
    "000 00000 010 00011",  # jmp on x not 0, x - 1 either way, to 3
    "101 00000 010 00 111",  # mov y, osr
    "111 00001 000 00001",  # set: pins, 1, one more cycle
    "111 00000 000 00000",  # set: pins, 0
    "000 00000 100 01000",  # jmp on y not 0, y - 1 either way, to 8
    "010 00000 000 00001",  # in: pins, 1 bit
    "100 00000 0 0 0 00000",  # push: do not block
)


class Chip:
    """An HX711 on two wires: the datasheet's figure 2, at a microsecond a cycle.

    Ready from cycle ``ready``; after the clocks of a reading its line is high for ``pause``.
    """

    def __init__(self, values, pause=100, ready=10, stuck=None):
        self.values, self.pause, self.stuck = deque(values), pause, stuck
        self.ready_at = ready
        self.pulses = []  # rise and fall of each clock, in cycles
        self.fell = 0  # when it saw the latest clock end
        self.readings = []  # clocks of each reading
        self.was = 0
        self.count = 0

    def level(self, state):
        clock = state.pin_values >> CLOCK & 1
        now = state.clock
        if clock and not self.was:
            self.count += 1
            if self.count == 1 and self.stuck is None:
                assert now >= self.ready_at, "clocked before it was ready"
        if self.was and not clock:
            self.fell = now
        self.was = clock
        if self.count >= 25 and not clock and now - self.fell > 10:
            self.readings.append(self.count)
            self.values.popleft()
            self.count, self.ready_at = 0, now + self.pause
        if self.stuck is not None:
            return self.stuck
        if not self.values or now < self.ready_at:
            return 1
        if not self.count:
            return 0  # ready
        if self.count > 24:
            return 1
        return self.values[0] >> 24 - self.count & 1  # MSB first, out at the rise


def run(programs, chip, more, cycles):
    """Run the program for some cycles; return the words that came out."""
    program = programs.hx711.hx711_clock
    state = State(pin_directions=1 << CLOCK, transmit_fifo=deque([more]))
    out = []
    for before, after in emulate(
        program.code,
        stop_when=lambda _opcode, at: at.clock >= cycles,
        initial_state=state,
        input_source=_typed(lambda state: chip.level(state)),
        shift_isr_right=False,
        set_base=CLOCK,
        set_count=1,
        wrap_target=program.wrap_target,
        wrap_top=program.wrap,
    ):
        # The new level stands from the cycle after the instruction's first.
        if (after.pin_values & ~before.pin_values) >> CLOCK & 1:
            chip.pulses.append([before.clock + 1])
        if (before.pin_values & ~after.pin_values) >> CLOCK & 1:
            chip.pulses[-1].append(before.clock + 1)
        while after.receive_fifo:
            out.append(after.receive_fifo.popleft())
        state = after
    return out, state


def test_it_assembles_to_the_table_and_leaves_room_for_others(programs):
    program = programs.hx711.hx711_clock
    assert list(program.code) == [int(row.replace(" ", ""), 2) for row in OPCODES]
    assert (program.wrap_target, program.wrap) == (1, 12)
    assert program.options["in_shiftdir"] == programs.rp2.PIO.SHIFT_LEFT == 0
    assert 125_000_000 % programs.hx711._SM_HZ == 0
    # 32 words of PIO1: the witness's, these, and a dozen to spare
    assert len(program.code) + len(programs.witness.code) <= 20


@pytest.mark.parametrize(("gain", "clocks"), [(128, 25), (32, 26), (64, 27)])
def test_a_reading_by_hand(programs, gain, clocks):
    # 0x123456: its 24 bits, then 1 for the line that is high again: 0x123456 · 2 + 1 = 0x2468ad
    chip = Chip([0x123456])
    out, state = run(programs, chip, programs.hx711._MORE[gain], 400)
    assert out == [0x2468AD]
    assert chip.readings == [clocks] and len(chip.pulses) == clocks
    # T3, T4: high and low for at least 0.2 us; high for at most 50 us. At a cycle a microsecond:
    assert {fall - rise for rise, fall in chip.pulses} == {2}
    gaps = [after[0] - before[1] for before, after in pairwise(chip.pulses)]
    assert set(gaps[:23]) == {3} and min(gaps) >= 1
    # It waits for the next one with its clock line low: no power-down, however long that takes.
    assert state.program_counter == 1 and not state.pin_values >> CLOCK & 1


def test_any_value_one_after_the_other(programs):
    rng = random.Random(711)
    values = [0, 1, 0x7FFFFF, 0x800000, 0xFFFFFF] + [rng.randrange(1 << 24) for _ in range(50)]
    chip = Chip(values, pause=37)
    out, _ = run(programs, chip, 0, 20_000)
    assert out == [value << 1 | 1 for value in values]
    assert chip.readings == [25] * len(values)


def test_a_line_that_is_stuck(programs):
    chip = Chip([0], stuck=1)
    assert run(programs, chip, 0, 5_000)[0] == [] and chip.pulses == []
    out, _ = run(programs, Chip([0] * 999, stuck=0), 0, 500)
    assert out and not any(out)  # the bit that should be 1 is not


# -- what is made of the words ------------------------------------------------------------------


class Machine:
    """A state machine's receive FIFO."""

    def __init__(self):
        self.words = deque()

    def rx_fifo(self):
        return len(self.words)

    def get(self):
        return self.words.popleft()


@pytest.fixture
def reader(programs):
    machine, now = Machine(), SimpleNamespace(at=0)
    chip = programs.hx711.Hx711(machine, SimpleNamespace(ms=lambda: now.at))

    def read(*values, ready=1):
        now.at += 100
        machine.words.extend(value << 1 | ready for value in values)
        return chip.read()

    return SimpleNamespace(chip=chip, read=read)


def settled(reader):
    for _ in range(4):
        assert reader.read(5) is None  # settling
    return reader


@pytest.mark.parametrize(
    ("raw", "counts"),
    [(0, 0), (1, 1), (0xFFFFFF, -1), (0x7FFFFE, 8_388_606), (0x800001, -8_388_607)],
)
def test_signed_counts_by_hand(reader, raw, counts):
    assert settled(reader).read(raw) == counts
    assert reader.chip.fault is None


@pytest.mark.parametrize("raw", [0x7FFFFF, 0x800000])
def test_a_saturated_reading_is_none(reader, raw):
    assert settled(reader).read(raw) is None
    assert "range" in reader.chip.fault
    assert reader.read(7) == 7 and reader.chip.fault is None


def test_the_latest_of_several_counts_and_a_full_fifo_is_old(reader):
    settled(reader)
    assert reader.read(1, 2, 3) == 3
    assert reader.read(1, 2, 3, 4) is None and reader.chip.fault is None
    assert reader.read(9) == 9


def test_a_line_that_is_never_ready_is_told_after_a_second(reader):
    settled(reader)
    for _ in range(10):
        assert reader.read() is None
        assert reader.chip.fault is None
    assert reader.read() is None
    assert "never ready" in reader.chip.fault
    assert reader.read(8) == 8 and reader.chip.fault is None


def test_a_line_stuck_low_is_told_at_once(reader):
    settled(reader)
    assert reader.read(0, ready=0) is None
    assert "stuck low" in reader.chip.fault
