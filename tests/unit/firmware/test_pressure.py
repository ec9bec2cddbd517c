"""Pressure from force: by hand, then over any sequence of pressures."""

from __future__ import annotations

import importlib.util
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doseloop import resources

pressure = resources.firmware_module("pressure")
_spec = importlib.util.spec_from_file_location(
    "hydraulics", resources.sim_device_root() / "hydraulics.py"
)
assert _spec is not None and _spec.loader is not None
hydraulics = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(hydraulics)

# The reference board with a 50 mL syringe (tests/unit/data/test_compile.py has it by hand).
FORCE = {
    "gain_num": 500, "gain_den": 1, "zero": 3277, "least": 1000, "most": 62_000,
    "friction_mn": 3988, "area_um2": 555_298_571, "occlusion_pa": 60_000, "auto_restart": 0,
}  # fmt: skip
AL, CAPACITY = 173_530_803_503, 50 * 10**15


def meter(**changes):
    return pressure.Pressure({**FORCE, **changes}, CAPACITY, AL)


def test_by_hand():
    it = meter()
    assert it.pressure_pa(1) is None
    # 22,000 counts above zero at 500 a newton are 44 N; 44.000 - 3.988 N of friction on
    # 555.298571 mm² are 72,054.9 Pa; pulled back the friction helps: 47.988 N are 86,418.4 Pa
    assert it.take(3277 + 22_000)
    assert it.force_mn() == 44_000
    assert it.pressure_pa(1) == 40_012 * 10**9 // 555_298_571 == 72_054
    assert it.pressure_pa(-1) == 86_418
    assert it.pressure_pa(0) == 79_236
    # half of the way to a new reading
    it.take(3277)
    assert it.force_mn() == 22_000
    # what friction can do of itself: 3.988 N on that area
    assert it.jump_pa == 7181


def test_a_reading_that_is_no_force_is_not_taken():
    it = meter()
    for counts in (0, 999, 62_001, 65_535):
        assert not it.take(counts)
    assert it.force_mn() is None
    assert it.take(1000) and it.take(62_000)


def test_the_rise_is_followed_down_to_its_onset():
    # 64 levels of 937.5 Pa. Steady at 5,000 Pa until step 1000, then 100 Pa a step. Level 6 is
    # 5625: passed at step 1007 (5,700 Pa). In a closed line the softest syringe gives
    # 60,000 Pa * 50e15 aL / 1e6 / 64 / 173530803503 aL = 270 steps a level: each is nearer.
    it = meter()
    it.begin(0)
    for position in range(1001):
        assert it.look(5000, position, 1) is None
    codes = [it.look(5000 + 100 * n, 1000 + n, 1) for n in range(1, 551)]
    assert codes == [None] * 549 + ["A_OCCLUSION"]
    # Level 5 is 4687, passed at the beginning: no part of this rise. Level 6, less one more.
    # That is 7: 6562 Pa, and 6600 came at step 1016.
    assert it.rise(1550) == (1550 - 1016, 7 * 60_000 // 64)


def test_a_rise_that_nothing_explains_gives_nothing_back():
    # From 80 % of the threshold, where it stood for long, in one leap: no closed line does that.
    it = meter()
    it.begin(0)
    for position in range(0, 40_000, 100):
        it.look(48_000, position, 100)
    assert it.look(61_000, 40_000, 100) == "A_OCCLUSION"
    steps, rest_pa = it.rise(40_000)
    assert steps == 0 and rest_pa > 48_000


@pytest.mark.requirement("D9")
def test_a_fall_and_a_leap_are_told_from_what_friction_and_flow_do():
    # 7181 Pa is what friction can do. Two looks of 10 steps are 3.47 uL: in the stiffest syringe,
    # 20 * 173530803503 aL * 11e6 / 50e15 aL = 763 Pa
    it = meter()
    it.begin(0)
    falls = [it.look(pa, 10, 10) for pa in (20_000, 20_000, 12_819, 12_818)]
    assert falls == [None, None, None, "A_DISCONNECT"]
    it.again()
    leaps = [it.look(pa, 10, 10) for pa in (20_000, 20_000, 27_944, 27_945)]
    assert leaps == [None, None, None, "A_LEAP"]


def test_friction_that_breaks_away_is_no_fall():
    # 1.5 times the friction of sliding, and back to it: half of 7181 Pa
    it = meter()
    it.begin(0)
    for pa in (3590, 3590, 0, 0, 3590, 0):
        assert it.look(pa, 1, 1) is None


@given(
    st.lists(
        st.tuples(st.integers(-5_000, 140_000), st.integers(0, 400)), min_size=1, max_size=200
    ),
    st.integers(10_000, 137_895),
)
@pytest.mark.requirement("D6")
def test_whatever_the_pressures_no_more_is_given_back_than_went_in_since_the_onset(looks, most):
    """The onset, told apart from the code: the last look at which the pressure was no higher than
    where the back-off ends. Pressures in any order, steps in any number."""
    it = meter(occlusion_pa=most)
    it.begin(0)
    position, seen = 0, [(0, -(10**6))]
    for pa, steps in looks:
        position += steps
        code = it.look(pa, position, steps)
        assert (code == "A_OCCLUSION") == (pa * 64 // most >= 64)
        if code == "A_OCCLUSION":
            back, rest_pa = it.rise(position)
            onset = max(at for at, was in seen if was <= rest_pa)
            assert 0 <= back <= position - onset
            # ... and no more than the softest syringe there is can have stored
            stored = Fraction(most * CAPACITY, pressure.SOFT * AL)
            assert back <= stored + 64
            return
        seen.append((position, pa))
