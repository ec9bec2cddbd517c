"""Motion is finite: whatever the CPU last wrote, the motor stops within a second of its death.

The firmware's own dose loop, tick and generator run in MicroPython on the simulated board's engine
and are killed: no tick, no main, only DMA and PIO go on. What the finite chain then delivers is
also played by the step program, instruction by instruction.
"""

from __future__ import annotations

import random
from fractions import Fraction

import pytest
from oracle import al_per_step
from pio.emulator import CYCLES, PULL, STEP_PIN, step_machine

SECOND = 1_000_000  # ticks
AFTER = 20 * SECOND  # a ring that went round would replay within its 0.8 s
TICK_HZ = 1_000_000
ML_PER_H = Fraction(10**15 * 1, 3600 * TICK_HZ)  # aL a tick

# At 1 mL/h from the reference board's 50 mL syringe: 624,710.8 ticks a step.
PERIODS = {
    "1 step/min": Fraction(60 * SECOND),
    "1 mL/h": al_per_step("pico_tmc2209", "bd-plastipak-50") / ML_PER_H,
    "10000 steps/s": Fraction(100),
}


def test_period_of_the_reference_board():
    assert int(PERIODS["1 mL/h"]) == 624_710


def kill_instants(name):
    """Return instants to kill at: a random phase of tick, word and step, some with an edge due."""
    rnd = random.Random(name)
    if name == "1 step/min":
        step = 60 * SECOND
        near = [step - 1, step, step + 1, 2 * step - 150_000, 2 * step - 600_000, step - 799_999]
        return [0, *near, *(rnd.randrange(130 * SECOND) for _ in range(20))]
    if name == "1 mL/h":
        return [0, 1, 999, *(rnd.randrange(200 * SECOND) for _ in range(25))]
    return [0, 1, 99, *(rnd.randrange(2 * SECOND) for _ in range(6))]


def motion(name, dense=False, ramp_steps=0):
    period = PERIODS[name]
    return {
        "num": period.numerator,
        "den": period.denominator,
        "steps": 1_000_000,
        "hz": -(-TICK_HZ // int(period)),
        "dense": dense,
        "ramp_steps": ramp_steps,
    }


@pytest.mark.parametrize("name", PERIODS)
def test_a_dead_cpu_ends_the_motion(programs, device, name):
    period = PERIODS[name]
    for instant in kill_instants(name):
        run = device("kill", **motion(name), kill=instant, after=AFTER)
        edges = run["before"] + run["after"]
        # Every step that was fed, each at its ideal instant, once, and nothing after.
        assert run["fed"] == run["fed_later"] == len(edges), instant
        assert edges == [int(k * period) for k in range(1, len(edges) + 1)]
        assert all(edge - instant <= SECOND for edge in run["after"])
        assert run["dead"] == 1 and run["starved"] and run["idle"]


@pytest.mark.parametrize("name", PERIODS)
def test_half_a_second_is_queued_whenever_the_cpu_dies(device, name):
    # With a tick every millisecond, as on the chip: enough for a flash erase of 0.4 s, less than
    # the second after which nothing may move.
    rnd = random.Random("queue " + name)
    for _ in range(20):
        instant = rnd.randrange(2 * SECOND)
        run = device("kill", **motion(name, dense=True), kill=instant, after=AFTER)
        queued = run["rem"] + sum((w & 0x7FFF) + 4 for w in run["queue"])
        assert SECOND // 2 <= queued <= SECOND * 8 // 10 + 10_000


@pytest.mark.parametrize("name", PERIODS)
def test_the_step_program_stands_still_when_the_chain_has_ended(programs, device, name):
    instant = kill_instants(name)[-1]
    run = device("kill", **motion(name), kill=instant, after=AFTER)
    trace = step_machine(programs.step, run["queue"], leap=True)
    # The word under way at the death is the model's; what is behind it is the program's.
    own = [run["rem"] - 2] if run["pending"] else []
    edges = own + [run["rem"] + edge for edge in trace.edge_ticks()]
    assert [edge - instant for edge in run["after"]] == edges
    # For as long as nothing comes the machine waits at its pull with STEP low.
    end = trace.state
    later = step_machine(programs.step, [], start=end, until=end.clock + 20_000)
    assert later.stalled == 20_000
    assert (later.rises, later.irq_at) == ([], None)
    assert later.state.program_counter == PULL
    assert later.state.pin_values >> STEP_PIN & 1 == 0
    assert end.clock <= CYCLES * SECOND


@pytest.mark.parametrize("slot", [None, 510, 511, 0])
@pytest.mark.parametrize("name", PERIODS)
def test_death_between_any_two_writes_of_fill(device, name, slot):
    # Late enough that the control ring has gone round: every word of it but the terminator is a
    # stale count that must never be reached. The slots are the seam of that ring.
    instant = (2 if name == "10000 steps/s" else 150) * SECOND + 456_789
    run = device("deaths", **motion(name), kill=instant, after=AFTER, slot=slot, stop=False)
    assert slot is None or run["slot"] == slot
    words, at = run["words"], run["slot"]
    assert words == 20  # BLOCK_WORDS: 2 ms at 10,000 steps/s, waits of 0.2 s at a step a minute
    # Words first, then the terminator, then the count that publishes them: in this order only.
    writes = [death["wrote"] for death in run["deaths"]]
    assert [what for what, _, _ in writes[1:-2]] == ["ring"] * words
    assert writes[-2:] == [["ctrl", (at + 1) % 512, 0], ["ctrl", at, words]]
    assert_all_end(run, [run["before"]] * (words + 2) + [run["fed"]])


@pytest.mark.parametrize("instant", [1_700_000, 2_000_123, 2_345_678])
def test_death_between_any_two_writes_of_a_cut_for_the_stop_ramp(device, instant):
    case = motion("10000 steps/s", ramp_steps=2475)  # from 10,000 to 1,000 Hz at 20,000 Hz/s
    run = device("deaths", **case, kill=instant, after=AFTER, slot=None, stop=True)
    words, at = run["words"], run["slot"]
    # The queue ends behind the block being played before anything else is touched.
    writes = [death["wrote"] for death in run["deaths"]]
    assert writes[1] == ["ctrl", at, 0]
    assert [what for what, _, _ in writes[2:-2]] == ["ring"] * words
    assert writes[-2:] == [["ctrl", (at + 1) % 512, 0], ["ctrl", at, words]]
    assert_all_end(run, [run["before"]] + [run["cut"]] * (words + 2) + [run["fed"]])
    assert run["before"] - run["cut"] > 4000  # some half a second at this rate
    assert run["deaths"][1]["ends"] < 20_000


def assert_all_end(run, fed):
    """Check that each death ended within a second with just the steps fed by then."""
    assert run["same"], "bytecode and native code differ"
    for death, steps in zip(run["deaths"], fed, strict=True):
        assert death["dead"] == 1 and death["starved"], death
        assert death["last"] <= death["ends"] < SECOND, death
        assert run["made"] + death["edges"] == steps, death
