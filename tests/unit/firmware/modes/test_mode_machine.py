"""All that can happen to a pump, to a depth: no path breaks a rule.

The table of the modes is firmware/pump/states.py, drawn in docs/modes.md; the rules are rules.py.
Deeper than here: `PYTHONPATH=tests python -m unit.firmware.modes 3`.
"""

from __future__ import annotations

import pytest
from unit.firmware.modes.explorer import SEEDS, explore
from unit.firmware.modes.rules import Watch
from unit.firmware.modes.world import World

from doseloop import resources


def walk(*path: str) -> Watch:
    watch = Watch(World())
    for event in path:
        watch.do(event)
    return watch


@pytest.mark.requirement("C7", "C8", "E7", "D7")
@pytest.mark.parametrize(
    ("depth", "seeds", "configured", "states"),
    [(3, ((),), True, 450), (2, SEEDS, True, 1400), (4, ((),), False, 3)],
    ids=["power-on", "therapy", "unconfigured"],
)
def test_no_path_breaks_a_rule(depth, seeds, configured, states, capsys) -> None:
    found = explore(depth, seeds, configured)
    with capsys.disabled():
        print(f"\n{found.states} states, {found.transitions} transitions, {depth} deep")
    assert found.broken is None, found.broken
    assert found.states >= states, "less is explored than was: is an event idle?"


# -- what the checker found ----------------------------------------------------------------------


@pytest.mark.requirement("B7")
def test_a_pause_of_the_orders_own_does_not_end_into_an_open_stop_input() -> None:
    # 40 steps at 100/s, then a pause of a second in which the stop input opens: nothing moves, so
    # nothing alarms. Its end would begin a motion.
    watch = walk("plan pauses", "start", "0.2 s", "0.2 s", "0.2 s", "stop opens")
    assert watch.world.bench.controller.state == "paused"
    watch.do("3 s")
    bench = watch.world.bench
    assert bench.controller.state == "alarm" and bench.alarms.stands("A_STOP_INPUT")
    assert watch.world.plunger() == 40 and not bench.pins.on
    for event in ("stop closes", "clear", "resume", "3 s"):
        watch.do(event)
    assert watch.world.plunger() == 80


@pytest.mark.requirement("D6", "F11")
@pytest.mark.parametrize("later", [(), ("50 ms",), ("50 ms", "50 ms"), ("3 s",)])
def test_a_reset_in_a_back_off_loses_no_step(later: tuple[str, ...]) -> None:
    watch = walk("plan fast", "start", "line blocked", "0.2 s", "0.2 s", "50 ms", "50 ms")
    assert watch.world.bench.controller.sensing._backing is not None
    for event in (*later, "reset", "line free", "clear", "resume"):
        watch.do(event)
    for _ in range(4):
        watch.do("3 s")
    bench = watch.world.bench
    assert bench.controller.state == "idle"
    # What was drawn back was pushed in again: all 900 steps are where they belong.
    assert watch.world.plunger() == 900 == bench.controller.run.witnessed


def test_the_table_and_the_drawing_have_the_same_states() -> None:
    table = resources.firmware_module("states").TABLE
    assert set(table) == set(resources.firmware_module("words").STATES)
