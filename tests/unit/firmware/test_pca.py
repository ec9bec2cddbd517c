"""PCA's rules by hand, what is refused at construction, and the record that survives a reset.

A session whose every answer was worked by hand is tests/vectors/pca.json (test_micropython.py).
"""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.firmware import windows
from unit.firmware.bench import errors

from doseloop import resources

pca_module = resources.firmware_module("pca")
quantity = resources.firmware_module("quantity")

ML = 10**15
MIN = 60_000
HOUR = 60 * MIN
ROOM = 50 * ML
USUAL = {
    "basal": ML,
    "dose_al": ML,
    "dose_rate": 60 * ML,
    "lockout_ms": 6 * MIN,
    "limits": [(240 * MIN, 10 * ML)],
    "rate_max": 300 * ML,
}


def made(**changes):
    return pca_module.Pca(**{**USUAL, **changes})


def begun(**changes):
    pca = made(**changes)
    pca.begin(0)
    return pca


def refusal(call, *arguments, **named):
    with pytest.raises(errors.Refused) as caught:
        call(*arguments, **named)
    error = caught.value
    return error.code, error.limit, error.nearest, error.next


def denied(pca, now):
    return {why: n for why, n in pca.as_dict(now)["denied"].items() if n}


# -- what can never work ----------------------------------------------------------------------


@pytest.mark.requirement("A13")
@pytest.mark.parametrize(
    ("changes", "code", "nearest"),
    [
        ({"dose_al": 0}, "E_VOLUME", None),
        ({"dose_rate": 0}, "E_VOLUME", None),
        # A13: 1 + 299.1 mL/h are more than 300; 299 are not
        ({"dose_rate": 2991 * ML // 10}, "E_RATE_HIGH", "299 mL/h"),
        ({"basal": 300 * ML}, "E_RATE_HIGH", None),
        # 1 mL at 60 mL/h lasts 60 s
        ({"lockout_ms": 59_999}, "E_DURATION", "1 min"),
        # 4 h of 2.6 mL/h are 10.4 mL; 10 mL / 4 h = 2.5 mL/h
        ({"basal": 26 * ML // 10}, "E_LIMIT", "2.5 mL/h"),
        # 10 mL - 4 h * 1 mL/h = 6 mL are left for a dose
        ({"dose_al": 7 * ML, "lockout_ms": HOUR}, "E_LIMIT", "6 mL"),
        # the basal rate fills the limit: no dose at all fits
        ({"basal": 25 * ML // 10}, "E_LIMIT", None),
        # a dose longer than the window: 10 min of 61 mL/h hold 10.1667 mL. Left are 5 mL less
        # 0.1667 mL of basal; 60 mL/h give them in 4 min 50 s
        (
            {"dose_al": 20 * ML, "lockout_ms": HOUR, "limits": [(10 * MIN, 5 * ML)]},
            "E_LIMIT",
            "4.833333333333333 mL",
        ),
    ],
)
def test_what_can_never_work_is_refused_with_the_nearest_that_does(changes, code, nearest):
    got = refusal(made, **changes)
    assert got[:3] == (code, nearest, nearest)
    assert got[3]


volumes = st.integers(1, 12 * ML) | st.sampled_from([ML, 2 * ML, 6 * ML])
rates = st.integers(1, 320 * ML) | st.sampled_from([60 * ML, 299 * ML])
basals = st.integers(0, 3 * ML) | st.sampled_from([0, ML])
limits = st.lists(
    st.tuples(st.integers(MIN, 5 * HOUR), st.integers(ML // 10, 20 * ML)), max_size=2
)


@given(basals, volumes, rates, st.integers(0, HOUR), limits)
def test_what_is_accepted_gives_its_first_dose_and_what_is_not_would_break_a_rule(
    basal, dose, rate, lockout, limits
):
    named = {**USUAL, "basal": basal, "dose_al": dose, "dose_rate": rate}
    named.update(lockout_ms=lockout, limits=limits)
    ms = -(-dose * HOUR // rate)
    fits = not windows.exceeded([], 0, [(ms, basal + rate)], basal, limits)
    try:
        pca = pca_module.Pca(**named)
    except errors.Refused as error:
        assert basal + rate > 300 * ML or lockout < ms or not fits
        if error.nearest is None:
            return
        kind = {"E_RATE_HIGH": "dose_rate", "E_DURATION": "lockout_ms"}.get(error.code)
        if kind is None:
            kind = "basal" if error.nearest.endswith("/h") else "dose_al"
        unit = {"basal": "rate", "dose_rate": "rate", "lockout_ms": "duration"}.get(kind, "volume")
        named[kind] = quantity.parse(error.nearest, unit)
        try:
            pca_module.Pca(**named)
        except errors.Refused as next_error:  # another rule, or the next limit: not this again
            assert (next_error.code, next_error.nearest) != (error.code, error.nearest)
        return
    assert basal + rate <= 300 * ML and lockout >= ms and fits
    pca.begin(0)
    assert pca.demand(0, 10**18) == ((ms, basal + rate), None)


# -- answers ----------------------------------------------------------------------------------


@pytest.mark.requirement("C9")
def test_c9_lockout_counts_from_the_start_of_the_last_accepted_dose():
    pca = begun()
    assert pca.demand(0, ROOM)[1] is None
    assert pca.allowed_from(2 * MIN) == 6 * MIN
    assert pca.demand(6 * MIN - 1, ROOM)[1] == "lockout"
    assert pca.as_dict(6 * MIN - 1)["lockout_ms"] == 1  # a demand in vain doesn't prolong it
    assert pca.demand(6 * MIN, ROOM)[1] is None


@pytest.mark.requirement("C10")
def test_c10_lockout_goes_on_through_pause_and_reset():
    pca = begun()
    pca.demand(0, ROOM)
    pca.halt(10_000)
    pca.begin(20_000)
    assert pca.demand(30_000, ROOM)[1] == "lockout"
    text = json.dumps(pca.dump(60_000))
    for now in (0, 60_000, 10**9):  # 5 min of it are left, wherever pump time goes on
        again = made()
        again.restore(json.loads(text), now, 1000)
        assert again.as_dict(now)["lockout_ms"] == 5 * MIN
        again.begin(now)
        assert again.demand(now + 5 * MIN - 1, ROOM)[1] == "lockout"
        assert again.demand(now + 5 * MIN, ROOM)[1] is None


@pytest.mark.requirement("C8")
def test_c8_what_an_interruption_cuts_off_is_never_given_by_itself():
    pca = begun()
    assert pca.demand(0, ROOM) == ((MIN, 61 * ML), None)
    # 15 s of 60 mL/h are 0.25 mL; with 1 mL/h of basal rate 61 mL/h * 15 s = 0.25416.. mL flowed
    assert pca.halt(15_000) == ML // 4
    assert pca.as_dict(15_000)["used_nl"] == [254_167]
    pca.begin(HOUR)
    # an hour of basal rate later: 1 mL more and nothing else
    assert pca.as_dict(2 * HOUR)["used_nl"] == [1_254_167]
    assert pca.as_dict(2 * HOUR)["given_nl"] == 250_000


@pytest.mark.requirement("C2")
def test_c2_a_dose_ends_by_itself_and_leaves_the_basal_rate():
    pca = begun()
    pca.demand(0, ROOM)
    # asked only an hour later: 1 mL of dose, 1 mL of basal rate
    assert pca.as_dict(HOUR)["used_nl"] == [2_000_000]
    assert pca.basal == ML


@pytest.mark.requirement("C2")
@pytest.mark.parametrize(
    ("call", "answer"),
    [
        (lambda pca: pca.halt(HOUR), None),
        (lambda pca: pca.change_basal(HOUR, ML), None),
        (lambda pca: pca.allowed_from(HOUR), HOUR),
        (lambda pca: pca.demand(HOUR, 0)[1], "volume"),
        (lambda pca: pca.dump(HOUR)[3], [0, ML]),
    ],
)
def test_c2_whatever_is_asked_first_finds_the_dose_ended_at_its_own_end(call, answer):
    pca = begun()
    pca.demand(0, ROOM)
    assert call(pca) == answer
    assert pca.as_dict(HOUR)["used_nl"] == [2_000_000]


@pytest.mark.requirement("C20")
def test_c20_a_dose_needs_its_volume_and_its_basal_rate_in_the_syringe():
    # 61 mL/h * 60 s = 1.01666.. mL
    need = 61 * ML // 60 + 1
    pca = begun()
    assert pca.demand(0, need - 1)[1] == "volume"
    assert pca.demand(0, need)[1] is None
    # without a basal rate exactly the dose
    assert begun(basal=0).demand(0, ML - 1)[1] == "volume"
    assert begun(basal=0).demand(0, ML)[1] is None


def test_the_smallest_dose_is_one():
    # 1 aL at 1 aL/h lasts an hour
    pca = begun(dose_al=1, dose_rate=1, lockout_ms=HOUR)
    assert pca.demand(0, ROOM) == ((HOUR, ML + 1), None)


@pytest.mark.requirement("C15")
def test_c15_c16_every_demand_is_counted_with_its_answer():
    pca = made(limits=[(HOUR, 2 * ML)])
    pca.demand(0, ROOM)
    pca.begin(0)
    pca.demand(0, 0)
    pca.demand(0, ROOM)
    pca.demand(1, ROOM)
    pca.demand(MIN, ROOM)
    pca.demand(10 * MIN, ROOM)
    assert denied(pca, 10 * MIN) == dict.fromkeys(pca_module.REASONS, 1)
    status = pca.as_dict(10 * MIN)
    assert (status["demands"], status["given"]) == (6, 1)


@pytest.mark.requirement("C7")
def test_c7_nothing_is_given_while_the_pump_stands():
    pca = begun()
    pca.halt(5)
    assert pca.demand(10, ROOM) == (None, "state")
    assert pca.bolus(10, ML, ML, ROOM) == (None, "state")
    assert pca.allowed_from(10) is None


@pytest.mark.requirement("C12", "C13", "C15")
def test_c12_c13_c15_the_worked_example_demand_by_demand():
    # 20 h, a demand every minute: 6 doses in each 4 h (10 mL less 4 mL of basal rate) are 30. Each
    # lasts to the next minute, and the 5 demands after that fall within the lockout of 6 min: 150.
    # All others meet the limit: 1200 - 30 - 150 = 1020.
    pca = begun()
    for now in range(0, 20 * HOUR, MIN):
        pca.demand(now, ROOM)
    assert pca.as_dict(now)["given"] == 30
    assert denied(pca, now) == {"lockout": 150, "limit": 1020}


@pytest.mark.requirement("C21")
@pytest.mark.parametrize("counts", [True, False])
def test_c21_a_clinicians_bolus_is_kept_apart_and_counts_as_set(counts):
    # limit 10 mL in 4 h, of which 4 are basal: after 5.5 mL of boluses no dose of 1 mL fits
    pca = begun(boluses_count=counts)
    assert pca.bolus(0, 55 * ML // 10, 110 * ML, ROOM) == ((3 * MIN, 111 * ML), None)
    assert pca.bolus(MIN, ML, 60 * ML, ROOM) == (None, "delivering")
    assert pca.demand(2 * MIN, ROOM) == (None, "delivering")
    assert pca.demand(4 * MIN, ROOM)[1] == ("limit" if counts else None)
    assert pca.bolus(6 * MIN, ML, 60 * ML, ROOM)[1] == ("limit" if counts else None)
    status = pca.as_dict(30 * MIN)
    assert status["boluses_count"] is counts
    assert (status["boluses"], status["bolus_nl"]) == (
        (1, 5_500_000) if counts else (2, 6_500_000)
    )
    assert (status["demands"], status["given"]) == (2, 0 if counts else 1)
    # 30 min of basal rate, and the bolus or the dose
    assert status["used_nl"] == [6_000_000 if counts else 1_500_000]


@pytest.mark.requirement("C21")
def test_c21_a_bolus_that_does_not_count_is_cut_short_like_any_other():
    pca = begun(boluses_count=False)
    pca.bolus(0, ML, 60 * ML, ROOM)
    assert pca.dump(30_000)[3] == [ML // 2, 0]
    assert pca.halt(30_000) == ML // 2
    assert pca.as_dict(30_000)["used_nl"] == [8334]  # 1 mL/h * 30 s


@pytest.mark.requirement("A13")
def test_a13_a_bolus_beyond_the_pump_is_refused():
    pca = begun()
    got = refusal(pca.bolus, 0, ML, 300 * ML, ROOM)
    assert got[:3] == ("E_RATE_HIGH", "299 mL/h", "299 mL/h")
    assert refusal(pca.bolus, 0, 0, ML, ROOM)[0] == "E_VOLUME"
    assert pca.bolus(0, ML, 299 * ML, ROOM)[0][1] == 300 * ML


@pytest.mark.requirement("C14")
def test_c14_a_refused_dose_says_from_when_it_fits():
    # 6 doses in 4 h, the first at 0: at 40 min the seventh has to wait for 240 min.
    pca = begun()
    for minute in range(0, 36, 6):
        assert pca.demand(minute * MIN, ROOM)[1] is None
    assert pca.allowed_from(30 * MIN + 1) is None  # the sixth is being given
    assert pca.demand(40 * MIN, ROOM)[1] == "limit"
    assert pca.allowed_from(40 * MIN) == 240 * MIN
    assert pca.demand(240 * MIN - 1, ROOM)[1] == "limit"
    assert pca.demand(240 * MIN, ROOM)[1] is None
    assert begun(lockout_ms=HOUR).allowed_from(7) == 7


# -- basal rate -------------------------------------------------------------------------------


@pytest.mark.requirement("C14")
def test_c14_a_basal_rate_that_no_window_has_room_for_is_refused_with_the_wait():
    # 2 mL/h for 4 h and a bolus of 2 mL are the 10 mL: full.
    pca = begun(basal=2 * ML)
    pca.bolus(0, 2 * ML, 60 * ML, ROOM)
    text = json.dumps(pca.dump(HOUR))
    again = made(basal=2 * ML)
    again.restore(json.loads(text), HOUR, 12 * MIN)
    code, limit, nearest, step = refusal(again.begin, HOUR)
    assert (code, limit, nearest) == ("E_LIMIT", "10 mL", None)
    # Known: 2 mL in the first 2 min, 2 mL of basal in the hour and 2 mL/h * 12 min = 0.4 mL in its
    # last ms. Standing 12 min makes up for the 0.4 mL.
    assert step == "wait 12 min"
    refusal(again.begin, HOUR + 12 * MIN - 1)
    again.begin(HOUR + 12 * MIN)
    again.begin(HOUR + 12 * MIN)  # twice changes nothing
    assert again.running


@pytest.mark.requirement("C14")
def test_c14_what_flows_instead_of_the_basal_rate_is_counted():
    pca = begun()
    pca.demand(0, ROOM)
    assert pca.halt(30_000, ML // 10) == ML // 2
    # 61 mL/h * 30 s + 0.1 mL/h * 1 h = 0.508333.. + 0.1 mL
    assert pca.as_dict(30_000 + HOUR)["used_nl"] == [608_334]
    assert pca.demand(30_000 + HOUR, ROOM) == (None, "state")


@pytest.mark.requirement("C13")
def test_c13_a_higher_basal_rate_is_judged_with_what_flowed_and_a_lower_one_never_refused():
    pca = begun()
    for minute in range(0, 36, 6):
        pca.demand(minute * MIN, ROOM)
    assert refusal(pca.change_basal, 30 * MIN + 1, ML)[0] == "E_STATE"  # a dose is being given
    assert refusal(pca.change_basal, 40 * MIN, ML + 1)[0] == "E_LIMIT"
    assert refusal(pca.change_basal, 40 * MIN, 3 * ML)[:3] == ("E_LIMIT", "2.5 mL/h", "2.5 mL/h")
    assert pca.basal == ML
    pca.change_basal(40 * MIN, ML // 2)
    assert pca.as_dict(100 * MIN)["used_nl"] == [6_000_000 + 666_667 + 500_000]
    pca.halt(100 * MIN)
    pca.change_basal(101 * MIN, 0)
    assert pca.as_dict(160 * MIN)["used_nl"] == [7_166_667]
    assert pca.basal == 0


@pytest.mark.requirement("A13")
def test_a_basal_rate_with_which_no_dose_could_be_given_is_refused_naming_the_highest():
    # 10 mL less a dose of 1 mL, in 4 h: 2.25 mL/h. 300 mL/h less 60: 240 mL/h (A13).
    pca = begun()
    high = refusal(pca.change_basal, 0, 23 * ML // 10)
    assert high[:3] == ("E_LIMIT", "2.25 mL/h", "2.25 mL/h")
    pca.change_basal(0, 9 * ML // 4)
    assert pca.demand(0, ROOM)[1] is None
    got = refusal(begun(limits=[]).change_basal, 0, 241 * ML)
    assert got[:3] == ("E_RATE_HIGH", "240 mL/h", "240 mL/h")


def test_a_restored_record_is_its_own():
    pca = begun()
    pca.demand(0, ROOM)
    data = pca.dump(MIN)
    copy = json.dumps(data)
    for _ in range(2):
        again = made()
        again.restore(data, 0, 0)
        again.begin(0)
        again.demand(0, ROOM)
        again.demand(6 * MIN, ROOM)
        again.halt(7 * MIN)
    assert json.dumps(data) == copy


@pytest.mark.requirement("C8", "C10")
def test_c8_c10_a_restored_pump_stands_whatever_it_did_before():
    pca = begun()
    data = pca.dump(0)
    pca.demand(0, ROOM)
    pca.restore(data, 10, 0)
    assert pca.demand(10, ROOM) == (None, "state")
    assert pca.as_dict(HOUR)["used_nl"] == [0]
    pca.begin(HOUR)
    assert pca.demand(HOUR, ROOM)[1] is None


def test_a_damaged_record_changes_nothing():
    pca = begun()
    pca.demand(0, ROOM)
    before = pca.dump(10)
    with pytest.raises(ValueError):
        pca.restore([None, *before[1:]], 10, 0)
    assert pca.running
    assert pca.dump(10) == before


# -- a square bolus ---------------------------------------------------------------------------


def squared(volume, minutes, **changes):
    """Return a session that has given a square bolus since 0."""
    pca = begun(**changes)
    rate = -(-volume * 60 // minutes)
    assert pca.bolus(0, volume, rate, ROOM, True) == ((minutes * MIN, ML + rate), None)
    return pca


@pytest.mark.requirement("C3", "C5")
def test_c3_a_square_bolus_and_the_dose_that_suspends_it():
    # 2 mL in 60 min. A dose of a minute at 10 min moves its end to 61 min.
    pca = squared(2 * ML, 60)
    assert pca.bolus(MIN, ML, 60 * ML, ROOM, True) == (None, "delivering")  # C5
    assert pca.demand(10 * MIN, ROOM) == ((MIN, 61 * ML), None)
    assert pca.bolus(10 * MIN + 1, ML, 60 * ML, ROOM) == (None, "delivering")
    assert pca.bolus(10 * MIN + 1, ML, 60 * ML, ROOM, True) == (None, "delivering")
    at_11 = pca.as_dict(11 * MIN)
    assert (at_11["given_nl"], at_11["bolus_nl"]) == (10**6, 0)
    assert pca.as_dict(61 * MIN - 1)["bolus_nl"] == 0
    assert pca.as_dict(61 * MIN)["bolus_nl"] == 2 * 10**6
    # 61 min of 1 mL/h, 1 mL and 2 mL: 4.016667 mL
    assert pca.as_dict(61 * MIN)["used_nl"] == [4_016_667]


@pytest.mark.requirement("C8")
def test_c8_both_are_cut_short():
    # 2 mL/h for 10 min, then 30 s of 60 mL/h: 1/3 mL and half a mL
    pca = squared(2 * ML, 60)
    pca.demand(10 * MIN, ROOM)
    assert pca.halt(10 * MIN + 30_000) == ML // 3 + ML // 2
    record = pca.as_dict(20 * MIN)
    assert (record["given_nl"], record["bolus_nl"]) == (500_000, 333_333)
    assert pca.halt(20 * MIN) is None
    pca.begin(20 * MIN)
    # 10.5 min of 1 mL/h, 5/6 mL, then 10 min of 1 mL/h
    assert pca.as_dict(30 * MIN)["used_nl"] == [-(-(205 * ML // 600 + 5 * ML // 6) // 10**9)]


@pytest.mark.requirement("C13")
def test_c13_beside_a_square_bolus_a_demand_waits_for_the_lockout_or_for_its_end():
    pca = squared(2 * ML, 60)
    assert pca.allowed_from(0) == 0 and not pca.limited(0)
    pca.demand(0, ROOM)
    assert pca.allowed_from(1) is None
    assert pca.allowed_from(2 * MIN) == 6 * MIN
    # given at 5 min of 6, it goes on to 7: the lockout outlasts it
    pca = squared(ML, 6)
    pca.demand(5 * MIN, ROOM)
    assert not pca.limited(5 * MIN + 1)  # 10 mL less 4 mL of basal, 2 mL given: 4 are left
    assert pca.allowed_from(6 * MIN + 1) == 11 * MIN
    # 5.5 mL in the hour and 4 mL of basal in 4 h leave half a mL. It takes 60/11 min for as much
    # to leave a window that ends with the dose: 239 min + 60/11 min = 14667272.7 ms
    pca = squared(55 * ML // 10, 60)
    assert pca.limited(0) and pca.limited(30 * MIN)
    assert pca.demand(30 * MIN, ROOM) == (None, "limit")
    assert pca.allowed_from(30 * MIN) == 14_667_273
    assert pca.demand(14_667_272, ROOM) == (None, "limit")
    assert pca.demand(14_667_273, ROOM)[1] is None
