"""PCA at instants other than 0, its record to the last integer, and what each refusal says."""

import json

import pytest
from unit.firmware.bench import errors
from unit.firmware.test_pca import HOUR, MIN, ML, ROOM, begun, made

from doseloop import resources

module = resources.firmware_module("pca")


def started_at(now, **changes):
    pca = made(**changes)
    pca.begin(now)
    return pca


# -- later than 0 ---------------------------------------------------------------------------------


def test_a_dose_cut_short_at_any_time():
    # 60 mL/h for 15.001 s: 0.25 mL and a millisecond's 16666666666.67 aL, floored
    for now in (1, 9 * MIN, 10**9):
        pca = started_at(0)
        assert pca.demand(now, ROOM)[1] is None
        assert pca.halt(now + 15_001) == ML // 4 + 16_666_666_666
        assert pca.running is False


def test_a_dose_at_a_rate_above_its_volume_gives_its_volume():
    # 2 mL at 1 mL/h last 2 h, longer than the rate's number alone would say
    pca = started_at(5, dose_al=2 * ML, dose_rate=ML, lockout_ms=2 * HOUR)
    assert pca.demand(6, ROOM)[0] == (2 * HOUR, 2 * ML)
    assert pca.as_dict(6 + 2 * HOUR)["given_nl"] == 2_000_000


def test_a_pump_that_stands_adds_nothing():
    pca = started_at(0)
    pca.halt(HOUR)
    assert pca.dump(2 * HOUR)[0][1][-1] == 0
    assert pca.as_dict(2 * HOUR)["used_nl"] == [1_000_000]


def test_a_record_made_while_the_second_dose_flows():
    # Doses of 1 mL at 7 and 14 min, a bolus of 0.5 mL in 30 s at 21 min; recorded 10 s into it:
    # 60 mL/h * 10 s = 0.1667 mL of it. The last demand was granted 7 min and 10 s ago.
    pca = started_at(0)
    for minute in (7, 14):
        assert pca.demand(minute * MIN, ROOM)[1] is None
    now = 21 * MIN
    assert pca.bolus(now, ML // 2, 60 * ML, ROOM)[1] is None
    record = pca.dump(now + 10_000)
    assert record[1:] == [7 * MIN + 10_000, [1, 2], [ML // 6, 2 * ML], [0] * 5]
    pca.halt(now + 10_000)
    assert pca.dump(now + 10_000)[1:] == record[1:]
    pca.begin(now + 20_000)
    assert pca.demand(now + 30_000, ROOM)[1] is None
    # 20 s later: the first two and a third of the third, on top of what was
    assert pca.dump(now + 50_000)[3] == [ML // 6, 2 * ML + ML // 3]
    view = pca.as_dict(now + 50_000)
    assert (view["given_nl"], view["bolus_nl"]) == (2_000_000, 166_666)
    assert {type(view[key]) for key in ("given_nl", "bolus_nl", "lockout_ms")} == {int}
    # restored at another pump time, the lockout goes on: 6 min less 20 s
    again = made()
    again.restore(json.loads(json.dumps(pca.dump(now + 50_000))), 123, 0)
    assert again.running is False
    assert again.as_dict(123)["lockout_ms"] == 6 * MIN - 20_000


def test_a_record_reaches_back_four_hours_whatever_the_limits():
    # 1 mL/h for 3 h and doses at 0 and 2 h under a limit of one hour: the next prescription, for
    # 4 h, knows all 5 mL
    pca = made(limits=[(HOUR, 8 * ML)])
    assert pca.running is False
    pca.begin(0)
    pca.demand(0, ROOM)
    pca.demand(2 * HOUR, ROOM)
    again = made()
    again.restore(pca.dump(3 * HOUR), 0, 0)
    assert again.as_dict(0)["used_nl"] == [5_000_000]


# -- what each refusal says -----------------------------------------------------------------------

NO_DOSE = ("E_VOLUME", "a dose has a volume and a rate", None, "give both")
LOWER = "lower the rate or the dose, or wait"


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({"dose_al": 0}, NO_DOSE),
        ({"dose_rate": 0}, NO_DOSE),
        ({"dose_rate": 300 * ML},
         ("E_RATE_HIGH", "basal and dose rate exceed the pump's", "299 mL/h",
          "lower the rate, or use a larger syringe")),
        ({"lockout_ms": 59_999},
         ("E_DURATION", "a dose outlasts the lockout", "1 min",
          "lengthen the lockout, or raise the dose rate")),
        ({"basal": 3 * ML},
         ("E_LIMIT", "basal rate alone exceeds a limit", "2.5 mL/h", LOWER)),
        # the nearest is 1 aL/h, which is something
        ({"basal": 2, "limits": [(HOUR, 1)]},
         ("E_LIMIT", "basal rate alone exceeds a limit", "0.000000001 nL/h", LOWER)),
        ({"dose_al": 7 * ML, "lockout_ms": HOUR},
         ("E_LIMIT", "dose and basal rate exceed a limit", "6 mL", LOWER)),
    ],
)  # fmt: skip
def test_what_can_never_work_is_said_in_words(changes, answer):
    with pytest.raises(errors.Refused) as caught:
        made(**changes)
    error = caught.value
    assert (error.code, error.message, error.limit, error.next) == answer
    assert error.nearest == error.limit


def test_what_can_not_be_now_is_said_in_words():
    pca = begun(basal=2 * ML)
    pca.bolus(0, 2 * ML, 60 * ML, ROOM)
    with pytest.raises(errors.Refused) as caught:
        pca.change_basal(1, ML)
    assert caught.value.message == "a dose is being given"
    assert caught.value.next == "wait for its end"
    # 2 mL of bolus, 2 of the first hour, 3 h of 2.25 mL/h: 10.75 mL in 4 h, of 10 mL allowed
    with pytest.raises(errors.Refused) as caught:
        pca.change_basal(HOUR, 2 * ML + ML // 4)
    error = caught.value
    assert (error.code, error.message, error.limit, error.nearest) == (
        "E_LIMIT", "what flowed leaves no room", "10 mL", None,
    )  # fmt: skip
    assert error.next.startswith("wait ")
    assert pca.basal == 2 * ML


def test_a_basal_rate_set_while_it_stands_is_judged_when_it_begins():
    # the same 10.75 mL: nothing flows now, so nothing is refused now
    pca = begun(basal=2 * ML)
    pca.bolus(0, 2 * ML, 60 * ML, ROOM)
    pca.halt(HOUR)
    pca.check_basal(HOUR, 2 * ML + ML // 4)
    pca.change_basal(HOUR, 2 * ML + ML // 4)
    with pytest.raises(errors.Refused) as caught:
        pca.begin(HOUR)
    assert caught.value.code == "E_LIMIT" and pca.running is False


def test_a_prescription_cut_short_by_a_reset_goes_on_unjudged_once():
    # 2 mL/h and a bolus of 2 mL fill the 10 mL; the grace of 12 min would be 0.4 mL too much.
    pca = begun(basal=2 * ML)
    pca.bolus(0, 2 * ML, 60 * ML, ROOM)
    again = made(basal=2 * ML)
    again.restore(pca.dump(HOUR), HOUR, 12 * MIN, True)
    again.begin(HOUR)
    again.halt(HOUR)
    with pytest.raises(errors.Refused):
        again.begin(HOUR)
    # at less than the basal rate it did not flow: that is judged
    pca.halt(HOUR, 2 * ML - 1)
    again.restore(pca.dump(HOUR), HOUR, 12 * MIN, True)
    with pytest.raises(errors.Refused):
        again.begin(HOUR)


def test_a_dose_tells_when_it_ends():
    pca = started_at(0)
    assert pca.dose_until is None
    pca.demand(5, ROOM)
    assert pca.dose_until == 5 + MIN
    pca.as_dict(5 + MIN)
    assert pca.dose_until is None


# -- beside a square bolus ------------------------------------------------------------------------


@pytest.mark.requirement("C10")
def test_a_suspended_one_that_is_faster_is_what_may_have_flowed():
    # 6 mL over 6 min are 60 mL/h; after 1 min, at 1 mL, a dose at 10 mL/h. Power fails within 72 s
    # of the last store: 72 s at 60 mL/h are 1.2 mL, 2.2 mL with the first.
    rules = module.Pca(0, ML, 10 * ML, 6 * MIN, [(HOUR, 20 * ML)], 300 * ML)
    rules.begin(0)
    assert rules.bolus(0, 6 * ML, 60 * ML, 50 * ML, True)[1] is None
    assert rules.demand(MIN, 50 * ML) == ((6 * MIN, 10 * ML), None)
    stored = rules.dump(MIN)
    rules.restore(stored, 0, 72_000)
    assert rules.as_dict(0)["used_nl"] == [2_200_000]
    assert rules.as_dict(0)["bolus_nl"] == 1_000_000


def beside(most):
    """Return rules after 1 mL at 0 and, from 1 min on, 6 mL over 30 min; so much in an hour."""
    rules = module.Pca(0, ML, 60 * ML, 6 * MIN, [(HOUR, most)], 300 * ML)
    rules.begin(0)
    assert rules.demand(0, 50 * ML)[1] is None
    assert rules.bolus(MIN, 6 * ML, 12 * ML, 50 * ML, True)[1] is None
    return rules


@pytest.mark.requirement("C13")
def test_when_a_demand_fits_beside_a_square_bolus():
    # 1 + 6 mL, and 1 more with the end of the lockout at 6 min: 8 mL within 32 min.
    assert beside(8 * ML).allowed_from(2 * MIN) == 6 * MIN
    # An attolitre less: when that much of the first has left the hour, which ends with the dose.
    assert beside(8 * ML - 1).allowed_from(2 * MIN) > 31 * MIN


@pytest.mark.requirement("C13")
def test_whether_a_limit_would_deny_while_a_dose_suspends_a_square_bolus():
    # At 11 min 1 + 2 mL have flowed; 1 mL over a minute then, and from 12 min on the last 4 mL. At
    # 11.5 min half of it has flowed: 3.5 mL, a dose and 4 mL.
    for most, denied in ((85 * ML // 10, False), (85 * ML // 10 - 1, True)):
        rules = beside(most)
        assert rules.bolus(11 * MIN, ML, 60 * ML, 50 * ML)[1] is None
        assert rules.limited(11 * MIN + MIN // 2) is denied
