"""Every command that the README shows is run here, or stands below with where it is run."""

import os
import re
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")

# What can't run inside the suite, and what stands in for it.
ELSEWHERE = {
    "make test": "this suite; .ci/run",
    ".venv/bin/python -m serial.tools.miniterm --echo --eol LF out/pump": (
        "test_plain_words_by_hand"
    ),
    ".venv/bin/doseloop flash --uf2 RPI_PICO-v1.28.0.uf2": "tests/unit/flash/test_uf2.py",
    "make flash PORT=/dev/ttyACM0": "tests/unit/flash/test_cli_flash.py",
    ".venv/bin/doseloop config push --board pico_tmc2209 --syringe bd-plastipak-50"
    " --port /dev/ttyACM0": "test_config_push_to_the_simulated_pump",
}
SERVER = ".venv/bin/doseloop sim --link out/pump --speed 60"
EXIT = {
    ".venv/bin/doseloop run examples/immunoglobulin.toml --sim --yes --fault step_lost@600:20": 6
}


def commands(text: str) -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [line.strip() for block in blocks for line in block.splitlines() if line.strip()]


ALL = commands(README)
OWN = ("out/pump", "out/mine")  # a pump and an order that its reader has made before
BY_HAND = [c for c in ALL if any(o in c for o in OWN) and c != SERVER and c not in ELSEWHERE]
ALONE = [c for c in ALL if c not in ELSEWHERE and c != SERVER and c not in BY_HAND]


def environment(home: Path) -> dict[str, str]:
    # This suite is itself run by make; a port of the developer's must not be driven.
    foreign = ("MAKE", "DOSELOOP_PORT")
    own = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {**own, "DOSELOOP_HOME": str(home)}


def run(command: str, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        shlex.split(command),
        cwd=ROOT,
        env=environment(home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_readme_begins_with_demo_then_test_then_the_fault_run():
    assert ALL[:2] == ["make demo", "make test"]
    assert ALL[2] in EXIT
    assert SERVER in ALL
    assert set(ELSEWHERE) <= set(ALL), "a command that the README no longer shows"
    assert len(BY_HAND) >= 3


@pytest.mark.parametrize("command", ALONE)
def test_command_ends_as_the_readme_says(command, tmp_path):
    result = run(command, tmp_path)
    assert result.returncode == EXIT.get(command, 0), result.stdout + result.stderr


def test_fault_run_tells_of_the_drift_and_counts_fewer_than_commanded(tmp_path):
    (command,) = EXIT
    result = run(command + " --json", tmp_path)
    assert "A_DRIFT" in result.stdout + result.stderr


@pytest.fixture
def pump(tmp_path):
    """Serve the README's simulated pump, but at a link of this test's own."""
    link = tmp_path / "pump"
    # With out/pump two runs of the suite on one machine would meet.
    command = SERVER.replace("out/pump", str(link))
    process = subprocess.Popen(
        shlex.split(command),
        cwd=ROOT,
        env=environment(tmp_path),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("/")
    yield link
    process.send_signal(signal.SIGTERM)
    process.wait(20)
    process.stdout.close()
    assert not link.exists()


def test_commands_by_hand_work_in_the_order_shown(pump, tmp_path):
    (order,) = re.findall(r"^```toml\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    (tmp_path / "mine.toml").write_text(order, encoding="utf-8")
    assert {"check", "run", "report"} <= {c.split()[1] for c in BY_HAND if "out/mine" in c}
    for command in BY_HAND:
        mine = command.replace("out/pump", str(pump)).replace("out/mine", str(tmp_path / "mine"))
        result = run(mine, tmp_path)
        assert result.returncode == 0, f"{command}\n{result.stdout}{result.stderr}"
        if " check " in command or " run " in command:
            # The README's own words; 20 mcg/kg/min · 70 kg · 60 min/h / 1600 mcg/mL = 52.5 mL/h
            assert "20 mcg/kg/min are 52.5 mL/h" in " ".join(README.split())
            dose = "20 mcg/kg/min (70 kg, 1.6 mg/mL) = 52.5 mL/h"
            assert dose in result.stdout + result.stderr


def test_config_push_to_the_simulated_pump(pump, tmp_path):
    (command,) = [c for c in ELSEWHERE if "config push" in c]
    result = run(command.replace("/dev/ttyACM0", str(pump)), tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr


def test_plain_words_by_hand(pump):
    """Type what the README says; each word must be answered before the next."""
    import serial

    with serial.Serial(str(pump), timeout=0.2) as port:

        def say(words: str, expected: str) -> None:
            port.write(words.encode() + b"\n")
            said, deadline = "", time.monotonic() + 10
            while expected not in said:
                assert time.monotonic() < deadline, f"{words}: {said!r}"
                said += port.read(max(1, port.in_waiting)).decode()

        say("help", "withdraw")
        say("load 40 mL", "ok remaining_nl=39")
        say("infuse 2.5 mL 5 mL/h", "infuse at 5 mL/h")
        say("start", "ok run=")
        say("status", "state infusing")
        say("stop", "ok commanded_steps=")


def test_folders_and_pages_that_the_readme_names_exist():
    rows = re.findall(r"^\| `([a-z_/]+/)` \|", README, re.MULTILINE)
    assert rows
    for folder in rows:
        assert (ROOT / folder).is_dir(), folder
    for page in re.findall(r"\]\(((?:docs|CONTRIBUTING|CHANGELOG)[^)]*)\)", README):
        assert (ROOT / page).exists(), page
