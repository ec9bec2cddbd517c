"""The tables of states and error codes are closed."""

import re

import pytest
from unit.firmware.bench import Bench, configuration

from doseloop import resources

states = resources.firmware_module("states")


def test_the_table_of_states_is_closed_and_every_state_can_be_reached():
    for _, after, _ in states.TABLE.values():
        assert set(after) <= set(states.TABLE)
    known = {states.SELFTEST, states.INTERRUPTED}  # where a boot may begin
    while True:
        more = known | {then for state in known for then in states.TABLE[state][1]}
        if more == known:
            break
        known = more
    assert known == set(states.TABLE)
    names = (
        "selftest idle ready infusing withdrawing bolus priming kvo paused alarm interrupted"
        " maintenance fault"
    )
    assert known == set(names.split())


def test_what_moves_may_always_stop_and_alarm():
    for state in states.TABLE:
        if states.moving(state):
            assert states.may_follow(state, states.ALARM)
            assert states.may_follow(state, states.IDLE)


def test_a_change_that_the_table_does_not_hold_is_a_fault():
    controller = Bench(configuration()).controller
    assert not states.may_follow(states.IDLE, states.INFUSING)
    with pytest.raises(RuntimeError):
        controller._go(states.INFUSING)
    assert controller.state == states.IDLE


def test_every_command_and_state_says_what_it_is_for():
    commands, words = map(resources.firmware_module, ("commands", "words"))
    assert set(words.STATES) == set(states.TABLE) and all(words.STATES.values())
    assert set(words.HELP) == set(commands.TABLE) and all(words.HELP.values())


def test_every_error_code_used_has_a_next_step():
    used = set()
    for file in (resources.firmware_root() / "pump").rglob("*.py"):
        raised = r'(?:Refused|WireError|QuantityError)\(\s*"(E_[A-Z_]+)"'
        used |= set(re.findall(raised, file.read_text(encoding="utf-8")))
    assert len(used) > 12
    assert used <= set(resources.firmware_module("next_steps").NEXT)
