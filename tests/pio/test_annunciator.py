"""The annunciator's program, cycle by cycle, and the simulated board's model of it.

By hand: a word is pulled in cycle 0, the lamps go out in cycle 1 and stand from 2; tone flag and
periods take 2 and 3. A period begins at 4 with the jump; with tone, `set` at 5 stands from 6, and
`set` low at 29 stands from 30: high for 24 of 50 cycles. So a word of n periods takes 4 + 50 n.
"""

from __future__ import annotations

from collections import deque
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pioemu import State, emulate

from doseloop import resources

RED, YELLOW, TONE = 1, 2, 4
# The lamps are the two pins from 0 on, the buzzer is pin 5.
BUZZER = 5
CYCLE_US = 40

# By hand from the RP2040 datasheet's section 3.4, as in test_opcodes.py.
ALARM_SIGNAL = (
    "100 00000 1 0 1 00000",  # pull: block
    "011 00000 000 00010",  # out: pins, 2 bits
    "011 00000 010 00001",  # out: y, 1 bit
    "011 00000 001 11101",  # out: x, 29 bits
    "000 00000 011 00111",  # jmp on y 0, to 7
    "111 10110 000 00001",  # set: pins, 1; 22 more cycles
    "000 00000 000 01000",  # jmp always, to 8
    "101 10111 010 00 010",  # mov y, y: does nothing; 23 more cycles
    "111 10111 000 00000",  # set: pins, 0; 23 more cycles
    "000 00000 010 00100",  # jmp on x not 0, x - 1 either way, to 4
)


def word(levels, periods):
    return (periods - 1) << 3 | levels


def run(program, words, until=None):
    """Return (cycle, pin, level) of each edge, and the cycle at which it waits for a word."""
    state = State(transmit_fifo=deque(words), pin_directions=(1 << BUZZER) | 3)
    edges = []
    for before, after in emulate(
        program.code,
        stop_when=lambda _opcode, at: until is not None and at.clock >= until,
        initial_state=state,
        out_base=0,
        out_count=2,
        set_base=BUZZER,
        set_count=1,
        wrap_target=program.wrap_target,
        wrap_top=program.wrap,
    ):
        changed = before.pin_values ^ after.pin_values
        for pin in (0, 1, BUZZER):
            if changed >> pin & 1:
                edges.append((before.clock + 1, pin, after.pin_values >> pin & 1))
        if before.program_counter == after.program_counter == 0:
            return edges, before.clock
    return edges, None


def test_opcodes_are_those_of_the_datasheet_and_the_model_knows_them(programs, device):
    code = [int(row.replace(" ", ""), 2) for row in ALARM_SIGNAL]
    assert list(programs.signal.code) == code
    assert (programs.signal.wrap_target, programs.signal.wrap) == (0, 9)
    there = device("programs")["alarm_signal"]
    assert there["code"] == there["known"] == code
    assert there["wrap"] == [0, 9]
    assert programs.signal.options["out_shiftdir"] == programs.rp2.PIO.SHIFT_RIGHT
    assert 125_000_000 % programs.annunciator.SM_HZ == 0


def test_both_programs_fit_the_memory_of_pio1(programs):
    assert len(programs.signal.code) + len(programs.witness.code) <= 32


def test_a_word_of_tone_by_hand(programs):
    edges, waits = run(programs.signal, [word(TONE | RED, 2), word(0, 1)])
    assert edges == [
        (2, 0, 1),
        (6, BUZZER, 1), (30, BUZZER, 0), (56, BUZZER, 1), (80, BUZZER, 0),
        (104 + 2, 0, 0),
    ]  # fmt: skip
    assert waits == 104 + 54  # 4 + 50 · 2, then 4 + 50


@pytest.mark.requirement("E4")
def test_the_tone_is_500_hz(programs):
    edges, _ = run(programs.signal, [word(TONE, 75)])
    rises = [at for at, pin, level in edges if pin == BUZZER and level]
    assert len(rises) == 75 and {b - a for a, b in pairwise(rises)} == {50}
    assert 50 * 40 == 2000  # us a period: 500 Hz, within 150 … 1000
    length = (edges[-1][0] - rises[0]) * CYCLE_US
    assert length == pytest.approx(150_000, rel=0.01)  # a high pulse


@settings(derandomize=True, database=None, deadline=None, max_examples=60)
@given(
    words=st.lists(
        st.tuples(st.integers(0, 7), st.integers(1, 12)).map(lambda w: word(*w)), max_size=12
    ),
    first=st.lists(
        st.tuples(st.integers(0, 7), st.integers(1, 5)).map(lambda w: word(*w)), max_size=4
    ),
)
def test_the_model_shows_every_lamp_edge_and_every_tone(programs, device, words, first):
    edges, _ = run(programs.signal, [*first, *words])
    total = sum(4 + 50 * ((w >> 3) + 1) for w in [*first, *words])
    shown = device("signal", words=words, first=first, until=total * CYCLE_US + 1)
    lamps = [[at * CYCLE_US, ("red", "yellow")[pin], level]
             for at, pin, level in edges if pin != BUZZER]  # fmt: skip
    assert [entry for entry in shown if entry[1] != "buzzer"] == lamps
    # Tone as stretches: less than a period apart they are one.
    tones = []
    for at, pin, level in edges:
        if pin != BUZZER:
            continue
        if level and tones and at - tones[-1][2] < 50:
            tones[-1][3] += 1
        elif level:
            tones.append([at, "buzzer", at, 1])
        else:
            tones[-1][2] = at
    wanted = [[a * CYCLE_US, name, b * CYCLE_US, n] for a, name, b, n in tones]
    assert [entry for entry in shown if entry[1] == "buzzer"] == wanted


@pytest.mark.requirement("E4")
@pytest.mark.parametrize("rank", [0, 1, 2])
def test_a_pattern_goes_round_by_itself(programs, device, rank):
    # Two rounds of the ring, as DMA brings them, and what the model makes of them.
    plan = resources.firmware_module("signal_plan")
    words = plan.pattern(rank, False)
    cycles = sum(4 + 50 * ((w >> 3) + 1) for w in words)
    edges, _ = run(programs.signal, words + words, until=2 * cycles)
    shown = device("signal", words=words, first=[], until=2 * cycles * CYCLE_US - 1, again=True)
    lamps = [(at * CYCLE_US, level) for at, pin, level in edges if pin != BUZZER]
    assert [(e[0], e[2]) for e in shown if e[1] != "buzzer"] == lamps
    assert len([e for e in shown if e[1] == "buzzer"]) == 2 * len(plan.PLAN[rank][0])


def test_a_new_pattern_ends_the_old_one_at_once(programs, device):
    # In the middle of the 10th of 75 periods: its edges until then, low from then on.
    shown = device("signal", words=[word(TONE | RED, 75)], first=[], until=19_000, then=[])
    assert shown == [[80, "red", 1], [240, "buzzer", 19_000, 10], [19_000, "red", 0]]
