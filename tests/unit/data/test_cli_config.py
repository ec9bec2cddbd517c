"""`doseloop config`: what is shown without a pump, and what is pushed to one."""

import json
import sys
import types

import pytest

from doseloop import results
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
        in_force = COMPILED.sealed
        identity = types.SimpleNamespace(config_crc="0")

        @classmethod
        def open(cls, port=None):
            calls.append(("open", port))
            return cls()

        def __enter__(self):
            return self

        def __exit__(self, *_):
            calls.append(("close",))

        def propose_config(self, text):
            calls.append(("propose", text))
            old = None if self.identity.config_crc is None else "old"
            return results.Change(digest=text.split()[3], old=old, new="new")

        def confirm(self, digest):
            calls.append(("confirm", digest))
            return {"config_crc": digest, "reset": self.resets}

        def config_text(self):
            return self.in_force

    module = types.ModuleType("doseloop.pump")
    module.Pump = Pump
    monkeypatch.setitem(sys.modules, "doseloop.pump", module)
    monkeypatch.setattr(Pump, "resets", False, raising=False)
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


DONE = [
    ("open", None),
    ("propose", COMPILED.sealed),
    ("confirm", COMPILED.sealed.split()[3]),
    ("close",),
]


def test_push_proposes_the_sealed_text_and_confirms_it(pump):
    # The same is in force: nothing changes, nobody is asked.
    assert call(["config", "push", *CHOICE]) == 0
    assert pump == DONE


def test_a_first_configuration_is_pushed_without_a_question(pump, monkeypatch):
    monkeypatch.setattr(sys.modules["doseloop.pump"].Pump.identity, "config_crc", None)
    assert call(["config", "push", *CHOICE]) == 0
    assert pump == DONE


def test_a_change_of_syringe_is_shown_and_needs_a_yes(pump, monkeypatch, capsys):
    other = compile_config(find_board("pico_tmc2209"), find_syringe("bd-plastipak-20"))
    monkeypatch.setattr(sys.modules["doseloop.pump"].Pump, "in_force", other.sealed)
    assert call(["config", "push", *CHOICE]) == 2  # no terminal to ask on
    said = capsys.readouterr().err
    assert "bd-plastipak-20 → bd-plastipak-50" in said and "20 mL → 50 mL" in said
    assert "board" not in said, "only what changes"
    assert [name for name, *_ in pump] == ["open", "propose", "close"]
    pump.clear()
    assert call(["config", "push", "--yes", *CHOICE]) == 0
    assert pump == DONE
    assert capsys.readouterr().out.startswith("in force: new")


def test_a_configuration_that_waits_for_a_restart_is_not_called_in_force(
    pump, monkeypatch, capsys
):
    monkeypatch.setattr(sys.modules["doseloop.pump"].Pump, "resets", True)
    assert call(["config", "push", "--yes", *CHOICE]) == 0
    assert "once the pump restarts" in capsys.readouterr().out


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
