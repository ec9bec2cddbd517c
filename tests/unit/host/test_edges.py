"""Edge errors against a case worked by hand, then against random exact and disturbed traces."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from doseloop.errors import FileError
from doseloop.report import edges
from doseloop.results import Event

ML = 10**15


def stretch(n: int, t0: int, rate: int, steps: int, ms: int | None = None) -> Event:
    data = {"t0": t0, "rate": rate, "tick_hz": 10**6, "steps": steps, "dir": 1}
    data["al_per_step"] = 10**12
    return Event(n, 1, t0 // 1000 if ms is None else ms, "stretch", "1-1", data)


def ideal(event: Event) -> list[int]:
    data = event.data
    period = Fraction(data["al_per_step"] * 3600 * data["tick_hz"], data["rate"])
    return [(data["t0"] + int(k * period)) * 1000 for k in range(1, data["steps"] + 1)]


def test_by_hand():
    # 1 uL a step at 7 mL/h: P = 10^12 · 3600 · 10^6 / (7 · 10^15) = 514285.714… ticks.
    # Steps 1, 2, 3 after t0 = 100 are due at 514385, 1028671 and 1542957.
    event = stretch(1, 100, 7 * ML, 3)
    times = [514_385_000, 1_028_671_500, 1_542_956_000]
    found = edges.compare(times, [event])
    assert found.errors_ns == (0, 500, -1000)
    assert (found.worst_ns, found.tick_ns, found.excluded) == (1000, 1000, 0)


rates = st.integers(min_value=ML // 100, max_value=500 * ML)


@given(
    st.lists(st.tuples(rates, st.integers(1, 40), st.integers(0, 99)), min_size=1, max_size=5),
    st.integers(0, 10**9),
)
def test_an_exact_trace_has_no_error(parts, start):
    events, times, at = [], [], start
    for n, (rate, steps, phase) in enumerate(parts, 1):
        # The flow goes on between two steps: t0 lies up to a period before the last edge.
        period = 10**12 * 3600 * 10**6 // rate
        event = stretch(n, max(at - period * phase // 100, 0), rate, steps)
        events.append(event)
        times += ideal(event)
        at = times[-1] // 1000
    found = edges.compare(times, events)
    assert len(found.errors_ns) == len(times)
    assert found.worst_ns == 0
    assert found.excluded == 0


@given(rates, st.integers(2, 50), st.data())
def test_one_late_edge_is_found(rate, steps, data):
    event = stretch(1, 0, rate, steps)
    times = ideal(event)
    which = data.draw(st.integers(1, steps - 1))
    late = data.draw(st.integers(1, (times[1] - times[0]) // 3))
    times[which] += late
    found = edges.compare(times, [event])
    assert found.errors_ns[which] == late
    assert found.worst_ns == late


def test_what_a_pause_cut_off_is_not_expected():
    event = stretch(1, 0, 60 * ML, 100)  # one step in 60 ms
    times = ideal(event)[:10]
    cut = Event(2, 1, 610, "stretch_end", "1-1", {"steps": 10})
    resumed = stretch(3, 5_000_000, 60 * ML, 5)
    found = edges.compare([*times, *ideal(resumed)], [event, cut, resumed])
    assert len(found.errors_ns) == 15
    assert found.worst_ns == 0


def test_ramps_are_left_out():
    flat = stretch(2, 1_000_000, 60 * ML, 10)
    up = {"why": "up", "steps": 3, "ticks": 200_000, "to": 1_000_000}
    ramp = Event(1, 1, 800, "ramp", "1-1", up)
    times = [850_000_000, 900_000_000, 950_000_000, *ideal(flat)]
    found = edges.compare(times, [ramp, flat])
    assert (len(found.errors_ns), found.worst_ns, found.excluded) == (10, 0, 3)


def test_take_up_right_before_a_slow_stretch_is_left_out():
    # One step in 6 s; t0 lies 3 s before the motion begins, and the take-up just before that.
    slow = stretch(3, 1_000_000, 6 * ML // 10, 5, ms=4000)
    takeup = Event(2, 1, 3900, "takeup", "1-1", {"steps": 64})
    times = [3_900_000_000 + i * 1_000_000 for i in range(64)] + ideal(slow)
    found = edges.compare(times, [Event(1, 1, 0, "start", "1-1"), takeup, slow])
    assert (len(found.errors_ns), found.worst_ns, found.excluded) == (5, 0, 64)


def test_a_ramp_down_before_a_slow_stretch_is_left_out():
    fast = stretch(2, 0, 3600 * ML, 10)  # one step in 1 ms
    down = Event(1, 1, 0, "ramp", "1-1", {"why": "down", "steps": 3, "ticks": 9000, "to": 0})
    slow = stretch(3, 15_000, 36 * ML, 5)  # one step in 100 ms, 60 ms of them flowed before
    slow.data["t0"] -= 60_000
    ramp = [13_000_000, 16_000_000, 19_000_000]
    found = edges.compare([*ideal(fast), *ramp, *ideal(slow)], [down, fast, slow])
    assert (len(found.errors_ns), found.worst_ns, found.excluded) == (15, 0, 3)


def test_a_pump_that_was_reset_counts_from_its_own_start():
    event = stretch(1, 100, 60 * ML, 10)
    times = [at + 77_000_000_000 for at in ideal(event)]
    assert edges.compare(times, [event]).worst_ns == 0


def test_no_edge_at_all():
    assert edges.compare([], [stretch(1, 0, ML, 5)]).errors_ns == ()


def test_a_damaged_trace_is_named(tmp_path):
    path = tmp_path / "trace.txt"
    path.write_text("1000 1\n2000\n")
    with pytest.raises(FileError, match=r"trace.txt:2"):
        edges.read_trace(path)
    with pytest.raises(FileError):
        edges.read_trace(tmp_path / "missing.txt")


def in_boot(boot: int, event: Event) -> Event:
    return replace(event, boot=boot)


def interrupted(boot: int) -> Event:
    return Event(2, boot, 0, "interrupted", "1-1", {"uncertain_steps": 60})


@given(
    st.lists(st.tuples(rates, st.integers(1, 40), st.integers(0, 40)), min_size=2, max_size=4),
    st.integers(1, 10**12),
)
def test_a_trace_over_resets_is_held_against_each_boot(parts, off_ns):
    # Each boot counts its ticks from zero; the power fails after some of the steps.
    events, times, begins, made = [], [], 0, 0
    for boot, (rate, steps, left) in enumerate(parts, 1):
        event = in_boot(boot, stretch(3, 5_000_000, rate, steps + left))
        events += [interrupted(boot), event] if boot > 1 else [event]
        times += [begins + at for at in ideal(event)[:steps]]
        made += steps
        # Off, and on again: 5 s of it at least, so never the instant of the next step.
        period = times[-1] - times[-2] if steps > 1 else 0
        begins = times[-1] + off_ns + 2 * period
    found = edges.compare(times, events)
    assert len(found.errors_ns) == made == len(times)
    assert found.worst_ns == 0


def test_a_late_edge_after_a_reset_is_found():
    first, second = stretch(1, 0, 60 * ML, 100), in_boot(2, stretch(3, 70_000, 60 * ML, 50))
    times = ideal(first)[:30] + [at + 9_123_456_789 for at in ideal(second)]
    times[40] += 2500
    found = edges.compare(times, [first, interrupted(2), second])
    assert len(found.errors_ns) == 80 and found.errors_ns[40] == found.worst_ns == 2500


def test_ramps_on_both_sides_of_a_reset_are_left_out():
    first, second = stretch(1, 0, 60 * ML, 100), in_boot(2, stretch(4, 70_000, 60 * ML, 50))
    stop = Event(2, 1, 1810, "ramp", "1-1", {"why": "stop", "steps": 3, "ticks": 9})
    ended = Event(3, 1, 1850, "stretch_end", "1-1", {"steps": 30})
    up = Event(3, 2, 50, "ramp", "1-1", {"why": "up", "steps": 2, "ticks": 9})
    ramp_down = [1_801_000_000, 1_802_000_000, 1_804_000_000]
    ramp_up = [9_000_000_000 + 50_000_000, 9_000_000_000 + 60_000_000]
    late = [at + 9_000_000_000 for at in ideal(second)]
    times = ideal(first)[:30] + ramp_down + ramp_up + late
    found = edges.compare(times, [first, stop, ended, interrupted(2), up, second])
    assert (len(found.errors_ns), found.worst_ns, found.excluded) == (80, 0, 5)
