"""The command line itself: the table of verbs, exit codes in one place, a fast start."""

from __future__ import annotations

import json
import subprocess
import sys

import click
import pytest

from doseloop import errors
from doseloop.cli import common, main

CONTRACT = {
    "FileError": 2,
    "UsageError": 2,
    "NoPump": 3,
    "PortBusy": 3,
    "LinkError": 4,
    "Refused": 5,
    "EndedShort": 6,
    "VersionMismatch": 7,
    "Interrupted": 130,
    "DoseloopError": 1,
}


def test_every_error_has_the_exit_code_of_the_contract():
    found = {
        name: kind.exit_code
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.DoseloopError)
    }
    assert found == CONTRACT


@pytest.mark.parametrize("verb", main.VERBS)
def test_every_verb_loads_and_has_help(verb):
    command = main.app.get_command(click.Context(main.app), verb)
    assert isinstance(command, click.Command)
    assert command.name == verb
    assert command.get_short_help_str()


def test_help_lists_the_verbs(capsys):
    assert main.call(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"  {verb} " in text for verb in main.VERBS)
    assert "not a medical device" in text


def test_start_imports_nothing_heavy():
    heavy = ("rich", "jinja2", "sqlite3", "serial", "msgspec", "platformdirs", "doseloop.pump")
    code = (
        "import sys; from doseloop.cli.main import call; call(['--help']); "
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_an_error_as_json_has_all_keys(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("DOSELOOP_HOME", str(tmp_path))
    monkeypatch.delenv("DOSELOOP_PORT", raising=False)
    monkeypatch.setattr("doseloop.ports.find", list)
    assert main.call(["status", "--json"]) == 3
    error = json.loads(capsys.readouterr().out)["error"]
    assert set(error) == {"code", "message", "limit", "nearest", "next"}
    assert error["code"] == "E_NO_PUMP"


def test_an_error_for_people_goes_to_stderr(capsys):
    assert main.call(["frobnicate"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "frobnicate" in captured.err


def test_what_nobody_expected_is_exit_code_1(capsys, monkeypatch):
    def broken() -> None:
        raise ZeroDivisionError("really")

    monkeypatch.setattr("doseloop.ports.find", broken)
    assert main.call(["ports"]) == 1
    assert "ZeroDivisionError: really" in capsys.readouterr().err


def test_from_device_keeps_what_the_pump_said():
    error = errors.from_device(
        {
            "code": "E_RATE_HIGH",
            "message": "m",
            "limit": "1 mL/h",
            "nearest": "1 mL/h",
            "next": "n",
        }
    )
    assert isinstance(error, errors.Refused)
    assert error.as_json()["error"] == {
        "code": "E_RATE_HIGH",
        "message": "m",
        "limit": "1 mL/h",
        "nearest": "1 mL/h",
        "next": "n",
    }
    assert error.as_text().splitlines()[0] == "error E_RATE_HIGH: m"


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (("2.5", "mL", "5", "mL/h"), {"volume": 25 * 10**14, "rate": 5 * 10**15}),
        (("2.5 mL", "5 mL/h"), {"volume": 25 * 10**14, "rate": 5 * 10**15}),
        (("5 mL/h", "30 min"), {"rate": 5 * 10**15, "duration": 1_800_000}),
        (("1 h", "2", "mL"), {"duration": 3_600_000, "volume": 2 * 10**15}),
    ],
)
def test_quantities_may_be_quoted_or_not_and_in_any_order(words, values):
    assert common.quantity_words(words, {}) == values


def test_quantities_may_be_options():
    given = {"volume": "1 mL", "rate": None, "duration": "1 min"}
    assert common.quantity_words((), given) == {"volume": 10**15, "duration": 60_000}


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("5",), "E_UNIT", "no unit"),
        (("5", "6", "mL"), "E_UNIT", "no unit"),
        (("5", "ml", "1", "h"), "E_UNIT", "mL"),
        (("5", "parsecs"), "E_UNIT", "parsecs"),
        (("-5", "mL", "1", "h"), "E_NUMBER", "-5"),
        (("1", "mL", "2", "mL"), "E_USAGE", "two volumes"),
    ],
)
def test_unclear_quantities_are_named(words, code, says):
    with pytest.raises(errors.UsageError, match=says) as caught:
        common.quantity_words(words, {})
    assert caught.value.code == code
