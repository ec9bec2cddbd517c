"""Plain words at a terminal."""

import ast
import re

import pytest
from unit.firmware.bench import configuration, errors
from unit.firmware.wire_host import Host

from doseloop import resources

shown = resources.firmware_module("shown")
words = resources.firmware_module("words")
FIRMWARE = resources.firmware_root() / "pump"


@pytest.fixture
def terminal():
    return Host(configuration())


WORDS = [
    ("status", "status", {}),
    ("infuse 2.5 mL 5 mL/h", "infuse", {"volume_al": 25 * 10**14, "rate_al_per_h": 5 * 10**15}),
    ("infuse 5 mL/h 30 min", "infuse", {"rate_al_per_h": 5 * 10**15, "duration_ms": 1_800_000}),
    ("withdraw 100 uL 1 h", "withdraw", {"volume_al": 10**14, "duration_ms": 3_600_000}),
    ("rate 0.5 mL/h", "rate", {"rate_al_per_h": 5 * 10**14}),
    ("load 50 mL", "load", {"volume_al": 5 * 10**16}),
    ("events 12", "events", {"since": 12}),
    ("watch 0", "watch", {"ms": 0}),
    ("start", "start", {}),
    ("start 0badcafe", "start", {"order_crc": "0badcafe"}),
]


@pytest.mark.parametrize(("line", "name", "args"), WORDS)
def test_plain_words(line, name, args):
    assert words.parse(line) == (name, args)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("", "E_COMMAND"),
        ("bogus", "E_COMMAND"),
        ("put config", "E_COMMAND"),
        ("status now", "E_ARG"),
        ("infuse 2.5", "E_UNIT"),
        ("infuse 2.5 mL 5 mL", "E_ARG"),
        ("infuse 2.5 ml 5 mL/h", "E_UNIT"),
        ("infuse 2,5 mL 5 mL/h", "E_NUMBER"),
        ("infuse -1 mL 5 mL/h", "E_NUMBER"),
        ("events x", "E_ARG"),
        ("watch 99999999999", "E_ARG"),
    ],
)
def test_words_that_are_not_understood(line, code):
    with pytest.raises(errors.Refused) as caught:
        words.parse(line)
    assert caught.value.code == code
    assert caught.value.next


def test_a_person_at_a_terminal(terminal):
    assert b"status" in terminal.raw(b"help\r\n")
    assert b"state idle" in terminal.raw(b"status\r\n")
    assert b"E_VOLUME" in terminal.raw(b"infuse 2.5 mL 5 mL/h\n")
    assert b"ok" in terminal.raw(b"load 50 mL\n")
    plan = terminal.raw(b"infuse 2.5 mL 5 mL/h\n")
    assert b"14406 steps" in plan and b"start" in plan  # 2.5e15 // 173530803503 = 14406
    assert b"state ready" in terminal.raw(b"status\n")
    assert b"run=1-1" in terminal.raw(b"start\n")
    assert terminal.bench.controller.state == "infusing"
    assert b"witnessed_steps=0" in terminal.raw(b"stop\n")
    assert b"E_LINE" in terminal.raw("infuse 5 µL 5 mL/h\n".encode())
    assert b"E_LINE" in terminal.raw(b"x" * 3000 + b"\n")
    assert terminal.raw(b"\n\r\n   \n") == b""


@pytest.mark.requirement("F7")
@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("rate", 5 * 10**15, "5 mL/h"),
        ("old", 25 * 10**14, "2.5 mL/h"),
        ("rate_al_per_h", 10**15, "1 mL/h"),
        ("t0", 1_234_567, "1234567 us"),
        ("given_al", 10**15, "1 mL"),
        ("remaining_nl", 2_500_000, "2.5 mL"),
        ("duration_ms", 90_000, "90 s"),
        ("ms_long", 3_600_000, "1 h"),
        ("witnessed_steps", 7, "7"),
        ("applies", True, "True"),
        ("uncertain_steps", None, "None"),
    ],
)
def test_a_fact_is_shown_with_its_unit(key, value, text):
    assert shown.fact(key, value) == f" {key}={text}"


@pytest.mark.requirement("F7")
def test_an_event_at_a_terminal_has_units(terminal):
    terminal.raw(b"load 50 mL\n")
    terminal.raw(b"infuse 2.5 mL 5 mL/h\n")
    text = terminal.raw(b"start\n").decode()
    (stretch,) = [line for line in text.splitlines() if " stretch " in line]
    assert " rate=5 mL/h " in stretch and " t0=0 us " in stretch and " tick_hz=1000000" in stretch


@pytest.mark.requirement("F7")
def test_the_protocol_names_the_unit_of_every_field_of_an_event():
    found = {"ms"}
    for file in FIRMWARE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("events.add"):
                found |= {keyword.arg for keyword in node.keywords if keyword.arg}
            elif isinstance(node, ast.FunctionDef) and node.name == "totals":
                for made in ast.walk(node):
                    if isinstance(made, ast.Dict):
                        found |= {key.value for key in made.keys if isinstance(key, ast.Constant)}
    assert {"rate", "t0", "given_al", "delivered_nl"} <= found
    text = (FIRMWARE.parents[1] / "docs" / "protocol.md").read_text(encoding="utf-8")
    table = text.split("## Fields of events")[1].split("##")[0]
    rows = [row.split("|") for row in table.splitlines() if row.startswith("| `")]
    listed = {name: row[2].strip() for row in rows for name in re.findall(r"`(\w+)`", row[1])}
    assert set(listed) == found
    assert {name: listed[name] for name in ("rate", "old")} == {"rate": "aL/h", "old": "aL/h"}
    for name, unit in listed.items():
        for suffix, its in (("_al", "aL"), ("_nl", "nL"), ("_ms", "ms"), ("_steps", "steps")):
            assert not name.endswith(suffix) or unit == its, name
