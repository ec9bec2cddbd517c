"""What a loss of power leaves, on real MicroPython and its file system: `make cuts` makes all."""

from __future__ import annotations

import pytest

from powercut.cuts import HISTORIES, SCENARIOS, Cuts, again, made, run

EVERY = {"boot": 1, "alarms": 1, "library": 61, "deploy": 61}  # the last have thousands


@pytest.mark.requirement("H6")
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_cut_leaves_the_old_or_the_new(name: str) -> None:
    found = Cuts()
    for _, cuts in made([(name, history) for history in range(HISTORIES)], EVERY.get(name, 5)):
        found.add(cuts)
    assert found.failed == []
    assert found.cuts > 100


@pytest.mark.parametrize("name", ["careless run", "careless deploy"])
def test_a_careless_order_of_writes_is_noticed_and_again_by_its_id(name: str) -> None:
    failed = run(name, 2, "1").failed
    assert failed
    mark, why = failed[0]
    assert again(mark) == [(mark, why)]
