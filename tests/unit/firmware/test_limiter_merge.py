"""Which two pieces of a long history become one, by hand. That it never counts less: test_limiter.

Kept here: three closed pieces, the first of which is the second before all flow. To merge two of
a ms at r and b ms at s costs, when the flow falls, (r - s) a b; when it rises, (s - r) a for as
long as the longest window, 1000 ms. What is merged flows at the mean, rounded up, never below s.
"""

import pytest

from doseloop import resources

limiter = resources.firmware_module("limiter")


@pytest.mark.parametrize(
    ("pieces", "kept"),
    [
        # 1 * 100 * 50 = 5000 and 4 * 50 * 30 = 6000: the first two, (900 + 400) / 150 = 8.7
        ([(100, 9), (50, 8), (30, 4)], [(150, 9), (30, 4)]),
        # 1 * 100 * 90 = 9000 and 3 * 90 * 20 = 5400: the last two, (720 + 100) / 110 = 7.5
        ([(100, 9), (90, 8), (20, 5)], [(100, 9), (110, 8)]),
        # 1 * 60 * 50 = 2 * 50 * 30: the older, (540 + 400) / 110 = 8.5
        ([(60, 9), (50, 8), (30, 6)], [(110, 9), (30, 6)]),
        # rises: 1 * 10 * 1000 and 1 * 20 * 1000; the mean is 1.7, but 2 flowed at its end
        ([(10, 1), (20, 2), (30, 3)], [(30, 2), (30, 3)]),
        # a rise, 20 * 100 * 1000, and a fall, 10 * 100 * 100: the fall, at its mean
        ([(100, 10), (100, 30), (100, 20)], [(100, 10), (200, 25)]),
    ],
)
def test_the_two_pieces_that_cost_least_become_one(monkeypatch, pieces, kept):
    monkeypatch.setattr(limiter, "PIECES_MAX", 3)
    made = limiter.Limiter([(1000, 1)])
    now = 0
    for ms, rate in pieces:
        made.flow(now, rate)
        now += ms
    made.flow(now, 2)
    lengths, rates = made.dump(now + 7)
    assert list(zip(lengths, rates, strict=True)) == [(1000, 0), *kept, (7, 2)]
    assert all(type(number) is int for number in lengths + rates)
