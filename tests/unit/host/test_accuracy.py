"""The trumpet curve and error A: by hand, by the standard's own sum, and its bound for steps."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doseloop import accuracy
from doseloop.accuracy import SAMPLE_MS, WINDOWS_MIN


def test_by_hand() -> None:
    # 60 an hour are half a unit a sample, 2 in 2 min. Two units come in the first minute, none in
    # the second: after 0, 0.5 ... 3 min 0, 1, 2, 2, 2, 2.5, 3.
    volumes = [Fraction(i, 2) for i in range(121)]
    volumes[1:4] = [Fraction(1), Fraction(2), Fraction(2)]
    assert accuracy.error_a(volumes, 60, SAMPLE_MS) == 0
    two = accuracy.trumpet(volumes, 60)[0]
    # From 0: 2 - 0, right. From 0.5 min: 2.5 - 1, -25 %. From 1 min: 3 - 2, -50 %. No window has
    # more than 2.
    assert (two.minutes, two.most, two.least) == (2, 0, Fraction(-50))


def test_the_example_of_a_step_stream() -> None:
    # 1 mL/h, 26.7 mm bore, 0.3125 um a step: 0.1745 uL; 2 min hold 191.0 steps of 33.3 uL.
    assert round(float(accuracy.step_bound(174_500_000_000, 10**15, 2)), 2) == 0.52


@pytest.mark.parametrize(("samples", "sample_ms"), [(61, 30_000), (200, 45_000)])
def test_what_does_not_fit_is_refused(samples: int, sample_ms: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        accuracy.trumpet(list(range(samples)), 1, sample_ms)


@given(st.lists(st.integers(0, 1000), min_size=62, max_size=130), st.integers(1, 10**6))
def test_it_is_the_sum_of_the_standard(flows: list[int], rate: int) -> None:
    # E(P) = max over j of S/P * sum of 100 * (Q_i - r) / r, with Q_i = 60 * dW_i / S.
    volumes = [0]
    for flow in flows:
        volumes.append(volumes[-1] + flow)
    q = [Fraction(60 * flow * 60_000, SAMPLE_MS) for flow in flows]
    for window in accuracy.trumpet(volumes, rate):
        n = window.minutes * 2
        sums = [
            sum(100 * (each - rate) / rate for each in q[j : j + n]) / n
            for j in range(len(q) - n + 1)
        ]
        assert (window.most, window.least) == (max(sums), min(sums))


@given(st.integers(10**9, 10**12), st.integers(10**13, 10**16), st.integers(0, 10**9))
def test_an_exact_stream_stays_within_its_bound(al: int, rate: int, phase: int) -> None:
    period_ns = Fraction(al * 3600 * 10**9, rate)
    count = int(3_660 * 10**9 / period_ns)
    if count > 50_000:
        return
    edges = [phase + int(k * period_ns) for k in range(1, count + 1)]
    volumes = accuracy.samples_of_steps(edges, al, phase, 120)
    for window in accuracy.trumpet(volumes, rate):
        bound = accuracy.step_bound(al, rate, window.minutes)
        assert -bound <= window.least <= window.most <= bound
    assert [window.minutes for window in accuracy.trumpet(volumes, rate)] == list(WINDOWS_MIN)
