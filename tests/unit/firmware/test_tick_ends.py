"""tick.py: the ways a motion ends - switch, stop input, drift, silence, death, stop ramp."""

import pytest
from unit.firmware import flow
from unit.firmware.int32 import Int32
from unit.firmware.tick_bench import (
    BIT30,
    MOST_LEASE,
    TickBench,
    duration,
    planner,
    stretch,
    t,
)

from doseloop import resources

leg_module = resources.firmware_module("leg")
program = resources.firmware_module("program")


@pytest.fixture(autouse=True, scope="module")
def narrow_integers():
    """Make the tick's casts give Int32: they read the 16-bit ring as viper's int does."""
    t.int = Int32
    yield
    del t.int


def running(hz=1000, seconds=2, **options):
    bench = TickBench(**options)
    bench.give(stretch(flow.Fraction(1_000_000, hz), hz * seconds))
    bench.launch()
    bench.play(most_ticks=300_000)
    assert bench.s[t.S_RUN]
    return bench


def test_end_switch_stops_by_the_register():
    bench = running()
    bench.s[t.S_END_MASK] = 1 << 29
    bench.s[t.S_END_INV] = 0
    bench.sio[0] = 1 << 29
    bench.tick()
    assert int(bench.pio[0]) == 0
    assert bench.s[t.S_FLAGS] & t.F_END and not bench.s[t.S_RUN]


def test_which_of_the_inputs_it_was_is_kept():
    # Bit 29 is high when hit; bit 13 is watched too and is not; bit 7 is not watched. Then bit 13
    # comes, and the first one goes: it was bit 29.
    bench = running()
    bench.s[t.S_END_MASK] = 1 << 29 | 1 << 13
    bench.s[t.S_END_INV] = 0
    bench.sio[0] = 1 << 29 | 1 << 7
    bench.tick()
    assert bench.s[t.S_FLAGS] & t.F_END
    bench.sio[0] = 1 << 13
    bench.tick()
    assert bench.s[t.S_END_MASK] == 1 << 29


def test_stop_input_ends_the_feeding():
    bench = running()
    bench.pio[12] = 1
    bench.tick()
    assert bench.s[t.S_FLAGS] & t.F_STOP and not bench.s[t.S_RUN]


SEND_BREAK = 0x2321  # bmRequestType 0x21, bRequest 0x23: the first bytes of the SETUP packet


@pytest.mark.parametrize(("high", "stops"), [(0xFFFF, True), (0, True)])
def test_a_break_stops_by_the_register(high, stops):
    bench = running()
    bench.usb[0] = (high << 16 | SEND_BREAK) - (1 << 32 if high >> 15 else 0)
    bench.tick()
    assert int(bench.pio[0]) == 0
    assert bench.s[t.S_FLAGS] == t.F_BREAK and not bench.s[t.S_RUN]


@pytest.mark.parametrize("setup", [0x000322A1 & 0x7FFFFFFF, 0x2221, 0x2021, 0x23A1, 0x0500, 0])
def test_other_requests_over_usb_stop_nothing(setup):
    bench = running()
    bench.usb[0] = setup
    bench.play(most_ticks=50_000)
    assert bench.s[t.S_RUN] and bench.s[t.S_FLAGS] == 0


def test_above_the_pull_in_rate_a_break_is_mains_to_answer():
    bench = running()
    bench.s[t.S_STOP_SEGS] = 3
    bench.usb[0] = SEND_BREAK
    bench.tick()
    assert bench.s[t.S_RUN] and int(bench.pio[0]) == 1
    assert bench.s[t.S_FLAGS] == t.F_BREAK, "main is woken by it"


def test_a_break_from_before_is_forgotten_and_nothing_else_is():
    bench = running()
    bench.usb[0] = SEND_BREAK
    t.forget_break(bench.s)
    assert int(bench.usb[0]) == 0
    bench.usb[0] = 0x2221
    t.forget_break(bench.s)
    assert int(bench.usb[0]) == 0x2221


@pytest.mark.requirement("A15")
@pytest.mark.parametrize("counted", [0, BIT30 - 301, BIT30 - 305])
@pytest.mark.parametrize(("lost", "stops"), [(10, False), (11, True)])
def test_drift_of_more_than_ten_steps_stops(counted, lost, stops):
    # 1000 steps/s for 0.3 s; the counters wrap around the time the steps are lost.
    bench = running(counted=counted)
    bench.model.lost_steps = lost
    bench.play(most_ticks=100_000)
    assert bool(bench.s[t.S_FLAGS] & t.F_DRIFT) == stops
    assert bool(int(bench.pio[0])) != stops


@pytest.mark.requirement("A15")
@pytest.mark.parametrize("counted", [0, BIT30 - 301])
def test_steps_from_nowhere_stop_too(counted):
    bench = running(counted=counted)
    bench.witness[0] = int(bench.witness[0]) - 12
    bench.tick()
    assert bench.s[t.S_FLAGS] & t.F_DRIFT


@pytest.mark.requirement("A17")
def test_a_silent_main_loop_ends_the_motion():
    bench = running(hz=100, seconds=60)
    end = bench.model.now + 10_000_000
    while bench.s[t.S_RUN] and bench.model.now < end:
        bench.model.advance(1000)
        bench.tick()
    assert bench.s[t.S_FLAGS] & t.F_LEASE
    over = bench.model.now
    assert over <= 300_000 + MOST_LEASE + 1_000 + 10_000  # a tick, and a word that is in play
    assert not int(bench.pio[0])  # the generator stands, whatever is queued
    bench.model.advance(5_000_000)
    assert bench.model.edges[-1] <= over


@pytest.mark.requirement("A17")
@pytest.mark.parametrize("hz", [1, 90, 1000, 10_000])
def test_a_dead_tick_leaves_less_than_a_second_and_replays_nothing(hz):
    bench = running(hz, 3)
    died = bench.model.now
    before = len(bench.model.edges)
    bench.model.advance(20_000_000)
    edges = bench.model.edges
    assert edges == [
        flow.due(0, k, flow.Fraction(1_000_000, hz)) for k in range(1, len(edges) + 1)
    ]
    assert len(edges) >= before
    assert edges[-1] <= died + 1_000_000 if edges else True
    bench.tick()  # it comes back too late: that is an underrun, not a motion that goes on
    assert bench.s[t.S_FLAGS] & t.F_UNDERRUN and not bench.s[t.S_RUN]


@pytest.mark.parametrize(
    ("khz", "at_ms", "offset"),
    [(2, 0, 0), (2, 37, 119), (3, 5, 20), (5, 11, 70), (10, 3, 100), (20, 0, 3), (20, 9, 120)],
)
def test_rewind_cuts_behind_the_block_in_play_and_runs_down(khz, at_ms, offset):
    hz = khz * 1000
    ramp = planner.Ramp(1000, 20_000)
    down = planner.ramp_segments(list(reversed(ramp.up(ramp.steps(hz)))))
    bench = TickBench(
        offset * 60, offset, BIT30 - 700, max(t.BLOCK_WORDS, hz * 2 // 1000), hz // 5000 + 2
    )
    for i, segment in enumerate(down):
        for j, value in enumerate(segment):
            bench.segs[i * t.SEG_WORDS + j] = value
    bench.s[t.S_STOP_SEGS] = len(down)
    p = flow.Fraction(1_000_000, hz)
    bench.give(stretch(p, hz * 2))
    bench.launch()
    bench.play(most_ticks=5_000 + at_ms * 1000)
    asked = bench.model.now
    bench._next = None
    bench.s[t.S_STOP_REQ] = 1
    fed, queued = int(bench.s[t.S_FED]), int(bench.s[t.S_QUEUED])
    while bench.s[t.S_STOP_REQ] == 1:
        bench.model.advance(1000)
        bench.tick()
        assert bench.model.now < asked + 20_000
    left = bench.queued_words()
    assert int(bench.s[t.S_QUEUED]) == sum(duration(word) for word in left)
    assert int(bench.s[t.S_QUEUED]) < queued or not down
    bench.play(most_ticks=3_000_000)
    assert bench.done() and int(bench.s[t.S_MADE]) == int(bench.s[t.S_FED])
    assert bench.model.made == (int(bench.s[t.S_FED]) - (BIT30 - 700)) % BIT30
    edges = bench.model.edges
    gaps = flow.intervals(edges)
    assert min(gaps) >= int(p)  # never faster than it was
    ramp_steps = ramp.steps(hz)
    assert gaps[-1] <= 1000  # down to the pull-in rate, not to a crawl
    assert down[-1][2] <= gaps[-1] <= down[-1][2] + 1  # the stop ramp's slowest piece
    assert len(edges) < (asked * hz // 10**6) + 30 * hz // 1000 + ramp_steps + 40
    assert fed > 0


@pytest.mark.parametrize("left", [1, 5, 40, 200, 590, 610, 665, 700, 754, 900])
def test_a_stop_near_the_end_makes_no_step_beyond_the_leg(left):
    # 2000 steps at 5 kHz with ramps of 600 steps up and down; the stop comes ``left`` steps early.
    al = 173530803503
    item = program.Item("infuse", 5000 * 3600 * al, 2000 * al, 0)
    item.fix(0, al)
    leg = leg_module.Leg([item], al, 10**9, planner.Ramp(1000, 20_000))
    segments = list(leg.segments())
    bench = TickBench(guard=3)
    for i, segment in enumerate(leg.stop_ramp):
        for j, value in enumerate(segment):
            bench.segs[i * t.SEG_WORDS + j] = value
    bench.s[t.S_STOP_SEGS] = len(leg.stop_ramp)
    bench.s[t.S_TOTAL] = leg.steps
    bench.give(segments)
    bench.launch()
    bench.play(most_ticks=flow.expand(segments)[2000 - left])
    bench._next = None
    bench.s[t.S_STOP_REQ] = 1
    bench.play(most_ticks=2_000_000)
    assert bench.done()
    assert bench.model.made == int(bench.s[t.S_FED])
    assert bench.model.made <= leg.steps
