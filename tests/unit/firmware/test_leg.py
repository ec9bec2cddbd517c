"""leg.Leg: stretches joined in phase, judged by the continuous flow in fractions."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.firmware import flow

from doseloop import resources

leg_module = resources.firmware_module("leg")
planner = resources.firmware_module("planner")
program = resources.firmware_module("program")
tick = resources.firmware_module("tick")

AL = 173530803503
NO_RAMP = planner.Ramp(200_000, 0)


def items(stretches):
    """Return order items with their steps fixed, of (volume_al, rate) stretches."""
    found = [program.Item("infuse", rate, volume, 0) for volume, rate in stretches]
    rest = 0
    for item in found:
        rest = item.fix(rest, AL)
    return found


def make(stretches, phase=0, room=10**9, ramp=NO_RAMP):
    found = items(stretches)
    found[0].phase_al = phase  # it is under way
    return leg_module.Leg(found, AL, room, ramp)


# 0.08 mL/h to 200 mL/h; up to 40 steps and any part of one
rates = st.integers(8 * 10**13, 2 * 10**17)
volumes = st.integers(1, 40 * AL)
titrations = st.lists(st.tuples(volumes, rates), min_size=1, max_size=50)


def test_two_stretches_by_hand():
    # 2.5 steps' volume at P = 1000 ticks (al * 3.6e9 / 1000 = 624 710 892 610 800 000 aL/h), then
    # as much again at P = 2000. Steps at 1000, 2000; the flow turns slower at 2500 with half a
    # step held: the rest of step 3 takes 1000 more: 3500, then 5500 and 7500 (5 steps in all).
    rate = AL * 3600 * 1000
    leg = make([(AL * 5 // 2, rate), (AL * 5 // 2 + 1, rate // 2)])
    assert [s.steps for s in leg.stretches] == [2, 3]
    assert flow.expand(leg.segments()) == [1000, 2000, 3500, 5500, 7500]
    # contracts.md: t0 of the second is where its step 0 would have been, 2500 - 1000
    assert [s.t0 for s in leg.stretches] == [0, 1500]


@given(titrations)
def test_edges_of_a_titration_follow_the_flow(stretches):
    total = sum(volume for volume, _ in stretches)
    leg = make(stretches)
    edges = flow.expand(leg.segments())
    assert leg.steps == len(edges) == total // AL
    assert sum(s.steps for s in leg.stretches) == leg.steps
    assert not leg.cut
    # t0 is floored, so is k P, and P's denominator may be past 2**30: each less than a tick early.
    # Nothing adds up over fifty stretches.
    for at, exact in zip(edges, flow.flow_edges(stretches, AL), strict=True):
        assert -3 < at - exact <= 1
    # and by contracts.md, from the t0 that the event tells
    k = 0
    for s in leg.stretches:
        p = flow.period(AL, s.rate)
        for i in range(1, s.steps + 1):
            assert flow.due(s.t0, i, p) - 1 <= edges[k] <= flow.due(s.t0, i, p)
            k += 1


@given(titrations, st.integers(0, AL - 1))
def test_a_phase_is_taken_up_where_it_was_left(stretches, phase):
    # The volume that flowed before counts towards the first step, and is not given twice.
    found = items([(stretches[0][0] + phase, stretches[0][1]), *stretches[1:]])
    found[0].phase_al = phase
    leg = leg_module.Leg(found, AL, 10**9, NO_RAMP)
    edges = flow.expand(leg.segments())
    want = list(flow.flow_edges(stretches, AL, phase))
    assert len(edges) == len(want)
    for at, exact in zip(edges, want, strict=True):
        # A first step that is all but due waits for the shortest word, and shifts what follows.
        assert -3 < at - exact <= 1 + tick.WORD_MIN


@pytest.mark.requirement("B7")
@given(titrations, st.integers(0, AL - 1), st.integers(0, 110))
def test_cut_by_what_the_syringe_still_holds(stretches, phase, percent):
    whole = make(stretches, phase)
    room = whole.steps * percent // 100
    leg = make(stretches, phase, room)
    assert leg.cut == (whole.steps > room)
    assert leg.steps == min(whole.steps, room)
    edges = flow.expand(leg.segments())
    assert edges == flow.expand(whole.segments())[: leg.steps]


@given(titrations, st.integers(0, AL - 1))
def test_every_number_fits_the_tick(stretches, phase):
    for n, first, q, r, d, e in make(stretches, phase).segments():
        assert 1 <= n < 1 << 30
        assert tick.WORD_MIN <= first <= (1 << 30) + 1
        assert 0 <= q < 1 << 30
        assert 0 <= r < d <= 1 << 30
        assert 0 <= e < d


@pytest.mark.parametrize("other", range(2))
def test_the_slowest_rate_beside_the_fastest(other):
    least, most = flow.rate_span(AL)
    pair = [(AL * 3 // 2, least), (AL * 3 // 2 + 1, most)]
    leg = make(pair if other else pair[::-1])
    gaps = flow.intervals([0, *flow.expand(leg.segments())])
    assert len(gaps) == 3
    assert tick.WORD_MIN <= min(gaps) <= max(gaps) <= flow.PERIOD_MAX + 2


fast = st.lists(st.tuples(st.integers(1, 4000), st.integers(100, 20_000)), min_size=1, max_size=6)


@settings(max_examples=60)
@given(fast)
def test_ramps_keep_the_totals_and_the_time_line(stretches):
    # steps and Hz: some stretches need a ramp (above 1000 Hz), some are too short for a full one
    ramp = planner.Ramp(1000, 20_000)
    plan = [(steps * AL, hz * AL * 3600) for steps, hz in stretches]
    leg = make(plan, ramp=ramp)
    edges = flow.expand(leg.segments())
    assert len(edges) == leg.steps == sum(steps for steps, _ in stretches)
    gaps = flow.intervals(edges)
    assert all(gap >= 10**6 // max(hz for _, hz in stretches) - 1 for gap in gaps)
    done = 0
    for s in leg.stretches:
        up, down = (sum(n for n, _ in pieces) for pieces in (s.up, s.down))
        flat = s.steps - up - down
        assert flat >= 0
        p = flow.period(AL, s.rate)
        for i in range(1, flat + 1):  # the constant part is exact from its declared t0
            assert edges[done + up + i - 1] == flow.due(s.t0, i, p)
        done += s.steps
    if leg.stop_ramp:
        rises = [segment[2] for segment in leg.stop_ramp]
        assert rises == sorted(rises)  # the up ramp, backwards: slowest last
