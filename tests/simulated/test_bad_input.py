"""Bad input gets a named error and its exit code, and changes nothing in the pump."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from doseloop import quantities
from doseloop.transport import SerialTransport

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def loaded(sim, cli):
    """A held pump with 40 mL in its syringe."""
    started = sim()
    assert cli("load", "40 mL", "--port", started.port).code == 0
    return started


@pytest.fixture
def pump(loaded, cli):
    """The same; a test that changed anything in it fails."""

    def status():
        said = cli("status", "--port", loaded.port, "--json").json
        assert abs(said.pop("pressure_pa")) < 1000  # the sensor's noise: each look differs
        return said

    before = status()
    yield loaded
    assert status() == before


BAD_REQUESTS = [
    (("infuse", "2.5", "5 mL/h"), 2, "E_UNIT"),
    (("infuse", "2.5 ml", "5 mL/h"), 2, "E_UNIT"),
    (("infuse", "2,5 mL", "5 mL/h"), 2, "E_NUMBER"),
    (("infuse", "5 mL/h"), 2, "E_USAGE"),
    (("infuse", "1 mL", "5 mL/h", "12 min"), 2, "E_USAGE"),
    (("infuse", "1 mL", "2 mL"), 2, "E_USAGE"),
    (("infuse", "41 mL", "5 mL/h"), 5, "E_VOLUME"),
    (("withdraw", "60 mL", "5 mL/h"), 5, "E_VOLUME"),
    (("infuse", "1 mL", "20000 mL/h"), 5, "E_RATE_HIGH"),
    (("infuse", "1 mL", "100 nL/h"), 5, "E_RATE_LOW"),
    (("infuse", "1 mL", "1 nL/d"), 5, "E_RATE_LOW"),
    (("infuse", "1 mL", "5.0000000000000001 mL/h"), 2, "E_NUMBER"),
    (("rate", "5"), 2, "E_UNIT"),
    (("rate", "5 mL/h"), 5, "E_STATE"),
    (("resume",), 5, "E_STATE"),
    (("pause",), 5, "E_STATE"),
    (("load", "70 mL"), 5, "E_VOLUME"),
]


@pytest.mark.requirement("A1", "F7")
def test_bad_requests_are_named_and_change_nothing(pump, cli):
    wrong: list[object] = []
    for arguments, code, name in BAD_REQUESTS:
        yes = [] if arguments[0] in ("load", "pause") else ["--yes"]
        done = cli(*arguments, *yes, "--port", pump.port, "--json")
        found = (done.code, done.json["error"]["code"])
        if found != (code, name) or not done.json["error"]["message"]:
            wrong.append((arguments, found, done.err))
    assert wrong == []


@pytest.mark.requirement("A1")
def test_a_rate_too_high_names_the_nearest_that_works(loaded, cli):
    done = cli("infuse", "1 mL", "20000 mL/h", "--yes", "--port", loaded.port, "--json")
    nearest = done.json["error"]["nearest"]
    assert done.json["error"]["limit"] == nearest
    fits = cli("infuse", "1 mL", nearest, "--dry-run", "--port", loaded.port)
    assert fits.code == 0, fits.err


def test_a_rate_too_fine_to_write_names_the_least_of_the_pump(pump, cli):
    done = cli("infuse", "1 mL", "1 nL/d", "--yes", "--port", pump.port, "--json")
    config = cli("info", "--port", pump.port, "--json").json["config"]
    least = quantities.show(config["limits"]["rate_min_al_per_h"], "rate")
    assert done.json["error"]["limit"] == done.json["error"]["nearest"] == least


def test_an_order_for_another_syringe_is_refused(pump, cli, order):
    path = order('mode = "infuse"\nvolume = "1 mL"\nrate = "6 mL/h"', syringe="bd-plastipak-20")
    path.write_text(path.read_text().replace("40 mL", "10 mL"))
    done = cli("run", path, "--yes", "--port", pump.port, "--json")
    assert (done.code, done.json["error"]["code"]) == (5, "E_SYRINGE")


def test_an_unknown_key_of_an_order_is_refused_before_the_pump_is_asked(pump, cli, tmp_path):
    text = (EXAMPLES / "immunoglobulin.toml").read_text(encoding="utf-8")
    path = tmp_path / "typo.toml"
    path.write_text(text.replace("duration", "durration", 1), encoding="utf-8")
    done = cli("run", path, "--yes", "--port", pump.port, "--json")
    assert done.code == 2
    assert "durration" in done.json["error"]["message"]


def test_motion_needs_a_terminal_or_yes(pump, cli, order):
    path = order('mode = "infuse"\nvolume = "1 mL"\nrate = "60 mL/h"')
    for arguments in (("infuse", "1 mL", "60 mL/h"), ("run", path), ("resume",)):
        done = cli(*arguments, "--port", pump.port, "--json")
        assert (done.code, done.json["error"]["code"]) == (2, "E_NO_TERMINAL")


def test_a_no_at_the_question_starts_nothing(loaded, cli, home):
    master, terminal = pty.openpty()
    os.write(master, b"n\n")
    try:
        asked = subprocess.run(
            [sys.executable, "-m", "doseloop", "infuse", "1 mL", "60 mL/h", "--port", loaded.port],
            stdin=terminal,
            capture_output=True,
            text=True,
            timeout=60,
        )
    finally:
        os.close(master)
        os.close(terminal)
    assert asked.returncode == 2
    assert "Start?" in asked.stderr
    assert "nothing was started" in asked.stderr
    assert cli("status", "--port", loaded.port, "--json").json["state"] == "idle"


def test_a_second_program_is_told_who_holds_the_port(pump, cli):
    held = SerialTransport(pump.port)
    try:
        done = cli("status", "--port", pump.port, "--json")
    finally:
        held.close()
    assert (done.code, done.json["error"]["code"]) == (3, "E_PORT_BUSY")
    assert f"process {os.getpid()}" in done.json["error"]["message"]


def test_no_pump(home, cli):
    done = cli("status", "--json")
    assert (done.code, done.json["error"]["code"]) == (3, "E_NO_PUMP")
    done = cli("status", "--port", "/dev/no-such-port", "--json")
    assert done.code == 3


def test_two_pumps_are_listed_and_neither_is_taken(sim, cli):
    first, second = sim(), sim()
    done = cli("status", "--json")
    assert (done.code, done.json["error"]["code"]) == (3, "E_MANY_PUMPS")
    assert first.port in done.json["error"]["message"]
    assert second.port in done.json["error"]["message"]
    listed = cli("ports", "--json").json["ports"]
    assert {entry["port"] for entry in listed} == {first.port, second.port}
    assert cli("status", "--port", second.port).code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("sim", "--dialect", "harvard"),
        ("sim", "--address", "3"),
        ("sim", "--emulated"),
        ("sim", "--speed", "0"),
        ("sim", "--fault", "clock_back@1"),
        ("sim", "--fault", "nonsense@1"),
        ("sim", "--fault", "step_lost"),
        ("sim", "--board", "no_such_board"),
        ("run",),
        ("run", "--attach", "--sim"),
        ("run", "x.toml", "--fault", "stall@1"),
        ("frobnicate",),
        ("status", "--frobnicate"),
    ],
    ids=" ".join,
)
def test_usage_errors_are_named_with_exit_code_2(home, cli, arguments):
    done = cli(*arguments, "--json") if arguments[0] == "status" else cli(*arguments)
    assert done.code == 2
    text = json.loads(done.out)["error"]["code"] if done.out else done.err
    assert "E_" in text
