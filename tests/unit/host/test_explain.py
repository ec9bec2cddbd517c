"""`doseloop explain` and docs/alarms.md say what the tables say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from doseloop import errors, resources
from doseloop.cli import main
from doseloop.explain import alarms_text, explain

ROOT = Path(__file__).resolve().parents[3]
TABLE = resources.firmware_module("alarm_table").TABLE
REFUSALS = resources.firmware_module("next_steps").NEXT


def test_the_page_is_made_from_the_tables():
    assert (ROOT / "docs" / "alarms.md").read_text(encoding="utf-8") == alarms_text()


@pytest.mark.requirement("E2")
@pytest.mark.parametrize("code", sorted(TABLE))
def test_every_alarm_is_explained(code):
    found = explain(code.lower())
    assert (found["code"], found["cause"], found["next"]) == (code, *TABLE[code][3:])
    assert TABLE[code][0] in found["kind"] and found["the pump"] and found["ends"]


def test_every_refusal_of_the_pump_is_explained():
    for code, after in REFUSALS.items():
        assert explain(code)["next"] == after


def test_the_hosts_own_errors_are_explained():
    found = explain("E_PORT_BUSY")
    assert "exit code 3" in found["kind"] and found["next"] == errors.PortBusy.default_next


def test_an_unknown_code_names_those_near_it(capsys):
    with pytest.raises(errors.UsageError, match="A_EMPTY"):
        explain("A_EMTPY")
    assert main.call(["explain", "A_NOTHING_AT_ALL"]) == errors.USAGE
    assert "alarms.md" in capsys.readouterr().err


def test_the_verb_prints_rows_or_json(capsys):
    assert main.call(["explain", "A_EMPTY"]) == 0
    assert "load a syringe, then resume" in capsys.readouterr().out
    assert main.call(["explain", "a_empty", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["code"] == "A_EMPTY"
