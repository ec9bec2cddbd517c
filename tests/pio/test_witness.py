"""The witness counts rising edges exactly, as long as a pulse and the gap behind it take 5 cycles.

After it has seen the pin high (cycle 0) it does three more instructions and looks for a low level
at cycle 4, then for a high one at cycle 5 at the earliest. So a high of h cycles and the low of l
cycles behind it are not missed if h >= 1, l >= 1 and h + l >= 5: for h <= 4 the low must still
be there at cycle 4, and for h > 4 it is seen in its own first cycle.
"""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pio.emulator import count_edges
from pioemu import State

PERIOD_MIN = 5
SYSTEM_HZ = 125_000_000


def minus(counts):
    return [-n % 2**32 for n in counts]


def levels(pulses, lead=3, tail=8):
    """Return one level a cycle: low, then each (high, low), then low long enough to push."""
    out = [0] * lead
    for high, low in pulses:
        out += [1] * high + [0] * low
    return out + [0] * tail


def test_two_pulses_by_hand(programs):
    # Rises at cycles 3 and 11: minus 1 and minus 2 come out.
    assert count_edges(programs.witness, levels([(5, 3), (5, 3)])) == [0xFFFFFFFF, 0xFFFFFFFE]


def test_a_pin_that_is_high_at_the_start_is_no_edge(programs):
    assert count_edges(programs.witness, [1] * 20 + [0] * 5 + [1] * 8) == [0xFFFFFFFF]
    assert count_edges(programs.witness, [1] * 50) == []


@pytest.mark.parametrize("high", range(1, 9))
@pytest.mark.parametrize("low", range(1, 9))
def test_the_shortest_pulse_it_counts(programs, high, low):
    got = count_edges(programs.witness, levels([(high, low)] * 20))
    if high + low >= PERIOD_MIN:
        assert got == minus(range(1, 21))
    else:
        assert len(got) < 20


@settings(derandomize=True, database=None, deadline=None, max_examples=200)
@given(
    pulses=st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), max_size=60),
    lead=st.integers(2, 9),  # it looks from cycle 1 on
)
def test_any_train_above_the_minimum_is_counted(programs, pulses, lead):
    assume(all(high + low >= PERIOD_MIN for high, low in pulses))
    got = count_edges(programs.witness, levels(pulses, lead))
    assert got == minus(range(1, len(pulses) + 1))


def test_the_count_wraps_at_32_bits(programs):
    # As after 2**32 - 2 edges: x is 2, the program at its wait for a low level.
    start = State(program_counter=1, x_register=2)
    got = count_edges(programs.witness, levels([(3, 3)] * 4), start=start)
    assert got == [1, 0, 0xFFFFFFFF, 0xFFFFFFFE]


def test_a_late_dma_loses_no_edge(programs):
    # Nobody empties the FIFO for ten pulses: the first four values wait there, the pushes of the
    # others are dropped, and the next one tells the whole count again.
    train = levels([(3, 3)] * 11)
    got = count_edges(programs.witness, train, drained_from=3 + 10 * 6)
    assert got == minus([1, 2, 3, 4, 11])


def test_the_step_generators_pulses_are_far_above_the_minimum(programs):
    cycles = SYSTEM_HZ // programs.generator.SM_HZ  # of the witness, for one of the generator
    high = 10 * cycles  # test_step_program.py
    low = (5 * programs.tick.WORD_MIN - 10) * cycles
    assert high == low == 250
    assert min(high, low) > 10 * PERIOD_MIN
