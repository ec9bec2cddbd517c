"""Plain words at a terminal."""

import pytest
from unit.firmware.bench import commands, configuration, errors
from unit.firmware.wire_host import Host


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
    assert commands.parse_words(line) == (name, args)


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
        commands.parse_words(line)
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
