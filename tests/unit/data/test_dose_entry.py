"""Number entry can't go wrong silently (F6, F7): every spelling is one quantity or refused."""

import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doseloop import dose_units, resources
from doseloop.dose_units import UNITS, parse, show
from doseloop.doses import Doses
from doseloop.errors import UsageError
from doseloop.order import order_json_schema

FULL = {"concentration": "10 mg/mL", "weight": "70 kg", "surface": "1.8 m2"}
NUMBERS = st.decimals("0.001", "9999", places=3).map(
    lambda number: f"{number:f}".rstrip("0").rstrip(".")
)


def become(text, kind, **drug):
    doses = Doses(**{name: parse(given, name) for name, given in drug.items()})
    return doses.read(("step", 0, kind), text, kind)


@pytest.mark.requirement("F6")
@given(st.sampled_from([(k, u) for k in UNITS for u in UNITS[k].values()]), NUMBERS)
def test_f6_every_unit_reads_back_what_is_shown(which, number):
    kind, unit = which
    quantity = dose_units.Quantity(Fraction(number), unit)
    text = show(quantity)
    assert text == f"{number} {unit.name}"
    assert text.isascii()
    assert parse(text, kind) == quantity


@pytest.mark.requirement("F6")
@given(
    st.sampled_from(sorted(UNITS)),
    st.text(alphabet="0123456789.,+-e_ µumcgkghLunits/²", max_size=20),
)
def test_f6_any_text_is_one_quantity_or_a_named_refusal(kind, text):  # fmt: skip
    try:
        quantity = parse(text, kind)
    except UsageError as error:
        assert error.code in ("E_UNIT", "E_NUMBER")
        assert error.message
    else:
        # One spelling each: what is accepted is what would be shown.
        assert show(quantity) == text


@pytest.mark.requirement("F6", "F7")
@given(st.sampled_from(["rate", "volume"]), st.text(max_size=12))
def test_f6_no_text_is_read_without_its_unit(kind, text):
    try:
        value = become(text, kind, concentration="1 mg/mL", weight="1 kg", surface="1 m2")
    except UsageError as error:
        assert error.code in ("E_UNIT", "E_NUMBER", "E_DOSE")
    else:
        assert value >= 0
        assert re.search(r"[0-9] [a-zA-Zµμ]", text)


WHICHEVER = "write '2 mcg/kg/min' or '2 mcg/kg/h' or '2 mcg/kg/day', whichever is meant"
# (kind, text, code, what the next step or the message must hold): all of it refused, none guessed
ENTRY = [
    ("rate", "10", "E_UNIT", "unit missing"),
    ("rate", "1.0e1 mg/h", "E_NUMBER", "no exponent"),
    ("rate", "1e1 mg/h", "E_NUMBER", "no exponent"),
    ("rate", "10.0 mg/h", "E_NUMBER", "write 10"),
    ("rate", "1.000 mg/h", "E_NUMBER", "write 1, or 1000 if that was meant"),
    ("rate", "1,5 mg/h", "E_NUMBER", "write 1.5 or 1500, not a comma"),
    ("rate", "1,000 mg/h", "E_NUMBER", "write 1.5 or 1500, not a comma"),
    ("rate", "1 000 mg/h", "E_NUMBER", "write a thousand as 1000"),
    ("rate", "1'000 mg/h", "E_NUMBER", "one decimal point"),
    ("rate", "1_000 mg/h", "E_NUMBER", "one decimal point"),
    ("rate", "1.000.000 mg/h", "E_NUMBER", "one decimal point"),
    ("rate", "1..5 mg/h", "E_NUMBER", "one decimal point"),
    ("rate", ".5 mg/h", "E_NUMBER", "both sides of the point"),
    ("rate", "5. mg/h", "E_NUMBER", "both sides of the point"),
    ("rate", "05 mg/h", "E_NUMBER", "no leading zeros"),
    ("rate", "-5 mg/h", "E_NUMBER", "no sign"),
    ("rate", "+5 mg/h", "E_NUMBER", "no sign"),
    ("rate", " 5 mg/h", "E_NUMBER", "write '5 mg/h'"),
    ("rate", "5 mg/h ", "E_NUMBER", "write '5 mg/h'"),
    ("rate", "5 mL/h ", "E_NUMBER", "write '5 mL/h'"),
    ("rate", "5  mg/h", "E_UNIT", "write '5 mg/h'"),
    ("rate", "5mg/h", "E_UNIT", "write '5 mg/h'"),
    ("rate", "5 mg / h", "E_UNIT", "write '5 mg/h'"),
    ("rate", "\u0665 mg/h", "E_NUMBER", "ARABIC-INDIC DIGIT FIVE"),
    ("rate", "\uff15 mg/h", "E_NUMBER", "FULLWIDTH DIGIT FIVE"),
    ("rate", "l0 mg/h", "E_NUMBER", "digits"),
    ("rate", "1O mg/h", "E_NUMBER", "digits"),
    ("rate", "1\uff0e5 mg/h", "E_NUMBER", "FULLWIDTH FULL STOP"),
    ("rate", "5\u00a0mg/h", "E_NUMBER", "NO-BREAK SPACE"),
    ("rate", "\u22125 mg/h", "E_NUMBER", "MINUS SIGN"),
    ("rate", "5 m\u0261/h", "E_UNIT", "LATIN SMALL LETTER SCRIPT G"),
    ("rate", "5 \u043cg/h", "E_UNIT", "CYRILLIC SMALL LETTER EM"),
    ("rate", "2 \u00b5g/kg/min", "E_UNIT", "write '2 mcg/kg/min'"),
    ("rate", "2 \u03bcg/kg/min", "E_UNIT", "write '2 mcg/kg/min'"),
    ("rate", "2 ug/kg/min", "E_UNIT", "write '2 mcg/kg/min'"),
    ("rate", "2 mc/kg/min", "E_UNIT", "unknown rate unit"),
    ("rate", "2 mcg/kg", "E_UNIT", WHICHEVER),
    ("rate", "2 MCG/KG", "E_UNIT", WHICHEVER),
    ("rate", "2 mcg/kg/m", "E_UNIT", "unknown rate unit"),
    ("rate", "2 mg", "E_UNIT", "whichever is meant"),
    ("rate", "5 mL", "E_UNIT", "an amount, but a rate belongs here"),
    ("rate", "5 mg/mL", "E_UNIT", "a concentration, but a rate belongs here"),
    ("rate", "5 Mg/h", "E_UNIT", "write '5 mg/h'"),
    ("rate", "5 ML/h", "E_UNIT", "write '5 mL/h'"),
    ("rate", "5 cc/h", "E_UNIT", "write '5 mL/h'"),
    ("rate", "5 mL/hr", "E_UNIT", "write '5 mL/h'"),
    ("rate", "5 mL/day", "E_UNIT", "write '5 mL/d'"),
    ("rate", "5 mg/d", "E_UNIT", "write '5 mg/day'"),
    ("rate", "5 mg/h/kg", "E_UNIT", "write '5 mg/kg/h'"),
    ("rate", "18 U/kg/h", "E_UNIT", "write '18 units/kg/h'"),
    ("rate", "18 IU/kg/h", "E_UNIT", "write '18 units/kg/h'"),
    ("rate", "1 unit/h", "E_UNIT", "write '1 units/h'"),
    ("rate", "2 mU/min", "E_UNIT", "write '2 milliunits/min'"),
    ("rate", "25 mg/m\u00b2/h", "E_UNIT", "write '25 mg/m2/h'"),
    ("rate", "5 mEQ/h", "E_UNIT", "write '5 mEq/h'"),
    ("rate", 5, "E_UNIT", "write a text with a unit"),
    ("volume", "4 gr", "E_UNIT", "unknown volume unit"),  # grains or grams?
    ("volume", "4 gm", "E_UNIT", "write '4 g'"),
    ("volume", "10 cc", "E_UNIT", "write '10 mL'"),
    ("volume", "1 mg/kg/h", "E_UNIT", "a rate, but an amount belongs here"),
    ("volume", "5 mL/h", "E_UNIT", "a rate, but an amount belongs here"),
    ("concentration", "100", "E_UNIT", "an amount per mL or L"),
    ("concentration", "100 mg", "E_UNIT", "'100 mg/mL' or '100 mg/L', whichever is meant"),
    ("concentration", "10 %", "E_UNIT", "an amount per mL or L"),
    ("concentration", "50 U/mL", "E_UNIT", "write '50 units/mL'"),
    ("concentration", "10 ug/mL", "E_UNIT", "write '10 mcg/mL'"),
    ("concentration", "10 mg/ml", "E_UNIT", "write '10 mg/mL'"),
    ("concentration", "1.60 mg/mL", "E_NUMBER", "write 1.6"),
    ("concentration", "0 mg/mL", "E_NUMBER", "must be more than zero"),
    ("weight", "70", "E_UNIT", "kg or g"),
    ("weight", "70 KG", "E_UNIT", "write '70 kg'"),
    ("weight", "150 lb", "E_UNIT", "kg or g"),
    ("weight", "70 mg", "E_UNIT", "an amount, but a weight belongs here"),
    ("weight", "0 kg", "E_NUMBER", "must be more than zero"),
    ("surface", "1,73 m2", "E_NUMBER", "not a comma"),
    ("surface", "1.73 m\u00b2", "E_UNIT", "write '1.73 m2'"),
    ("surface", "1.73", "E_UNIT", "m2"),
]


@pytest.mark.requirement("F6", "F7")
@pytest.mark.parametrize(("kind", "text", "code", "holds"), ENTRY)
def test_f6_f7_number_entry_never_goes_wrong_silently(kind, text, code, holds):
    with pytest.raises(UsageError) as caught:
        if kind in ("rate", "volume"):
            become(text, kind, **FULL)
        else:
            parse(text, kind)
    assert caught.value.code == code
    assert holds in f"{caught.value.message} | {caught.value.next}"


QUOTED = [(kind, re.findall(r"'([^']+)'", holds)) for kind, _, _, holds in ENTRY]


@pytest.mark.requirement("F7")
@pytest.mark.parametrize(("kind", "text"), [(k, t) for k, texts in QUOTED for t in texts])
def test_f7_every_spelling_that_a_refusal_advises_is_itself_accepted(kind, text):
    drug = FULL | ({"concentration": "10 units/mL"} if "units" in text else {})
    if "mEq" in text:
        drug["concentration"] = "1 mEq/mL"
    if kind in ("rate", "volume"):
        try:
            assert become(text, kind, **drug) > 0
        except UsageError as error:  # 5 mL/d is no whole aL/h: the firmware's grammar says so
            assert (text, error.code) == ("5 mL/d", "E_NUMBER")
    else:
        assert show(parse(text, kind)) == text


@pytest.mark.requirement("F7")
def test_f7_ten_and_a_hundred_mg_and_mcg_h_and_min_differ_as_they_should():
    ten = become("10 mg/h", "rate", **FULL)
    assert become("100 mg/h", "rate", **FULL) == 10 * ten
    assert become("10 mcg/h", "rate", **FULL) * 1000 == ten
    assert become("10 mg/min", "rate", **FULL) == 60 * ten
    assert become("10 mg/kg/h", "rate", **FULL) == 70 * ten
    assert become("10 mg/day", "rate", **FULL) == ten // 24
    assert become("5 mL/min", "rate") == 60 * become("5 mL/h", "rate")


@pytest.mark.requirement("F6")
@given(
    st.sampled_from([(k, u) for k in UNITS for u in UNITS[k]]),
    st.sampled_from(["5", "0.25", "10", "1.50", "05", "1e3", ".5", "5.", "5 ", ""]),
    st.sampled_from(["", " ", "s", "\n"]),
)
def test_f6_schema_and_reader_accept_the_same_texts(which, number, tail):
    kind, unit = which
    text = f"{number} {unit}{tail}"
    properties = order_json_schema()["properties"]
    places = properties["drug"]["properties"] | properties["step"]["items"]["properties"]
    try:
        parse(text, kind)
    except UsageError:
        # `$` lets one newline pass in Python only, not in ECMA 262, which JSON Schema means.
        assert tail == "\n" or not re.search(places[kind]["pattern"], text)
    else:
        assert re.search(places[kind]["pattern"], text)


def test_schema_still_takes_plain_volumes():
    step = order_json_schema()["properties"]["step"]["items"]["properties"]
    assert re.search(step["rate"]["pattern"], "5 mL/h")
    assert re.search(step["volume"]["pattern"], "10.0 mL")
    assert not re.search(step["rate"]["pattern"], "10 mL")
    fill = order_json_schema()["properties"]["syringe"]["properties"]["fill"]
    assert not re.search(fill["pattern"], "5 mg")


def test_firmware_numbers_are_the_only_ones():
    """Both grammars share their digits: what one refuses as a number the other does."""
    quantity = resources.firmware_module("quantity")
    for number in ("1e3", "1,5", ".5", "5.", "05", "-5", "1" * 25):
        with pytest.raises(quantity.QuantityError) as there:
            quantity.parse(f"{number} mL", "volume")
        with pytest.raises(UsageError) as here:
            parse(f"{number} mg", "volume")
        assert here.value.message.replace(" mg", " mL") == there.value.message
