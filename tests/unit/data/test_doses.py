"""Doses (I9): cases worked by hand, an oracle in fractions, orders compiled from doses."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doseloop.boards import board_names, find_board
from doseloop.config import step_volume_al
from doseloop.dose_units import parse
from doseloop.doses import Doses
from doseloop.errors import FileError, UsageError
from doseloop.order import load_order
from doseloop.syringes import load_syringes

ML = 10**15  # aL
STEP_AL = sorted(
    step_volume_al(find_board(board), syringe)
    for board in board_names()
    for syringe in load_syringes().values()
)


def reader(concentration=None, weight=None, surface=None):
    given = {"concentration": concentration, "weight": weight, "surface": surface}
    return Doses(**{kind: text and parse(text, kind) for kind, text in given.items()})


def become(text, kind, **drug):
    return reader(**drug).read(("step", 0, kind), text, kind)


# Each worked with pencil and paper; the last column in mL/h or mL.
RATES = [
    # 5 mcg/kg/min · 70 kg = 350 mcg/min = 21,000 mcg/h = 21 mg/h; / 1.6 mg/mL = 13.125
    ("5 mcg/kg/min", {"concentration": "1.6 mg/mL", "weight": "70 kg"}, "13.125"),
    # 18 units/kg/h · 80 kg = 1440 units/h; / 50 units/mL = 28.8
    ("18 units/kg/h", {"concentration": "50 units/mL", "weight": "80 kg"}, "28.8"),
    # 2 mcg/kg/min · 70 kg · 60 = 8400 mcg/h; / 8 mg/mL = 8000 mcg/mL: 1.05
    ("2 mcg/kg/min", {"concentration": "8 mg/mL", "weight": "70 kg"}, "1.05"),
    # 0.1 mg/kg/h · 0.75 kg = 0.075 mg/h; / 0.5 mg/mL = 0.15
    ("0.1 mg/kg/h", {"concentration": "0.5 mg/mL", "weight": "750 g"}, "0.15"),
    # 50 mcg/min · 60 = 3000 mcg/h; / 200 mcg/mL = 15
    ("50 mcg/min", {"concentration": "200 mcg/mL"}, "15"),
    # 1 mg/h / 10 mcg/mL = 1000 / 10 = 100
    ("1 mg/h", {"concentration": "10 mcg/mL"}, "100"),
    # 10 ng/kg/min · 60 kg · 60 = 36,000 ng/h = 36 mcg/h; / 15 mcg/mL = 2.4
    ("10 ng/kg/min", {"concentration": "15 mcg/mL", "weight": "60 kg"}, "2.4"),
    # 1000 units/h / 100 units/mL = 10
    ("1000 units/h", {"concentration": "100 units/mL"}, "10"),
    # 2 milliunits/min · 60 = 120 milliunits/h = 0.12 units/h; / 10 units/L = 0.01 units/mL: 12
    ("2 milliunits/min", {"concentration": "10 units/L"}, "12"),
    # 25 mg/m2/h · 1.73 m2 = 43.25 mg/h; / 10 mg/mL = 4.325
    ("25 mg/m2/h", {"concentration": "10 mg/mL", "surface": "1.73 m2"}, "4.325"),
    # 2 g/h / 40 mg/mL = 2000 / 40 = 50
    ("2 g/h", {"concentration": "40 mg/mL"}, "50"),
    # 5 mmol/h / 0.4 mmol/mL = 12.5
    ("5 mmol/h", {"concentration": "0.4 mmol/mL"}, "12.5"),
    # 8 mEq/h / 40 mEq/L = 8 / 0.04 = 200
    ("8 mEq/h", {"concentration": "40 mEq/L"}, "200"),
    # 300 mcg/day / 2000 mcg/mL = 0.15 mL/day; / 24 = 0.00625
    ("300 mcg/day", {"concentration": "2000 mcg/mL"}, "0.00625"),
    # 0.5 mL/kg/h · 10 kg = 5: volume needs no concentration
    ("0.5 mL/kg/h", {"weight": "10 kg"}, "5"),
]
VOLUMES = [
    # 4 g / 100 mg/mL = 4000 / 100 = 40
    ("4 g", {"concentration": "100 mg/mL"}, "40"),
    # 1 mg/kg · 10 kg = 10 mg; / 4 mg/mL = 2.5
    ("1 mg/kg", {"concentration": "4 mg/mL", "weight": "10 kg"}, "2.5"),
    # 500 units / 100 units/mL = 5
    ("500 units", {"concentration": "100 units/mL"}, "5"),
    # 100 mg/m2 · 0.6 m2 = 60 mg; / 1 g/L = 1 mg/mL: 60
    ("100 mg/m2", {"concentration": "1 g/L", "surface": "0.6 m2"}, "60"),
    # 20 mL/kg · 3.2 kg = 64
    ("20 mL/kg", {"weight": "3.2 kg"}, "64"),
]
CASES = [("rate", *case) for case in RATES] + [("volume", *case) for case in VOLUMES]


@pytest.mark.requirement("I9")
@pytest.mark.parametrize(("kind", "text", "drug", "ml"), CASES, ids=[case[1] for case in CASES])
def test_i9_by_hand(kind, text, drug, ml):
    assert become(text, kind, **drug) == Fraction(ml) * ML


@pytest.mark.requirement("I9")
def test_i9_what_is_no_whole_attolitre_is_floored():
    # 1 mg/h / 3 mg/mL = 0.333… mL/h = 333333333333333.3 aL/h
    doses = reader("3 mg/mL")
    assert doses.read(("step", 1, "rate"), "1 mg/h", "rate") == 333_333_333_333_333
    assert doses.ordered[0].said == "step 2, rate: 1 mg/h (3 mg/mL) ≈ 0.333333 mL/h"
    assert doses.ordered[0].as_json() == {
        "where": "step 2, rate",
        "ordered": "1 mg/h",
        "basis": ["3 mg/mL"],
        "gives": "0.333333333333333 mL/h",
        "rate_al_per_h": 333_333_333_333_333,
    }


@pytest.mark.requirement("I9")
def test_i9_a_floor_to_a_round_number_is_still_not_called_equal():
    # (1e-6 + 1e-19) mL/kg/h · 1 kg = 1 nL/h and a ten-thousandth of an aL/h
    doses = reader(weight="1 kg")
    assert doses.read(("after", "kvo"), "0.0000010000000000001 mL/kg/h", "rate") == 10**9
    assert doses.ordered[0].said.endswith("(1 kg) ≈ 1 nL/h")


@pytest.mark.requirement("F7")
def test_f7_both_are_shown_to_the_technician():
    doses = reader("8 mg/mL", "70 kg")
    doses.read(("step", 0, "rate"), "2 mcg/kg/min", "rate")
    doses.read(("step", 0, "volume"), "10 mL", "volume")
    said = [dose.said for dose in doses.ordered]
    assert said == ["step 1, rate: 2 mcg/kg/min (70 kg, 8 mg/mL) = 1.05 mL/h"]


# The oracle: metres and kilograms apart, everything from the words. Nothing of the host's tables.
GRAMS = {"ng": -9, "mcg": -6, "mg": -3, "g": 0}
HOURS = {"min": Fraction(1, 60), "h": Fraction(1), "day": Fraction(24)}
# amount: (the concentration's unit to give it with, what one of it is in that amount)
OTHERS = {"units": "units", "milliunits": "units", "mmol": "mmol", "mEq": "mEq"}
AMOUNTS = [*GRAMS, *OTHERS]


def oracle_ml(number, amount, per, time, strength, strength_unit, kg, m2):
    """Return mL, or mL/h where there is a time."""
    quantity = Fraction(number)
    if amount in GRAMS:
        quantity *= Fraction(10) ** GRAMS[amount]
        strength = Fraction(strength) * Fraction(10) ** GRAMS[strength_unit]
    elif amount == "milliunits":
        quantity, strength = quantity / 1000, Fraction(strength)
    quantity *= {"": 1, "/kg": Fraction(kg), "/m2": Fraction(m2)}[per]
    return quantity / Fraction(strength) / (HOURS[time] if time else 1)


NUMBERS = st.decimals("0.001", "9999", places=3).map(
    lambda number: f"{number:f}".rstrip("0").rstrip(".")
)
PARTS = {
    "number": NUMBERS,
    "amount": st.sampled_from(AMOUNTS),
    "per": st.sampled_from(["", "/kg", "/m2"]),
    "strength": NUMBERS,
    "kg": NUMBERS,
    "m2": NUMBERS,
    "data": st.data(),
}


def _drawn(number, amount, per, time, strength, kg, m2, data):
    unit = data.draw(st.sampled_from([*GRAMS] if amount in GRAMS else [OTHERS[amount]]))
    doses = reader(f"{strength} {unit}/mL", f"{kg} kg", f"{m2} m2")
    exact_al = oracle_ml(number, amount, per, time, strength, unit, kg, m2) * ML
    text = f"{number} {amount}{per}" + (f"/{time}" if time else "")
    return doses, text, exact_al


@pytest.mark.requirement("I9")
@given(time=st.sampled_from(["min", "h", "day"]), **PARTS)
def test_i9_any_rate_loses_less_than_an_attolitre_an_hour_and_no_step_in_30_days(time, **parts):
    doses, text, exact = _drawn(time=time, **parts)
    rate = doses.read(("step", 0, "rate"), text, "rate")
    assert rate <= exact < rate + 1
    assert doses.ordered[0].exact == (exact == rate)
    # Round trip: 30 days of it, in steps of the smallest and the largest syringe.
    for al_per_step in (STEP_AL[0], STEP_AL[-1]):
        asked, given = exact * 720 // al_per_step, rate * 720 // al_per_step
        assert asked - given in (0, 1)


@pytest.mark.requirement("I9")
@given(**PARTS)
def test_i9_any_volume_loses_no_step_of_any_syringe(**parts):
    doses, text, exact = _drawn(time=None, **parts)
    volume = doses.read(("step", 0, "volume"), text, "volume")
    assert volume <= exact < volume + 1
    for al_per_step in STEP_AL:
        assert volume // round(al_per_step) == exact // round(al_per_step)


# What the dose needs and [drug] lacks, or counts otherwise.
LACKING = [
    ("5 mg/h", {}, "needs the concentration", 'add to [drug]: concentration = "… mg/mL"'),
    ("5 units/h", {}, "needs the concentration", 'concentration = "… units/mL"'),
    ("5 mmol/h", {}, "needs the concentration", 'concentration = "… mmol/mL"'),
    ("5 mg/kg/h", {"concentration": "1 mg/mL"}, "needs the weight", 'weight = "… kg"'),
    ("5 mg/m2/h", {"concentration": "1 mg/mL"}, "needs the surface", 'surface = "… m2"'),
    ("5 mL/kg/h", {"concentration": "1 mg/mL"}, "needs the weight", 'weight = "… kg"'),
    ("5 units/h", {"concentration": "1 mg/mL"}, "counts units", "both as units or both as mass"),
    ("5 mg/h", {"concentration": "1 units/mL"}, "counts mass", "both as mass or both as units"),
    ("5 mmol/h", {"concentration": "1 mEq/mL"}, "counts mmol", "both as mmol or both as mEq"),
    ("0.000000001 ng/day", {"concentration": "1 g/mL"}, "less than the pump", "order more"),
]


@pytest.mark.requirement("I9")
@pytest.mark.parametrize(("text", "drug", "message", "after"), LACKING)
def test_i9_what_is_missing_or_does_not_match_is_named(text, drug, message, after):
    with pytest.raises(UsageError) as caught:
        become(text, "rate", **drug)
    assert caught.value.code == "E_DOSE"
    assert f"'{text}'" in caught.value.message
    assert message in caught.value.message
    assert caught.value.next is not None
    assert after in caught.value.next


ORDER = """schema = 1
name = "A test"
[drug]
name = "dopamine"
concentration = "1.6 mg/mL"
weight = "70 kg"
surface = "1.8 m2"
[[step]]
mode = "infuse"
rate = "5 mcg/kg/min"
volume = "32 mg"
[[step]]
mode = "infuse"
volume = "0.5 mL/kg"
duration = "10 min"
[after]
kvo = "1 mcg/kg/min"
"""


@pytest.fixture
def load(tmp_path):
    def write(text):
        path = tmp_path / "order.toml"
        path.write_text(text, encoding="utf-8")
        return load_order(path)

    return write


@pytest.mark.requirement("B2")
def test_b2_an_order_in_doses_is_compiled_to_what_the_pump_knows(load):
    order = load(ORDER)
    compiled = order.compiled()
    assert compiled["steps"] == [
        # 13.125 mL/h as above; 32 mg / 1.6 mg/mL = 20 mL
        {"mode": "infuse", "rate_al_per_h": 13_125 * ML // 1000, "volume_al": 20 * ML},
        {"mode": "infuse", "volume_al": 35 * ML, "duration_ms": 600_000},
    ]
    # 1 mcg/kg/min · 70 kg · 60 = 4200 mcg/h; / 1600 mcg/mL = 2.625 mL/h
    assert compiled["kvo_al_per_h"] == 2625 * ML // 1000
    assert [dose.said for dose in order.doses] == [
        "step 1, rate: 5 mcg/kg/min (70 kg, 1.6 mg/mL) = 13.125 mL/h",
        "step 1, volume: 32 mg (1.6 mg/mL) = 20 mL",
        "step 2, volume: 0.5 mL/kg (70 kg) = 35 mL",
        "after, kvo: 1 mcg/kg/min (70 kg, 1.6 mg/mL) = 2.625 mL/h",
    ]


@pytest.mark.requirement("F7")
@pytest.mark.parametrize(
    ("old", "new", "code", "place"),
    [
        ('weight = "70 kg"\n', "", "E_DOSE", "step 1, rate: '5 mcg/kg/min' needs the weight"),
        ('"1.6 mg/mL"', '"1.6 units/mL"', "E_DOSE", "step 1, rate: '5 mcg/kg/min' counts mass"),
        ('"1.6 mg/mL"', '"1.6 mg"', "E_UNIT", "drug, concentration: '1.6 mg' is an amount"),
        ('"70 kg"', '"70"', "E_UNIT", "drug, weight: '70'"),
        ('"1.8 m2"', '"0 m2"', "E_NUMBER", "drug, surface: '0 m2' must be more than zero"),
        ("5 mcg/kg/min", "0 mcg/kg/min", "E_NUMBER", "step 1, rate: '0 mcg/kg/min' must be more"),
        ("5 mcg/kg/min", "5 ug/kg/min", "E_UNIT", "step 1, rate: '5 ug/kg/min': write mcg/kg/min"),
        ('"32 mg"', '"32 mg/h"', "E_UNIT", "step 1, volume: '32 mg/h' is a rate"),
        ('"1 mcg/kg/min"', '"1 mcg/kg"', "E_UNIT", "after, kvo: '1 mcg/kg' is an amount"),
        ("[[step]]", '[syringe]\nmodel = "x"\nfill = "5 mg"\n[[step]]', "E_UNIT", "syringe, fill"),
    ],
)
def test_f7_a_wrong_dose_is_refused_where_it_stands(load, old, new, code, place):
    with pytest.raises(FileError) as caught:
        load(ORDER.replace(old, new, 1))
    assert caught.value.code == code
    assert place in caught.value.message
    assert caught.value.next
    assert caught.value.exit_code == 2


def test_a_dose_without_any_drug_names_what_is_needed(load):
    with pytest.raises(FileError) as caught:
        load(ORDER[: ORDER.index("[drug]")] + ORDER[ORDER.index("[[step]]") :])
    assert caught.value.code == "E_DOSE"
    assert "needs the weight and the concentration in [drug]" in caught.value.message
    assert caught.value.next == 'add to [drug]: weight = "… kg", concentration = "… mg/mL"'
