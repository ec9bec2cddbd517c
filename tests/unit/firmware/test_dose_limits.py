"""Orders held against the drug library: hard limits always, soft ones unless overridden."""

import json
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from unit.firmware.bench import Bench, configuration, errors
from unit.firmware.drugs import (
    DRUG,
    ML,
    MORPHINE,
    OVERRIDE,
    ask,
    library,
    loaded,
    plan,
)
from unit.firmware.test_confirm import confirm, refusal

HOUR = 3_600_000


def infuse(rate=2 * ML, volume=4 * ML):
    return {"mode": "infuse", "rate_al_per_h": rate, "volume_al": volume}


def bolus(volume=ML, rate=30 * ML):
    return {"mode": "bolus", "rate_al_per_h": rate, "volume_al": volume}


def pca(**changes):
    return {
        "mode": "pca",
        "basal_al_per_h": ML,
        "dose_al": ML,
        "dose_rate_al_per_h": 60 * ML,
        "lockout_ms": 360_000,
        "limit_4h_al": 20 * ML,
        "duration_ms": 4 * HOUR,
        **changes,
    }


def started(steps, drug=DRUG, **more):
    bench = loaded()
    plan(bench, steps, drug, **more)
    ask(bench, "start")
    return bench


@pytest.mark.requirement("I1")
def test_a_hard_limit_by_hand():
    # 4 mg/h at 1 mg/mL = 4 mL/h, exactly allowed with an override; an aL/h more never is.
    bench = loaded()
    for drug in (DRUG, {**DRUG, **OVERRIDE}):
        found = refusal(plan, bench, [infuse(4 * ML + 1)], drug)
        assert (found.code, found.limit, found.nearest) == ("E_HARD_LIMIT", "4 mL/h", "4 mL/h")
        assert found.message == (
            "rate 4.000000000000001 mL/h is above the hard limit of ward/morphine-1"
        )
        low = refusal(plan, bench, [infuse(ML // 2 - 1)], drug)
        assert (low.code, low.nearest) == ("E_HARD_LIMIT", "0.5 mL/h")
        assert bench.controller.state == "idle"
    plan(bench, [infuse(4 * ML)], {**DRUG, **OVERRIDE})
    plan(bench, [infuse(ML // 2)], {**DRUG, **OVERRIDE})


@pytest.mark.requirement("I2")
def test_a_soft_limit_by_hand_and_its_override_stays_marked():
    bench = loaded()
    for rate in (3 * ML + 1, ML - 1):
        assert refusal(plan, bench, [infuse(rate)]).code == "E_SOFT_LIMIT"
    plan(bench, [infuse(3 * ML)])
    plan(bench, [infuse(ML)])
    plan(bench, [infuse(3 * ML + 1)], {**DRUG, **OVERRIDE})
    ask(bench, "start")
    (start,) = [event for event in bench.events.since(0, 99) if event["e"] == "start"]
    crc = bench.controller.library["crc"]
    assert start["library"] == (
        "ward/morphine-1 of Example 3 %s, override by Dr. Grey: tolerant patient" % crc
    )
    for now in (bench, bench.reboot()):
        run = now.status()["run"]
        assert (run["library"], run["override"]) == ("ward/morphine-1", "Dr. Grey")


@pytest.mark.requirement("I5")
def test_without_a_library_or_an_item_it_runs_and_shows_that():
    for bench in (loaded(), Bench(configuration())):
        plan(bench, [infuse(50 * ML)], None)
        ask(bench, "start")
        (start,) = [event for event in bench.events.since(0, 99) if event["e"] == "start"]
        assert start["library"] is None and bench.status()["run"]["library"] is None
        assert "override" not in bench.status()["run"]
    bench = started([infuse()])
    run = bench.status()["run"]
    assert run["library"] == "ward/morphine-1" and "override" not in run


@pytest.mark.requirement("I4")
def test_an_unknown_item_stays_stopped():
    assert refusal(plan, Bench(configuration()), [infuse()]).code == "E_LIBRARY"
    bench = loaded()
    for change in ({"item": "morphine-2"}, {"area": "theatre"}, {"concentration": None},
                   {"concentration": ["units", 1000, 1]}):  # fmt: skip
        assert refusal(plan, bench, [infuse()], {**DRUG, **change}).code == "E_LIBRARY"
        assert bench.controller.state == "idle"


def test_concentration_by_hand():
    # hard from 1 mg/mL to 5, soft from 1: exactly 1 and 5 are within.
    bench = loaded()
    for num, den, code in (
        (10**6, 1, None), (5 * 10**6, 1, None), (10**6 - 1, 1, "E_HARD_LIMIT"),
        (5 * 10**6 * 7 + 1, 7, "E_HARD_LIMIT"), (5 * 10**6 * 7, 7, None),
    ):  # fmt: skip
        drug = {**DRUG, **OVERRIDE, "concentration": ["mass", num, den]}
        rate = 2 * ML * 10**6 * den // num  # 2 mg/h
        if code is None:
            plan(bench, [infuse(rate)], drug)
        else:
            found = refusal(plan, bench, [infuse(rate)], drug)
            assert found.code == code and found.nearest in ("1 mg/mL", "5 mg/mL")


def test_by_weight_by_hand():
    # 2 … 20 mcg/kg/min, 70 kg, 1.6 mg/mL: 5.25 … 52.5 mL/h. 3 mcg/kg/min of 70.1 kg is
    # 3 · 60 · 70.1 / 1600 mL/h = 7.88625 mL/h.
    rows = {"dose_rate": ["mass", "weight", 1, 120_000, None, None, None, 1_200_000]}
    bench = loaded(library({("icu", "dopamine"): rows}))
    drug = {"area": "icu", "item": "dopamine", "concentration": ["mass", 1_600_000, 1]}
    assert "weight" in refusal(plan, bench, [infuse(ML)], drug).message
    drug["weight"] = [70, 1]
    for rate, code in ((525 * ML // 100, None), (525 * ML // 100 - 1, "E_HARD_LIMIT"),
                       (525 * ML // 10, None), (525 * ML // 10 + 1, "E_HARD_LIMIT")):  # fmt: skip
        if code:
            assert refusal(plan, bench, [infuse(rate)], drug).code == code
        else:
            plan(bench, [infuse(rate)], drug)
    rows["dose_rate"][3] = 180_000
    bench = loaded(library({("icu", "dopamine"): rows}))
    drug["weight"] = [701, 10]
    plan(bench, [infuse(788625 * ML // 100000)], drug)
    found = refusal(plan, bench, [infuse(788625 * ML // 100000 - 1)], drug)
    assert found.nearest == "7.88625 mL/h"


ROWS = {
    "dose": ["volume", "", 1, ML, None, None, None, 10 * ML],
    "rate": ["volume", "", 1, None, None, None, None, 20 * ML],
    "duration": ["time", "", 1, None, None, None, None, 2 * HOUR],
}


@pytest.mark.requirement("C17")
@pytest.mark.parametrize(
    "steps, more, code",
    [
        ([infuse(10 * ML, 10 * ML)], {}, None),
        ([infuse(10 * ML, 5 * ML)] * 2, {}, None),
        ([infuse(10 * ML, 5 * ML), infuse(10 * ML, 5 * ML + 1)], {}, "dose"),
        ([infuse(10 * ML, 5 * ML)], {"repeat": 2}, None),
        ([infuse(10 * ML, 5 * ML)], {"repeat": 3}, "dose"),
        ([infuse(20 * ML, ML - 1)], {}, "dose"),
        ([infuse(4 * ML, 8 * ML)], {}, None),
        ([infuse(4 * ML, 8 * ML + 10**12)], {}, "duration"),
        ([{"mode": "intermittent", "rate_al_per_h": 20 * ML, "volume_al": 10 * ML,
           "every_ms": HOUR, "count": 9}], {}, None),
        ([{"mode": "intermittent", "rate_al_per_h": 20 * ML, "volume_al": 10 * ML + 1,
           "every_ms": HOUR, "count": 2}], {}, "dose"),
        ([{"mode": "ramp", "rate_al_per_h": ML, "rate_end_al_per_h": 20 * ML,
           "duration_ms": HOUR // 2}], {}, None),
        ([{"mode": "ramp", "rate_al_per_h": ML, "rate_end_al_per_h": 20 * ML + 1,
           "duration_ms": HOUR // 2}], {}, "rate"),
        ([infuse(10 * ML, 5 * ML)], {"kvo_al_per_h": 20 * ML}, None),
        ([infuse(10 * ML, 5 * ML)], {"kvo_al_per_h": 20 * ML + 1}, "rate"),
        # Without rows of its own a bolus is a dose: no way around them.
        ([bolus(10 * ML, 20 * ML)], {}, None),
        ([bolus(10 * ML + 1, 20 * ML)], {}, "bolus"),
        ([bolus(10 * ML, 20 * ML + 1)], {}, "bolus_rate"),
        ([{"mode": "withdraw", "rate_al_per_h": 30 * ML, "volume_al": ML},
          infuse(10 * ML, 5 * ML), {"mode": "pause", "duration_ms": 9 * HOUR}], {}, None),
    ],
)  # fmt: skip
def test_what_is_held_against_which_row(steps, more, code):
    bench = loaded(library({("a", "b"): ROWS}))
    drug = {"area": "a", "item": "b"}
    if code is None:
        plan(bench, steps, drug, **more)
    else:
        found = refusal(lambda: plan(bench, steps, drug, **more))
        assert found.code == "E_HARD_LIMIT" and found.message.startswith(code + " ")


@pytest.mark.parametrize(
    "change, kind",
    [
        ({}, None),
        ({"basal_al_per_h": 4 * ML + 1}, "rate"),
        ({"dose_al": 3 * ML + 1}, "bolus"),
        ({"dose_rate_al_per_h": 90 * ML + 1}, "bolus_rate"),
        ({"duration_ms": 24 * HOUR + 1}, "duration"),
    ],
)
def test_every_part_of_a_pca(change, kind):
    bench = loaded()
    if kind is None:
        plan(bench, [pca(**change)])
    else:
        found = refusal(plan, bench, [pca(**change)])
        assert found.code == "E_HARD_LIMIT" and found.message.startswith(kind + " ")


def test_the_hard_limit_is_named_before_the_soft_one():
    bench = loaded()
    found = refusal(plan, bench, [infuse(3 * ML + 1), infuse(5 * ML)])
    assert found.code == "E_HARD_LIMIT"


@pytest.mark.requirement("C17")
@pytest.mark.parametrize("again", [False, True])
def test_rate_changes_in_the_run_hold_against_it(again):
    bench = started([infuse(2 * ML)])
    bench.run_to(10_000_000)
    if again:  # what holds was kept with the run, whatever the flash holds now
        bench.storage.files.pop("drugs.a")
        bench = bench.reboot()
        ask(bench, "resume")
    for rate, code in ((3 * ML + 1, "E_SOFT_LIMIT"), (ML - 1, "E_SOFT_LIMIT"),
                       (4 * ML + 1, "E_HARD_LIMIT"), (1, "E_RATE_LOW")):  # fmt: skip
        found = refusal(lambda rate=rate: ask(bench, "rate", rate_al_per_h=rate))
        assert found.code == code
    assert bench.controller.rate() == 2 * ML
    confirm(bench, ask(bench, "rate", rate_al_per_h=3 * ML)["digest"])
    assert bench.controller.rate() == 3 * ML


@pytest.mark.requirement("I2")
def test_an_override_holds_for_the_run_and_never_beyond_hard():
    bench = started([infuse(2 * ML)], {**DRUG, **OVERRIDE})
    confirm(bench, ask(bench, "rate", rate_al_per_h=4 * ML)["digest"])
    assert bench.controller.rate() == 4 * ML
    assert refusal(lambda: ask(bench, "rate", rate_al_per_h=4 * ML + 1)).code == "E_HARD_LIMIT"
    assert bench.status()["run"]["override"] == "Dr. Grey"


@pytest.mark.requirement("C17", "C18")
@pytest.mark.parametrize("steps", [[infuse(2 * ML)], [pca()]])
def test_doses_on_top_hold_against_it(steps):
    bench = started(steps)
    bench.run_to(1_000_000)
    for volume, rate, code in (
        (3 * ML + 1, 60 * ML, "E_HARD_LIMIT"), (2 * ML + 1, 60 * ML, "E_SOFT_LIMIT"),
        (ML, 90 * ML + 1, "E_HARD_LIMIT"), (ML, 60 * ML + 1, "E_SOFT_LIMIT"),
        (ML, 10**22, "E_RATE_HIGH"),
    ):  # fmt: skip
        found = refusal(
            lambda v=volume, r=rate: ask(bench, "bolus_now", volume_al=v, rate_al_per_h=r)
        )
        assert found.code == code and found.nearest
        assert bench.controller.state == "infusing"
    given = ask(bench, "bolus_now", volume_al=ML, rate_al_per_h=60 * ML)
    assert given == {"volume_al": ML, "rate_al_per_h": 60 * ML}  # as asked: never lowered


@pytest.mark.requirement("C17")
def test_the_basal_rate_of_a_pca_and_a_square_bolus():
    bench = started([pca()])
    bench.run_to(1_000_000)
    assert refusal(lambda: ask(bench, "rate", rate_al_per_h=3 * ML + 1)).code == "E_SOFT_LIMIT"
    bench = started([infuse(2 * ML)])
    square = {"volume_al": 2 * ML + 1, "duration_ms": HOUR}
    assert refusal(lambda: ask(bench, "bolus_now", **square)).code == "E_SOFT_LIMIT"
    ask(bench, "bolus_now", volume_al=2 * ML, duration_ms=HOUR)


@pytest.mark.requirement("I7")
def test_another_drug_needs_the_run_to_end_and_a_new_start():
    bench = started([infuse(2 * ML)])
    bench.run_to(1_000_000)
    other = {**DRUG, "item": "other"}
    assert refusal(plan, bench, [infuse()], other).code == "E_STATE"
    ask(bench, "pause")
    assert refusal(plan, bench, [infuse()], other).code == "E_STATE"
    again = bench.reboot()
    assert again.controller.state == "interrupted"
    assert refusal(plan, again, [infuse()], other).code == "E_STATE"
    ask(again, "stop")
    plan(again, [infuse()])
    assert not again.dose.active  # a plan: it takes a start


def test_the_limits_of_the_plan_are_told():
    bench = loaded()
    plan(bench, [infuse()])
    limits = ask(bench, "library")["limits"]
    assert limits[1:3] == ["ward/morphine-1", None]
    assert limits[3]["rate"] == [ML // 2, ML, 3 * ML, 4 * ML]
    assert limits[3]["bolus_rate"] == [None, None, 60 * ML, 90 * ML]
    assert len(json.dumps(limits)) < 900  # a line
    plan(bench, [infuse()], None)
    assert ask(bench, "library")["limits"] is None


# -- property -------------------------------------------------------------------------------------

five = st.lists(st.integers(1, 40), min_size=5, max_size=5).map(sorted)
fractions = st.builds(Fraction, st.integers(1, 50), st.integers(1, 7))


@pytest.mark.requirement("I1", "I2")
@settings(max_examples=150)
@given(
    limits=five,
    holes=st.sets(st.integers(0, 4), max_size=4),
    over=st.integers(1, 9),
    body=st.sampled_from(["", "weight", "surface"]),
    size=fractions,
    strength=fractions,
    dose=st.fractions(Fraction(1, 9), 45, max_denominator=9),
    override=st.booleans(),
)
def test_random_libraries_and_orders(limits, holes, over, body, size, strength, dose, override):
    """dose: mg (kg) per h as ordered; the limits: the same in 1/over. All in fractions here."""
    numbers = [None if i in holes else limit for i, limit in enumerate(limits)]
    rows = {"dose_rate": ["mass", body, over, *[n and n * 10**6 for n in numbers]]}
    bench = loaded(library({("a", "b"): rows}))
    drug = {"area": "a", "item": "b",
            "concentration": ["mass", *(strength * 10**6).as_integer_ratio()]}  # fmt: skip
    if body:
        drug[body] = list(size.as_integer_ratio())
    if override:
        drug.update(OVERRIDE)
    per_mg = (size if body else 1) / strength * ML  # aL per mg (per kg)
    rate = int(dose * per_mg)
    assume(rate <= 4000 * ML)
    lh, ls, us, uh = (numbers[i] and Fraction(numbers[i], over) for i in (0, 1, 3, 4))
    hard = bool((lh and dose < lh) or (uh and dose > uh))
    soft = bool((ls and dose < ls) or (us and dose > us))
    steps = [{"mode": "infuse", "rate_al_per_h": rate, "duration_ms": HOUR}]
    try:
        plan(bench, steps, drug)
        ask(bench, "start")
        code = None
    except errors.Refused as refused:
        code = refused.code
    if hard:
        assert code == "E_HARD_LIMIT"
    elif soft and not override:
        assert code == "E_SOFT_LIMIT"
    else:
        assert code is None
    assert bench.dose.active == (code is None)
    if code is None:
        assert ("override" in bench.status()["run"]) == override


def test_the_property_sees_every_verdict():
    # The same as above by hand at one place: mg/h at 1 mg/mL, so that none of it is vacuous.
    bench = loaded()
    assert MORPHINE["dose_rate"][3:] == [500_000, 1_000_000, 2_000_000, 3_000_000, 4_000_000]
    for rate, code in ((ML // 4, "E_HARD_LIMIT"), (ML * 3 // 4, "E_SOFT_LIMIT"),
                       (ML * 7 // 2, "E_SOFT_LIMIT"), (ML * 5, "E_HARD_LIMIT")):  # fmt: skip
        assert refusal(plan, bench, [infuse(rate)]).code == code
