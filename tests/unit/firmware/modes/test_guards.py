"""With any one guard taken away the checker finds a path that breaks a rule: no guard is idle."""

from __future__ import annotations

import pytest
from unit.firmware.modes import guards
from unit.firmware.modes.explorer import SEEDS, explore
from unit.firmware.modes.world import EVENTS


@pytest.mark.parametrize(
    "guard", guards.in_code(), ids=lambda g: f"{g[0]}-{g[1].split('.')[-1]}-{g[2]}"
)
def test_a_guard_taken_away_is_noticed(guard: tuple[str, str, int]) -> None:
    with guards.without(*guard):
        assert _broken(), f"{guard}: {guards.text_of(guard[0], guard[2])}"
    module, function, line = guard
    assert guards.text_of(module, line).startswith(("raise", "self.", "c.")), function


@pytest.mark.parametrize("request_", guards.in_table())
def test_a_request_that_every_state_answers_is_noticed(request_: str) -> None:
    assert request_ in {name.split()[0] for name in EVENTS}, "the checker never asks it"
    with guards.answered_everywhere(request_):
        assert _broken()


def test_with_all_guards_in_place_again_nothing_is_broken() -> None:
    assert not _broken(most=1)


def _broken(most: int = 2) -> bool:
    # Shallow first: most are found there.
    return any(
        explore(depth, seeds, configured).broken is not None
        for depth, seeds, configured in ((1, SEEDS, True), (4, ((),), False), (2, SEEDS, True))
        if depth <= most or not configured
    )
