"""The stop input: looked at by the step program itself, and by the model at the same instants.

The program looks once a tick, at 1.4, 2.4 ... d - 2.6 ticks of a word of d ticks (cycle 5 k + 7),
and not while a pulse is made. So an input that opens is seen before the next edge unless that edge
is at most 2 cycles away, and it must stay open for 4 ticks to be seen for certain: from the last
look of a word, at its tick d - 3, to the first of the next, at its tick 1. A button is open for
milliseconds.
The chip's input synchroniser adds two system clocks, 0.08 cycles here, that the emulator has not.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pio.emulator import CYCLES, FIFO_WORDS, LATCHED, STEP_PIN, step_machine, word
from pioemu import State

PULSE = 10  # cycles
LATE = 2  # cycles: looked at, x_dec, out: the edge stands two cycles after the look's own
UNSEEN_TICKS = 4
AFTER = 600  # cycles to watch a halted machine


@pytest.mark.parametrize("step", [False, True])
@pytest.mark.parametrize("ticks", [4, 5, 12])
@pytest.mark.parametrize("held", [None, CYCLES * UNSEEN_TICKS])
def test_opened_at_every_cycle_of_a_word(programs, step, ticks, held):
    # The FIFO is full and nobody refills it or looks at the machine: the CPU is dead. The word
    # under test is the second; all others make steps.
    words = [word(6, True), word(ticks, step)] + [word(7, True)] * (FIFO_WORDS - 2)
    free = step_machine(programs.step, words).rises
    begins = CYCLES * 6
    for opens in range(begins, begins + CYCLES * ticks + 1):

        def level(cycle, opens=opens):
            return int(cycle >= opens and (held is None or cycle < opens + held))

        trace = step_machine(programs.step, words, stop=level, until=opens + AFTER)
        assert trace.rises == [edge for edge in free if edge <= opens + LATE], opens
        lengths = [f - r for r, f in zip(trace.rises, trace.falls, strict=True)]
        assert lengths == [PULSE] * len(lengths), opens  # the pulse under way is completed
        # It latches within the four ticks, tells the tick by its flag, and stays when the input
        # is closed again, though words are waiting.
        assert trace.irq_at is not None and trace.irq_at <= opens + CYCLES * UNSEEN_TICKS
        assert trace.state.program_counter == LATCHED
        assert trace.state.clock >= opens + AFTER
        assert len(trace.state.transmit_fifo) >= FIFO_WORDS - 3


def test_no_edge_later_than_a_tick_after_the_input():
    assert LATE <= CYCLES


def test_open_at_an_empty_queue_lets_no_later_word_make_a_step(programs):
    waiting = step_machine(programs.step, [], until=50)
    assert waiting.stalled == 50
    trace = step_machine(programs.step, [word(6, True)], start=waiting.state, stop=lambda _: 1)
    assert trace.rises == []
    assert trace.irq_at == 50 + 8  # pull 1, out 3, nop 3, the look 1


def test_open_at_launch_makes_no_step_by_hand(programs, device):
    words = [word(50, True)] * 3
    assert step_machine(programs.step, words, stop=lambda _: 1).rises == []
    assert device("stop", words=words, blocks=[3], presses=[[0, 1]], until=500, grid=None) == {
        "edges": [],
        "latched": True,
        "pulled": 1,
        "complete": False,
        "witnessed": 0,
    }


def test_opened_in_a_pulse_by_hand(programs, device):
    # Steps at 48, 98, 148 ticks. The input opens at 49, in the first pulse, and stays open: the
    # second word is pulled at 50 and halts in its first pass.
    words = [word(50, True)] * 3
    trace = step_machine(programs.step, words, stop=lambda cycle: int(cycle >= 49 * CYCLES))
    assert (trace.rises, trace.falls, trace.irq_at) == ([240], [250], 258)
    assert device("stop", words=words, blocks=[3], presses=[[49, 1]], until=500, grid=None) == {
        "edges": [48],
        "latched": True,
        "pulled": 2,
        "complete": False,
        "witnessed": 1,
    }


@st.composite
def presses(draw):
    lengths = draw(st.lists(st.integers(4, 40), min_size=1, max_size=12))
    words = [word(n, draw(st.booleans())) for n in lengths]
    blocks = []
    while sum(blocks) < len(words):
        blocks.append(draw(st.integers(1, len(words) - sum(blocks))))
    # Anywhere, and often close to the end of a word, where the two could come apart.
    end = draw(st.integers(1, len(lengths)))
    opens = draw(
        st.one_of(
            st.integers(0, sum(lengths) + 5),
            st.integers(-4, 4).map(lambda off: max(0, sum(lengths[:end]) + off)),
        )
    )
    held = draw(st.one_of(st.integers(UNSEEN_TICKS, 60), st.just(10_000)))
    # A tick soon after may not make the model forget that the input is open.
    grid = draw(st.one_of(st.none(), st.integers(opens, opens + 4)))
    return words, blocks, opens, opens + held, grid


@settings(derandomize=True, database=None, deadline=None, max_examples=400)
@given(case=presses())
def test_model_stops_as_the_program_does(programs, device, case):
    words, blocks, opens, closes, grid = case

    def level(cycle):
        return int(opens * CYCLES <= cycle < closes * CYCLES)

    trace = step_machine(programs.step, words, stop=level)
    model = device(
        "stop",
        words=words,
        blocks=blocks,
        presses=[[opens, 1], [closes, 0]],
        until=closes + 600,
        grid=grid,
    )
    assert model["edges"] == trace.edge_ticks()
    assert model["latched"] == (trace.irq_at is not None)
    assert model["pulled"] == len(trace.pulls)
    # What halt() tells the dose loop: whether the word it pulled last was made to its end.
    assert model["complete"] == (trace.irq_at is None)
    assert model["witnessed"] == len(trace.rises)


def test_only_a_fresh_start_leaves_the_halt(programs, device):
    words = [word(20, True)] * 4
    case = {"words": words, "blocks": [4], "until": 9000, "grid": 500}
    halted = device("stop", **case, presses=[[5, 1], [50, 0]])
    assert (halted["latched"], halted["edges"]) == (True, [])
    again = device("stop", **case, presses=[])  # arms first
    assert (again["latched"], again["edges"]) == (False, [18, 38, 58, 78])
    fresh = State(pin_directions=1 << STEP_PIN)
    assert step_machine(programs.step, words, start=fresh).edge_ticks() == again["edges"]
