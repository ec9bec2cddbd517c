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
    # 60 mL/h: 0.1 mL would last 6 s; main has its 3 s, and the tick one of its own: 3.001 s.
    # 150 mL/h: 0.1 mL lasts 2.4 s, of which the tick may need its own.
    # 360 mL/h: 1 s; that is as little as main can do with.
    # 1440 mL/h: so here too: 1 s of the rate, four times as much.
    al, ml = 173530803503, 10**15
    for rate, lease, volume in (
        (60, 3_000_000, 60 * ml * 3001 // 3_600_000),
        (150, 2_399_000, ml // 10),
        (360, 999_000, ml // 10),
        (1440, 999_000, 4 * ml // 10),
    ):
        assert arith.lease_of(rate * ml) == lease
        assert arith.fault_volume(rate * ml, al) == volume + al


@pytest.mark.requirement("A17")
@given(rates, steps)
def test_a_single_fault_delivers_a_tenth_of_a_millilitre_or_a_second(rate, al):
    # IEC 60601-2-24: 0.1 mL or 1 s of the rate, whichever is more.
    most = max(Fraction(10**14), Fraction(rate, 3600))
    assert arith.fault_volume(rate, al) - al <= most
    # Neither the queue alone nor the lease and a tick may be more than what is said.
    said = arith.fault_volume(rate, al)
    assert said >= arith.volume_in(arith.QUEUE_TICKS, rate) + al
    assert said >= arith.volume_in(arith.lease_of(rate) + 1000, rate) + al


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
