"""Modules lent for a moment are given back, and work for as long as they are held."""

import sys

import pytest

from doseloop import resources

borrow = resources.firmware_module("borrow")


@pytest.mark.parametrize(
    ("lend", "brings"),
    [(borrow.words, ["words", "quantity"]), (borrow.next_steps, ["next_steps"])],
)
def test_what_is_lent_is_given_back(monkeypatch, lend, brings):
    for name in brings:
        monkeypatch.delitem(sys.modules, f"pump.{name}", raising=False)
        monkeypatch.delattr(borrow.pump, name, raising=False)
    held = lend()
    assert not {f"pump.{name}" for name in brings} & set(sys.modules)
    assert not [name for name in brings if hasattr(borrow.pump, name)]
    assert lend() is not held
    if "quantity" in brings:
        assert held.parse("rate 5 mL/h") == ("rate", {"rate_al_per_h": 5 * 10**15})


def test_what_somebody_holds_stays():
    words = resources.firmware_module("words")
    assert borrow.words() is words is sys.modules["pump.words"]
