"""Who may be flashed: a pump that answers is asked first, and never while it works."""

import os
import sys
import threading

import pytest

from doseloop import resources
from doseloop.errors import LinkError, NoPump, Refused
from doseloop.flash import guard

if sys.platform == "win32":
    pytest.skip("pseudo-terminals are POSIX", allow_module_level=True)

import pty
import tty

wire = resources.firmware_module("wire")

IDENTITY = {
    "session": 1,
    "serial": "s",
    "firmware": "0.1.0",
    "protocol": 1,
    "boot": 1,
    "tick_hz": 1_000_000,
    "last_event": 0,
    "device_ms": 0,
    "hash": "ab" * 32,
}


class Answering:
    """A port on which something answers `hello` in a given state; keeps what it was asked."""

    def __init__(self, state: str | None, tier: str = "hardware") -> None:
        self.asked: list[str] = []
        self._state, self._tier = state, tier
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        buffer = b""
        while True:
            try:
                buffer += os.read(self._master, 1024)
            except OSError:
                return
            *lines, buffer = buffer.split(b"\n")
            for line in lines:
                _, seq, request = wire.decode(line.lstrip(b"\r"))
                if request["c"] == "end":
                    return
                self.asked.append(request["c"])
                if self._state is not None:
                    ok = dict(IDENTITY, state=self._state, tier=self._tier)
                    reply = wire.encode("r", seq, {"id": request["id"], "ok": ok})
                    os.write(self._master, reply)

    def close(self) -> None:
        os.write(self._slave, wire.encode("q", 9, {"c": "end"}))
        self._thread.join(5)
        os.close(self._slave)
        os.close(self._master)


@pytest.fixture
def answering():
    made = []

    def make(*args, **kwargs):
        made.append(Answering(*args, **kwargs))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.mark.parametrize("state", guard.MAY_FLASH)
def test_an_idle_pump_is_brought_to_its_prompt(answering, state):
    pump = answering(state)
    identity = guard.release(pump.port)
    assert identity is not None
    assert identity.state == state
    assert pump.asked == ["hello", "maintenance"]


@pytest.mark.parametrize(
    "state",
    [
        "selftest",
        "ready",
        "infusing",
        "withdrawing",
        "bolus",
        "kvo",
        "paused",
        "alarm",
        "interrupted",
    ],
)
def test_a_working_pump_is_left_alone(answering, state):
    pump = answering(state)
    with pytest.raises(Refused, match=state) as refused:
        guard.release(pump.port)
    assert refused.value.exit_code == 5
    assert "maintenance" not in pump.asked


def test_a_simulated_pump_is_not_a_board(answering):
    pump = answering("idle", tier="simulated")
    with pytest.raises(Refused, match="simulated"):
        guard.release(pump.port)
    assert pump.asked == ["hello"]


def test_a_board_that_says_nothing_is_a_blank_board(answering, monkeypatch):
    monkeypatch.setattr(guard, "_HELLO_S", 0.05)
    pump = answering(None)
    assert guard.release(pump.port) is None


def test_no_port_is_no_pump():
    with pytest.raises(NoPump):
        guard.release("/dev/doseloop-is-not-here")


def test_the_hash_is_taken_from_the_board_itself(answering):
    assert guard.await_hash(answering("idle").port, None) == "ab" * 32


def test_a_board_that_stays_away_is_named(answering, monkeypatch):
    monkeypatch.setattr(guard, "_HELLO_S", 0.05)
    with pytest.raises(LinkError, match="did not come back within 0.1 s") as late:
        guard.await_hash(answering(None).port, None, wait_s=0.1)
    assert "docs/deploy.md" in str(late.value.next)
