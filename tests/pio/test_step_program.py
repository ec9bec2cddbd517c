"""The step program, cycle by cycle, and the engine that stands for it in the simulated board."""

from __future__ import annotations

from functools import partial
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pio.emulator import CYCLES, PASS, PULL, STEP_PIN, step_machine, word
from pioemu import State

LONGEST = 0x7FFF + 4
settled = partial(settings, derandomize=True, database=None, deadline=None)


def ideal(words):
    """Return the edges of queue words, in ticks: 2 before the end of each step word."""
    lengths = [(w & 0x7FFF) + 4 for w in words]
    return [end - 2 for end, w in zip(accumulate(lengths), words, strict=True) if w >> 15]


def test_three_words_by_hand(programs):
    # 4 ticks with a step, 10 without, 6 with: they end at 4, 14, 20 ticks = 20, 70, 100 cycles.
    # Edges 2 ticks before the ends of the first and the third: 2 and 18 ticks = 10 and 90 cycles;
    # each pulse is 10 cycles = 2 us long.
    trace = step_machine(programs.step, [word(4, True), word(10, False), word(6, True)])
    assert trace.pulls == [0, 20, 70]
    assert trace.rises == [10, 90]
    assert trace.falls == [20, 100]
    assert trace.state.program_counter == PULL
    assert trace.state.clock == 101  # one cycle at the pull that found nothing


def test_every_pass_of_the_delay_loop_takes_a_tick(programs):
    # One word of the longest duration passes through every value of x: 32768 passes. This is what
    # step_machine(leap=True) rests on.
    start = State(pin_directions=1 << STEP_PIN, program_counter=PASS, x_register=0x7FFF)
    seen = [(start.clock, start.x_register)]
    trace = step_machine(programs.step, [], start=start, visit=seen.append)
    assert seen == [(CYCLES * k, 0x7FFF - k) for k in range(0x8000)]
    assert trace.stalled == 1


@pytest.mark.parametrize("step", [False, True])
def test_a_word_lasts_its_ticks(programs, step):
    lengths = [*range(4, 60), 10_000, LONGEST]
    check_words(programs, lengths, step, leap=False)


@pytest.mark.parametrize("step", [False, True])
def test_a_word_of_any_length_lasts_its_ticks(programs, step):
    check_words(programs, [*range(4, LONGEST, 37), LONGEST], step, leap=True)


def check_words(programs, lengths, step, leap):
    # A step word behind each shows where it ended by its own edge, too.
    words = [w for n in lengths for w in (word(n, step), word(5, True))]
    trace = step_machine(programs.step, words, leap=leap)
    starts = [0, *accumulate(CYCLES * ((w & 0x7FFF) + 4) for w in words)]
    assert trace.pulls == starts[:-1]
    assert trace.state.clock == starts[-1] + 1
    assert trace.rises == [CYCLES * edge for edge in ideal(words)]
    assert [fall - rise for rise, fall in zip(trace.rises, trace.falls, strict=True)] == [
        10
    ] * len(trace.rises)


def test_leaping_changes_nothing(programs):
    words = [word(n, n % 3 != 0) for n in range(4, 60)]
    plain, leapt = (step_machine(programs.step, words, leap=leap) for leap in (False, True))
    assert plain == leapt


def test_the_upper_half_of_a_fifo_word_is_not_used(programs):
    # DMA moves 16 bits, which the bus repeats in both halves; step_machine() does the same. A word
    # that leaked into the next one would show after an all-ones upper half.
    trace = step_machine(programs.step, [0xFFFF, 0x0000, 0x8000], leap=True)
    assert trace.edge_ticks() == [LONGEST - 2, LONGEST + 4 + 2]


@st.composite
def queues(draw, longest):
    """Words, how they are cut into DMA blocks, where in the ring they lie, and slices of time."""
    lengths = draw(st.lists(st.integers(4, longest), min_size=1, max_size=40))
    words = [word(n, draw(st.booleans())) for n in lengths]
    blocks = []
    while sum(blocks) < len(words):
        blocks.append(draw(st.integers(1, len(words) - sum(blocks))))
    return {
        "words": words,
        "blocks": blocks,
        "at": draw(st.sampled_from([0, 17, 8150, 8191])),
        "budgets": draw(st.lists(st.integers(0, 2 * longest), max_size=60)),
    }


@settled(max_examples=150)
@given(queue=queues(24))
def test_engine_makes_the_edges_of_the_program(programs, device, queue):
    compare(programs, device, queue, leap=False)


@settled(max_examples=250)
@given(queue=queues(LONGEST))
def test_engine_makes_the_edges_of_the_program_at_any_length(programs, device, queue):
    compare(programs, device, queue, leap=True)


def compare(programs, device, queue, leap):
    trace = step_machine(programs.step, queue["words"], leap=leap)
    played = device("play", **queue)
    assert played["edges"] == trace.edge_ticks() == ideal(queue["words"])
    assert played["dead"] == 1
    assert played["high"] == 0
