"""arith.py against a case by hand and against fractions."""

import math
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from unit.firmware import flow

from doseloop import resources

arith = resources.firmware_module("arith")
order = resources.firmware_module("order")

volumes = st.integers(1, 10**18)
rates = st.integers(1, 10**21)
durations = st.integers(1, 10**10)
steps = st.sampled_from(flow.AL_PER_STEP) | st.integers(1, 10**15)


@pytest.mark.requirement("A2")
def test_one_millilitre_an_hour_by_hand():
    # 50 mL syringe on the reference board: one microstep is 173 530 803 503 aL.
    # 1 mL = 10**15 aL;       10**15 / 173530803503 = 5762.66...     -> 5762 steps
    # P = 173530803503 * 3600 * 10**6 / 10**15 = 6247108926108 / 10**7 = 624710.8926108 ticks;
    #     both divided by 4: 1561777231527 / 2500000
    al, rate = 173530803503, 10**15
    assert arith.steps_of(10**15, al) == 5762
    assert arith.period(al, rate) == (1561777231527, 2500000)
    assert arith.rate_hz(al, rate) == 2  # 1.6007 steps/s, rounded up
    # 5 mL/h for 30 min: 2.5 mL; 2.5 mL in 30 min: 5 mL/h; 2.5 mL at 5 mL/h: 1 800 000 ms
    assert arith.volume_of(5 * 10**15, 1_800_000) == 25 * 10**14
    assert arith.rate_of(25 * 10**14, 1_800_000) == 5 * 10**15
    assert arith.duration_of(25 * 10**14, 5 * 10**15) == 1_800_000
    # one step at 1 mL/h is P, floored; back again, a little less than one step has flowed
    assert arith.ticks_of(al, rate) == 624710
    # 624710 * 10**15 / 3.6 * 10**-9 = 173530555555.55...
    assert arith.volume_in(624710, rate) == 173530555555


def test_square_roots_by_hand():
    assert [arith.isqrt(n) for n in (0, 1, 2, 3, 4, 8, 9, 15, 16)] == [0, 1, 1, 1, 2, 2, 3, 3, 4]
    assert arith.isqrt(10**24 - 1) == 10**12 - 1
    assert arith.isqrt(10**24) == 10**12


@pytest.mark.requirement("A2")
@given(volumes, rates, durations, steps)
@example(10**15, 10**15, 3_600_000, 173530803503)
def test_every_function_is_the_floor_of_the_exact_value(volume, rate, ms, al):
    assert arith.steps_of(volume, al) == math.floor(Fraction(volume, al))
    assert arith.volume_of(rate, ms) == math.floor(Fraction(rate) * Fraction(ms, 3_600_000))
    assert arith.rate_of(volume, ms) == math.floor(volume / Fraction(ms, 3_600_000))
    assert arith.duration_of(volume, rate) == math.floor(Fraction(volume, rate) * 3_600_000)
    assert arith.ticks_of(volume, rate) == math.floor(Fraction(volume, rate) * flow.HOUR_TICKS)
    assert arith.volume_in(ms, rate) == math.floor(Fraction(ms, flow.HOUR_TICKS) * rate)
    assert arith.rate_hz(al, rate) == math.ceil(Fraction(rate, al * 3600))


@pytest.mark.requirement("A17")
def test_what_a_single_fault_delivers_by_hand():
    # 60 mL/h: 0.1 mL would last 6 s; main has its 3 s, and 0.9 s of queue: 65 uL, and a step.
    # 100 mL/h: 0.1 mL lasts 3.6 s; less the queue main has 2.7 s. 0.1 mL, and a step.
    # 144 mL/h: 2.5 s, of which main has 1.6 s: as little as it can do with.
    # 1440 mL/h: so here too; ten times as much.
    al, ml = 173530803503, 10**15
    for rate, lease, volume in (
        (60, 3_000_000, 65 * ml // 1000),
        (100, 2_700_000, ml // 10),
        (144, 1_600_000, ml // 10),
        (1440, 1_600_000, ml),
    ):
        assert arith.lease_of(rate * ml) == lease
        assert order.fault_volume(rate * ml, al) == volume + al


@pytest.mark.requirement("A17")
@given(rates, steps)
def test_a_single_fault_delivers_a_tenth_of_a_millilitre_or_two_and_a_half_seconds(rate, al):
    # IEC 60601-2-24 wants 0.1 mL or 1 s of the rate, whichever is more: kept up to 144 mL/h.
    most = max(Fraction(10**14), Fraction(rate * 25, 36_000))
    assert order.fault_volume(rate, al) - al <= most
    if rate <= 144 * 10**15:
        assert order.fault_volume(rate, al) - al <= 10**14


@given(steps, rates)
def test_period_is_in_lowest_terms(al, rate):
    num, den = arith.period(al, rate)
    exact = flow.period(al, rate)
    assert (num, den) == (exact.numerator, exact.denominator)


@given(st.integers(0, 10**60) | st.integers(0, 10**9).map(lambda n: n * n))
@example(0)
@example(1)
@example((1 << 62) - 1)
def test_isqrt(n):
    assert arith.isqrt(n) == math.isqrt(n)
    assert arith.isqrt(n + 1) == math.isqrt(n + 1)
