"""Quantities: a case worked by hand, then properties over every kind."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doseloop import quantities, resources
from doseloop.errors import UsageError

quantity = resources.firmware_module("quantity")

KINDS = sorted(quantity._KINDS)
UP_TO = 10**quantity.MAX_DIGITS - 1


def test_by_hand():
    # 2.5 uL/min = 2.5 · 10^12 aL · 60 / h = 150 · 10^12 aL/h = 0.15 mL/h
    assert quantity.parse("2.5 uL/min", "rate") == 150 * 10**12
    assert quantity.format(150 * 10**12, "rate") == "0.15 mL/h"


@pytest.mark.requirement("A2", "F6")
@given(st.sampled_from(KINDS), st.integers(0, UP_TO) | st.integers(0, 10**7))
def test_format_reads_back(kind, value):
    text = quantity.format(value, kind)
    # Leading zeros of a small value add digits; nothing the pump counts comes near the bound.
    assert quantity.parse(text, kind) == value
    assert text.isascii()


@pytest.mark.requirement("A2")
@given(
    st.sampled_from(["nL", "uL", "mL", "L"]),
    st.sampled_from(["s", "min", "h", "d"]),
    st.integers(0, 10**9),
    st.integers(0, 9),
)
def test_rate_is_the_exact_fraction_or_refused_with_the_nearest(volume, time, number, decimals):
    whole, rest = divmod(number, 10**decimals)
    text = f"{whole}.{rest:0{decimals}d}" if decimals else str(whole)
    al = {"nL": 10**9, "uL": 10**12, "mL": 10**15, "L": 10**18}[volume]
    per_hour = {"s": 3600, "min": 60, "h": 1, "d": Fraction(1, 24)}[time]
    exact = Fraction(number, 10**decimals) * al * per_hour
    try:
        got = quantity.parse(f"{text} {volume}/{time}", "rate")
    except quantity.QuantityError as error:
        if error.nearest is None:
            assert exact > UP_TO
            return
        assert exact.denominator != 1
        assert abs(quantity.parse(error.nearest, "rate") - exact) <= Fraction(1, 2)
    else:
        assert got == exact


@pytest.mark.requirement("F6")
@given(st.sampled_from(KINDS), st.text(max_size=30))
def test_any_text_is_a_number_or_a_named_refusal(kind, text):
    try:
        value = quantity.parse(text, kind)
    except quantity.QuantityError as error:
        assert error.code in ("E_UNIT", "E_NUMBER")
        assert error.message
    else:
        assert value >= 0
        assert quantity.parse(quantity.format(value, kind), kind) == value


@pytest.mark.requirement("F6")
@given(st.sampled_from(KINDS), st.text(alphabet="0123456789.,+-e_ nuµmLshdin/gkHz", max_size=24))
def test_nearly_right_texts_too(kind, text):
    test_any_text_is_a_number_or_a_named_refusal.hypothesis.inner_test(kind, text)


@pytest.mark.requirement("F7")
@pytest.mark.parametrize("value", [5, 5.0, True, None, ["5 mL"]])
def test_a_bare_value_is_refused(value):
    with pytest.raises(quantity.QuantityError) as caught:
        quantity.parse(value, "volume")
    assert caught.value.code == "E_UNIT"


def test_milligram_and_microgram_differ_by_a_thousand():
    milli, micro = quantity.parse("1 mg", "mass"), quantity.parse("1 mcg", "mass")
    assert milli == 1000 * micro == 10**9
    assert quantity.parse("1 ug", "mass") == micro == quantity.parse("1 \u00b5g", "mass")


def test_unknown_unit_names_the_known_ones_and_case_gets_a_hint():
    with pytest.raises(quantity.QuantityError, match="use nL uL mL L"):
        quantity.parse("5 gallon", "volume")
    with pytest.raises(quantity.QuantityError, match="write mL/h, not ML/h"):
        quantity.parse("5 ML/h", "rate")


def test_negative_is_never_shown():
    with pytest.raises(ValueError, match="not negative"):
        quantity.format(-1, "volume")


def test_host_door_raises_usage_errors():
    assert quantities.parse("40 mL", "volume") == 40 * 10**15
    assert quantities.show(40 * 10**15, "volume") == "40 mL"
    with pytest.raises(UsageError) as caught:
        quantities.parse("1 mL/d", "rate")
    assert (caught.value.code, caught.value.nearest) == ("E_NUMBER", "0.041666666666667 mL/h")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("2222222200000159856210 L", "volume"),  # found by make fuzz: 25 digits in mL
        ("1000000 L", "volume"),
        ("999999999999999999999999 d", "duration"),
        ("999999999999999999999999 mmHg", "pressure"),
    ],
)
def test_what_is_too_large_to_be_shown_and_read_back_is_refused(text, kind):
    with pytest.raises(quantity.QuantityError, match="more than a pump can name") as refused:
        quantity.parse(text, kind)
    assert refused.value.code == "E_NUMBER"


def test_the_largest_is_shown_and_read_back():
    text = quantity.format(UP_TO, "volume")
    assert quantity.parse(text, "volume") == UP_TO
