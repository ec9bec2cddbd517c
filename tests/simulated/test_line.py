"""The serial line itself: damaged, repeated, delayed and endless input, and a deaf host."""

from __future__ import annotations

import json
import os

import pytest
import serial
from patience import wait_for

from doseloop import Pump, wire
from doseloop.errors import LinkError
from doseloop.sim import faults
from doseloop.transport import SerialTransport

ML = 10**15


class Raw:
    """A serial port in the hands of somebody who keeps no rules."""

    def __init__(self, port: str) -> None:
        self._serial = serial.Serial(port, timeout=5, exclusive=True)

    def send(self, data: bytes) -> None:
        self._serial.write(data)

    def line(self) -> bytes:
        line = self._serial.readline()
        assert line.endswith(b"\n"), f"no line came, only {line!r}"
        return line

    def reply(self) -> dict:
        """Return the next reply frame; events and plain lines in front of it are passed over."""
        while True:
            line = self.line()
            if line.startswith(b"!r"):
                return wire.decode(line)[2]

    def hello(self) -> int:
        self.send(wire.encode("q", 1, {"s": None, "id": "h1", "c": "hello", "a": {}}))
        return self.reply()["ok"]["session"]

    def close(self) -> None:
        self._serial.close()


@pytest.fixture
def pump(sim, cli):
    started = sim()
    cli("load", "40 mL", "--port", started.port)
    return started


@pytest.fixture
def raw(pump):
    line = Raw(pump.port)
    yield line
    line.close()


def frame(session: int, seq: int, command: str, ident: str = "", **args: object) -> bytes:
    body = {"s": session, "id": ident or f"r{seq}", "c": command, "a": args}
    return wire.encode("q", seq, body)


def test_damaged_frames_change_nothing(raw):
    session = raw.hello()
    good = frame(session, 2, "infuse", volume_al=ML, rate_al_per_h=60 * ML)
    last = 0x30 + (good[-2] - 0x30 + 1) % 10 if chr(good[-2]).isdigit() else ord("0")
    damaged = [
        good[:-2] + bytes([last]) + b"\n",  # wrong CRC
        good[:40] + b"\n",  # truncated
        good.replace(b"infuse", b"infusf"),  # one bit flipped
        good[:30] + good,  # a line that was cut off runs into a whole one
        b"!" * 3000 + b"\n",  # longer than a line may be
        b"!q 2 {} 00000000\n",
        b"!\n",
    ]
    for line in damaged:
        raw.send(line)
        error = raw.reply()["err"]
        assert error["code"] in ("E_CRC", "E_FRAME", "E_LINE"), line
    raw.send(frame(session, 3, "status"))
    assert raw.reply()["ok"]["state"] == "idle"


def test_a_repeated_frame_gets_the_same_reply_and_acts_once(raw, pump):
    session = raw.hello()
    raw.send(frame(session, 2, "infuse", volume_al=ML, rate_al_per_h=60 * ML))
    assert "ok" in raw.reply()
    start = frame(session, 3, "start")
    raw.send(start + start)
    first, second = raw.reply(), raw.reply()
    assert first == second
    raw.send(frame(session, 4, "stop"))
    assert raw.reply()["ok"]["run"] == first["ok"]["run"]
    # Delayed: the very same bytes after the stop must not start it again.
    raw.send(start)
    assert raw.reply() == first
    raw.send(frame(session, 5, "status"))
    assert raw.reply()["ok"]["state"] == "idle"


def test_old_sequence_numbers_and_old_sessions_are_refused(raw):
    session = raw.hello()
    raw.send(frame(session, 5, "status"))
    assert "ok" in raw.reply()
    raw.send(frame(session, 4, "status", ident="late"))
    assert raw.reply()["err"]["code"] == "E_STALE"
    raw.send(frame(session + 1, 6, "status"))
    assert raw.reply()["err"]["code"] == "E_SESSION"


def test_plain_words_are_for_people(raw):
    raw.send(b"status\n")
    assert wait_for(lambda: b"idle" in raw.line())
    raw.send(b"infuse 2.5 mL 5\n")
    assert wait_for(lambda: b"E_" in raw.line())


def test_after_a_program_has_gone_a_person_reads_plain_lines_again(pump):
    with Pump.open(pump.port) as device:
        device.status()
    line = Raw(pump.port)
    try:
        line.send(b"load 30 mL\n")
        said = [line.line()]
        while not said[-1].startswith(b"ok "):
            said.append(line.line())
    finally:
        line.close()
    # The answer to the goodbye itself may be among them: nobody was there to read it.
    assert not [text for text in said if text.startswith((b"!e", b"!t"))]


def test_something_that_is_no_pump_is_a_link_error(home):
    master, terminal = os.openpty()
    try:
        with pytest.raises(LinkError) as caught:
            Pump(SerialTransport(os.ttyname(terminal)), deadline_s=0.05)
    finally:
        os.close(master)
        os.close(terminal)
    assert caught.value.code == "E_NO_REPLY"


@pytest.mark.requirement("A16")
def test_a_host_that_stops_reading_never_delays_the_pump(pump, raw):
    session = raw.hello()
    raw.send(frame(session, 2, "infuse", volume_al=ML, rate_al_per_h=60 * ML))
    raw.send(frame(session, 3, "watch", ms=100))
    raw.send(frame(session, 4, "start"))
    for _ in range(3):
        assert "ok" in raw.reply()
    # A minute of telemetry every 100 ms: far more than all buffers on the way hold.
    pump.ask("advance 60")
    status = pump.ask("status")
    # 1 mL at 60 mL/h takes that minute, less the time of the fraction of a step.
    assert not status["moving"]
    raw.close()
    with Pump.open(pump.port) as device:
        now = device.status()
        assert now.run is not None
        assert now.run.witnessed_steps == now.run.ordered_steps == status["edges"]


def test_control_commands_that_make_no_sense_are_told(pump):
    for command in ("advance", "advance -1", "frobnicate", "fault clock_back", "fault nonsense"):
        answer = pump.try_to(command)
        assert answer["ok"] is False
        assert answer["error"]


def test_virtual_time_moves_only_when_told(pump):
    before = pump.ask("status")["now_ns"]
    assert pump.ask("status")["now_ns"] == before
    assert pump.ask("advance 12.5")["now_ns"] == before + 12_500_000_000


def test_every_fault_that_is_offered_has_a_model(pump):
    for name in faults.MODELLED:
        if name in ("power_cut", "main_hang", "isr_exception", "tick_dead"):
            continue  # these end this pump; each has its own test
        value = {"end_switch": "front", "open_wire": "dir", "driver": "silent"}.get(name, "1")
        assert pump.ask(f"fault {name} {value}"), name
        assert pump.ask(f"clear {name}"), name


def test_the_registry_names_what_runs_and_forgets_what_was_killed(pump, cli, home):
    (entry,) = [json.loads(path.read_text()) for path in (home / "sims").glob("*.json")]
    assert (entry["pid"], entry["port"]) == (pump.process.pid, pump.port)
    pump.process.kill()
    pump.process.wait()
    assert cli("ports", "--json").json["ports"] == []
    assert list((home / "sims").iterdir()) == []


def test_a_killed_simulator_is_followed_by_another_with_the_same_link_and_flash(
    sim, cli, tmp_path
):
    again = ("--link", "port", "--state", "flash")
    first = sim("--board", "pico_a4988", "--syringe", "bd-plastipak-20", *again)
    before = cli("info", "--port", "port", "--json").json
    taken = cli("sim", "--link", "port")
    assert (taken.code, "E_USAGE" in taken.err) == (2, True)
    first.process.kill()
    first.process.wait()
    sim(*again)
    after = cli("info", "--port", "port", "--json").json
    assert after["boot"] == before["boot"] + 1
    for key in ("serial", "config_crc", "config"):
        assert after[key] == before[key]
