"""`doseloop config`: what is shown without a pump, and what is pushed to one."""

import json
import sys
import types

import pytest

from doseloop.boards import find_board
from doseloop.cli.main import call
from doseloop.config import compile_config
from doseloop.syringes import find_syringe, load_syringes

CHOICE = ["--board", "pico_tmc2209", "--syringe", "bd-plastipak-50"]
COMPILED = compile_config(find_board("pico_tmc2209"), find_syringe("bd-plastipak-50"))


@pytest.fixture
def pump(monkeypatch):
    """A stand-in for `doseloop.pump`: the calls it got, in order."""
    calls = []

    class Pump:
        @classmethod
        def open(cls, port=None):
            calls.append(("open", port))
            return cls()

        def __enter__(self):
            return self

        def __exit__(self, *_):
            calls.append(("close",))

        def push_config(self, text):
            calls.append(("push", text))

        def config_text(self):
            return COMPILED.sealed

    module = types.ModuleType("doseloop.pump")
    module.Pump = Pump
    monkeypatch.setitem(sys.modules, "doseloop.pump", module)
    return calls


def test_show_json_is_the_compiled_text(capsys):
    assert call(["config", "show", "--json", *CHOICE]) == 0
    assert json.loads(capsys.readouterr().out) == COMPILED.data


def test_show_explains(capsys):
    assert call(["config", "show", *CHOICE]) == 0
    said = capsys.readouterr().out
    assert "173530803503 aL" in said
    assert "witness 5" in said


def test_list_holds_every_syringe(capsys):
    assert call(["config", "show", "--list"]) == 0
    said = capsys.readouterr().out
    assert all(model in said for model in load_syringes())


def test_show_asks_the_pump(capsys, pump):
    assert call(["config", "show", "--port", "/dev/x"]) == 0
    assert capsys.readouterr().out == COMPILED.sealed
    assert pump == [("open", "/dev/x"), ("close",)]


def test_push_sends_the_sealed_text(pump):
    assert call(["config", "push", *CHOICE]) == 0
    assert pump == [("open", None), ("push", COMPILED.sealed), ("close",)]


@pytest.mark.parametrize(
    "arguments",
    [
        ["push", "--board", "pico_tmc2209"],
        ["push", "--board", "pico", "--syringe", "bd-plastipak-50"],
        ["push", "--board", "pico_tmc2209", "--syringe", "bd"],
        ["show", "--board", "pico_tmc2209"],
    ],
)
def test_a_wrong_choice_never_reaches_the_pump(arguments, pump):
    assert call(["config", *arguments]) == 2
    assert pump == []
