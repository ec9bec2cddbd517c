"""Legs whose every edge was worked by hand: cut short, with ramps, with a step all but due.

The properties are in test_leg.py. A microstep here holds 2001 aL, so that P = 1000.5 ticks is
an exact rate: 2001 * 3.6e9 / 1000.5 = 7.2e9 aL/h.
"""

import pytest
from unit.firmware import flow

from doseloop import resources

leg_module = resources.firmware_module("leg")
planner = resources.firmware_module("planner")
program = resources.firmware_module("program")

AL = 2001
P1000 = AL * 3_600_000  # aL/h: a step each 1000 ticks, 1000 Hz
P1000_5 = 7_200_000_000
FAST = 2 * P1000  # 2000 Hz
RAMP = planner.Ramp(1000, 20_000)  # 1000 to 2000 Hz: 75 steps in 50 ms (test_planner.py)


def leg_of(stretches, room=10**6, ramp=RAMP, phase=0):
    """Return (leg, items) of (kind, volume_al, rate); ``phase``: of the first."""
    items = [program.Item(kind, rate, volume, 0) for kind, volume, rate in stretches]
    rest = 0
    for item in items:
        rest = item.fix(rest, AL)
    items[0].phase_al = phase
    return leg_module.Leg(items, AL, room, ramp), items


def edges_of(leg):
    return flow.expand(leg.segments())


# -- what the syringe still holds -----------------------------------------------------------------

TWO = [("infuse", 3 * AL, P1000), ("infuse", 4 * AL, P1000)]


@pytest.mark.parametrize(
    ("room", "steps", "cut"),
    [(0, [0], True), (2, [2], True), (3, [3, 0], True), (5, [3, 2], True), (7, [3, 4], False)],
)
def test_room_for_so_many_steps_cuts_the_leg_there(room, steps, cut):
    leg, _ = leg_of(TWO, room)
    assert [s.steps for s in leg.stretches] == steps
    assert (leg.cut, leg.steps) == (cut, sum(steps))
    assert edges_of(leg) == [1000 * k for k in range(1, sum(steps) + 1)]


def test_a_leg_knows_its_items_their_way_and_its_fastest_rate():
    leg, items = leg_of([("withdraw", 3 * AL, P1000), ("withdraw", 4 * AL, P1000 // 2)])
    assert [s.item for s in leg.stretches] == items
    assert (leg.way, leg.max_hz) == (-1, 1000)
    assert leg_of([("infuse", AL, P1000 // 4000)])[0].max_hz == 1  # a step in 4 s
    assert leg_of([("infuse", AL, P1000 // 1000 + 1)])[0].max_hz == 2  # rounded up


# -- ramps ----------------------------------------------------------------------------------------


def test_a_ramp_up_a_constant_part_and_a_ramp_down():
    # 200 steps at 2000 Hz: 75 up in 50 ms, 50 of 500 ticks, 75 down in 50 ms.
    leg, _ = leg_of([("infuse", 200 * AL, FAST)])
    (stretch,) = leg.stretches
    assert stretch.fast is True
    assert stretch.up == RAMP.up(75) and stretch.down == stretch.up[::-1]
    assert stretch.t0 == 50_000
    edges = edges_of(leg)
    assert edges[74:125] == [50_000 + 500 * k for k in range(51)]
    assert (len(edges), edges[-1]) == (200, 125_000)
    # A stop runs down from the fastest rate: the ramp up, backwards.
    assert leg.stop_ramp == planner.ramp_segments(RAMP.up(75)[::-1])


def test_at_the_pull_in_rate_there_is_no_ramp():
    leg, _ = leg_of(TWO)
    assert [(s.fast, s.up, s.down) for s in leg.stretches] == [(False, [], [])] * 2
    assert leg.stop_ramp == []


def test_a_stretch_too_short_for_the_whole_ramp_gets_a_lower_peak():
    # 9 steps: 4 up in 3851 ticks, 5 down in 4772 (sqrt(1000**2 + 5 * 40000) = 1095.45 Hz).
    leg, _ = leg_of([("infuse", 9 * AL, FAST)])
    (stretch,) = leg.stretches
    assert (stretch.up, stretch.down) == ([(4, 3851)], [(5, 4772)])
    edges = edges_of(leg)
    assert (edges[3], edges[8]) == (3851, 3851 + 4772)
    # 1 step is all down: (sqrt(1000**2 + 40000) - 1000) / 20000 s = 990.2 us
    leg, _ = leg_of([("infuse", AL, FAST)])
    assert (leg.stretches[0].up, leg.stretches[0].down) == ([], [(1, 990)])
    assert leg.stretches[0].fast is True
    assert edges_of(leg) == [990]


def test_a_fast_stretch_between_slow_ones_keeps_the_time_line():
    # 2.5 steps of 1000 ticks end at 2500 with half a step held. A ramp begins anew there and takes
    # that half along: 75 steps to 52500, 50 to 77500, 75 to 127500, then 1000 ticks a step again.
    leg, _ = leg_of(
        [
            ("infuse", 5 * AL // 2, P1000),
            ("infuse", 200 * AL - 5 * AL // 2 % AL, FAST),
            ("infuse", 3 * AL, P1000),
        ]
    )
    assert [s.steps for s in leg.stretches] == [2, 200, 3]
    assert [s.t0 for s in leg.stretches] == [0, 52_499, 127_499]  # 2.4998 steps: 2001 is odd
    edges = edges_of(leg)
    assert edges[:2] == [1000, 2000]
    first = RAMP.up(75)[0]
    assert edges[2] == 2499 + first[1] // first[0]
    assert edges[2 + 74] == 52_499 and edges[2 + 124] == 77_499
    assert edges[2 + 199 :] == [127_499, 128_499, 129_499, 130_499]
    assert leg.stop_ramp == planner.ramp_segments(RAMP.up(75)[::-1])


# -- a step that is all but due -------------------------------------------------------------------


def test_a_first_step_that_is_all_but_due_waits_for_the_shortest_word():
    # 2000 of 2001 aL have flowed: due in half a tick, and comes after 4. Its stretch began at
    # 4 - 1000 then, floor(P), and goes on at -996 + floor(2001) and -996 + floor(3001.5).
    leg, _ = leg_of([("infuse", 3 * AL, P1000_5)], phase=AL - 1)
    assert edges_of(leg) == [4, 1005, 2005]
    assert leg.stretches[0].t0 == 4 - 1000


@pytest.mark.parametrize(
    ("kvo", "last"),
    [
        # 5 steps of 1000.5 ticks: the last edge at 5002
        ((5 * AL, P1000_5), 5002),
        # 200 steps with ramps, as above
        ((200 * AL, FAST), 125_000),
    ],
)
def test_a_step_all_but_due_when_kvo_ends_keeps_its_distance(kvo, last):
    # KVO leaves no part of a step, so its last edge lies at its end; the infusion goes on where
    # it was left, 1 aL before a step.
    leg, items = leg_of([("kvo", *kvo), ("infuse", 3 * AL, P1000)])
    items[1].phase_al = AL - 1
    leg = leg_module.Leg(items, AL, 10**6, RAMP)
    assert edges_of(leg)[-4:] == [last, last + 4, last + 1004, last + 2004]
