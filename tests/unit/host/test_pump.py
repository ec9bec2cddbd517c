"""What `Pump` adds to a session: order and completeness of events, restarts, versions, uploads."""

from __future__ import annotations

from typing import Any

import pytest
from unit.host.scripted import IDENTITY, Scripted, ok, refuse

from doseloop import wire
from doseloop.errors import LinkError, Refused, UsageError, VersionMismatch
from doseloop.pump import Pump
from doseloop.results import Event, Telemetry

STATUS: dict[str, Any] = {
    "schema": 1,
    "pump": {"serial": "00a1", "firmware": "0.1.0", "protocol": 1, "board": "b", "tier": "t"},
    "state": "idle",
    "device_ms": 5,
    "last_event": 0,
    "run": None,
    "rate_al_per_h": 0,
    "tick_hz": 1_000_000,
    "syringe": None,
    "library": None,
    "alarms": [],
}


def event(n: int, boot: int = 3, name: str = "stretch") -> dict[str, Any]:
    return {"n": n, "boot": boot, "ms": n * 10, "e": name, "run": "3-1", "k": n}


def frame(n: int, boot: int = 3, name: str = "stretch") -> bytes:
    return wire.encode("e", n, event(n, boot, name))


def page(*numbers: int, boot: int = 3, last: int):
    return ok(events=[event(n, boot) for n in numbers], last=last, first=1, boot=boot)


@pytest.fixture
def opened():
    pumps: list[Pump] = []

    def start(*pairs, **identity):
        transport = Scripted(("hello", ok(**{**IDENTITY, **identity})), *pairs)
        pump = Pump(transport, deadline_s=0.05)
        pumps.append(pump)
        return pump, transport

    yield start
    for pump in pumps:
        pump.close()
        assert pump._session.transport.pairs == [], "requests that were never sent"


def numbers(pump: Pump, count: int) -> list[int]:
    found = [pump.message(5.0) for _ in range(count)]
    assert all(isinstance(message, Event) for message in found)
    return [message.n for message in found]


def test_events_come_in_order_and_none_twice(opened):
    pump, transport = opened()
    transport.says(frame(1), frame(2), frame(2), frame(1), frame(3))
    assert numbers(pump, 3) == [1, 2, 3]
    assert pump.message(0) is None


def test_a_gap_is_fetched_before_what_follows_it(opened):
    pump, transport = opened(("events", page(2, 3, last=4)), ("events", page(4, last=4)))
    transport.says(frame(1), frame(4))
    assert numbers(pump, 4) == [1, 2, 3, 4]
    assert transport.args[1:] == [{"since": 1, "max": 8}, {"since": 3, "max": 8}]
    assert pump.lost_events == 0


def test_a_lost_last_event_shows_in_the_telemetry(opened):
    pump, transport = opened(("events", page(1, 2, last=2)))
    transport.says(wire.encode("t", 1, {**STATUS, "last_event": 2}))
    assert numbers(pump, 2) == [1, 2]
    assert isinstance(pump.message(5.0), Telemetry)


def test_follow_fetches_what_was_missed_while_away(opened):
    pump, _ = opened(("events", page(4, 5, last=5)), last_event=5)
    pump.follow(3)
    assert numbers(pump, 2) == [4, 5]


def test_events_the_pump_no_longer_has_are_counted_as_lost(opened):
    pump, _ = opened(("events", page(8, 9, last=9)), last_event=9)
    pump.follow(3)
    assert numbers(pump, 2) == [8, 9]
    assert pump.lost_events == 4  # 4, 5, 6, 7


def test_a_restart_is_greeted_and_nothing_is_started_again(opened):
    pump, transport = opened(
        ("hello", ok(**{**IDENTITY, "boot": 4, "session": 1, "last_event": 1})),
        ("events", page(1, boot=4, last=1)),
    )
    transport.says(frame(1), frame(1, boot=4, name="boot"))
    assert numbers(pump, 2) == [1, 1]
    assert (pump.restarts, pump.identity.boot) == (1, 4)
    sent = [wire.decode(line)[2]["c"] for line in transport.sent]
    assert sent == ["hello", "hello", "events"]


def test_motion_is_not_repeated_after_a_restart(opened):
    pump, _ = opened(("resume", refuse("E_SESSION")), ("hello", ok(**{**IDENTITY, "boot": 4})))
    with pytest.raises(LinkError) as caught:
        pump.resume()
    assert caught.value.code == "E_RESTARTED"


def test_reading_is_repeated_after_a_restart(opened):
    pump, _ = opened(
        ("status", refuse("E_SESSION")),
        ("hello", ok(**{**IDENTITY, "boot": 4})),
        ("status", ok(**STATUS)),
    )
    assert pump.status().state == "idle"


def test_a_break_goes_before_stop_and_pause_and_nothing_else(opened):
    pump, transport = opened(("status", ok(**STATUS)), ("pause", ok()), ("stop", ok()))
    before = len(transport.sent)
    pump.status()
    pump.pause()
    pump.stop()
    assert transport.breaks == [before + 1, before + 2]


def test_another_protocol_version_reads_and_stops_but_does_not_move(opened):
    pump, transport = opened(
        ("status", ok(**STATUS)), ("stop", ok()), protocol=wire.protocol() + 1
    )
    pump.status()
    pump.stop()
    for move in (
        pump.start,
        pump.resume,
        lambda: pump.infuse(volume_al=1, rate_al_per_h=1),
        lambda: pump.order("text"),
        lambda: pump.push_config("text"),
        lambda: pump.set_rate(1),
        lambda: pump.propose_rate(1),
        lambda: pump.propose_config("text"),
        lambda: pump.confirm("00"),
        lambda: pump.load(1),
    ):
        with pytest.raises(VersionMismatch) as caught:
            move()
        assert caught.value.exit_code == 7
        assert caught.value.next == "doseloop flash --port scripted"
    assert len(transport.sent) == 3


def test_a_sealed_text_travels_in_parts_that_fit_a_line(opened):
    text = '"' * 1000  # each quote is two bytes in JSON: 512 of them pass the line's 1024

    def put(seq, ident, args):
        return ok(size=args["offset"] + len(args["data"]))(seq, ident, args)

    plan = {"ordered_steps": 1, "duration_ms": 1, "stretches": [], "order_crc": "00"}
    pump, transport = opened(*[("put", put)] * 4, ("order", ok(**plan)))
    assert pump.order(text).ordered_steps == 1
    parts = transport.args[1:5]
    assert "".join(part["data"] for part in parts) == text
    assert [part["offset"] for part in parts] == [0, 256, 512, 768]
    assert transport.args[5] == {"size": 1000}


def test_a_change_is_proposed_then_confirmed_by_the_digest_of_what_was_shown(opened):
    rate = {"digest": "0a0b", "old": "5 mL/h", "new": "6 mL/h", "new_al_per_h": 6}
    config = {"digest": "0c0d", "old": None, "new": "b with s", "keeps_ms": 60_000}
    pump, transport = opened(
        ("rate", ok(**rate)), ("confirm", ok(rate_al_per_h=6)),
        ("rate", ok(**rate)),
        ("put", ok(size=4)), ("config", ok(**config)), ("confirm", ok(config_crc="0c0d")),
        ("confirm", refuse("E_CONFIRM")),
    )  # fmt: skip
    pump.set_rate(6)
    change = pump.propose_rate(6)
    assert (change.old, change.new, change.new_al_per_h) == ("5 mL/h", "6 mL/h", 6)
    assert pump.push_config("text") == "0c0d"
    with pytest.raises(Refused) as caught:
        pump.confirm(change.digest)
    assert caught.value.exit_code == 5
    digests = [args["digest"] for args in transport.args if "digest" in args]
    assert digests == ["0a0b", "0c0d", "0a0b"]


def test_closing_says_goodbye_once_and_waits_for_nothing():
    transport = Scripted(("hello", ok(**IDENTITY)))
    Pump(transport, deadline_s=60).close()
    assert transport.goodbyes == 1


def test_closing_a_port_that_went_away_raises_nothing():
    transport = Scripted(("hello", ok(**IDENTITY)))
    pump = Pump(transport, deadline_s=0.05)

    def gone(data: bytes) -> None:
        raise LinkError("gone")

    transport.write = gone
    pump.close()


def test_exactly_two_of_three_are_wanted(opened):
    pump, _ = opened()
    for given in ({}, {"volume_al": 1}, {"volume_al": 1, "rate_al_per_h": 1, "duration_ms": 1}):
        with pytest.raises(UsageError, match="exactly two"):
            pump.infuse(**given)


def test_a_reply_that_makes_no_sense_is_a_link_error(opened):
    pump, _ = opened(("status", ok(**{**STATUS, "state": 5})))
    with pytest.raises(LinkError, match=r"status makes no sense.*state"):
        pump.status()


def test_a_pump_is_found_again_on_another_port():
    scripts = [
        Scripted(("hello", ok(**{**IDENTITY, "serial": "00b2"}))),
        Scripted(("hello", ok(**{**IDENTITY, "boot": 4, "last_event": 2})), ("watch", ok()),
                 ("events", page(1, 2, boot=4, last=2))),
    ]  # fmt: skip
    asked: list[str] = []

    def again(serial: str) -> Scripted:
        asked.append(serial)
        return scripts.pop(0)

    first = Scripted(("hello", ok(**IDENTITY)), ("watch", ok()))
    with Pump(first, deadline_s=0.05, again=again) as pump:
        pump.watch(500)
        first.says(frame(1))
        assert numbers(pump, 1) == [1]
        first.vanishes()
        with pytest.raises(LinkError, match="went away"):
            pump.message(5.0)
        with pytest.raises(LinkError, match="another pump now: 00b2"):
            pump.reopen()
        assert pump.identity.boot == 3
        pump.reopen()
        assert (pump.restarts, pump.identity.boot, asked) == (1, 4, ["00a1", "00a1"])
        assert numbers(pump, 2) == [1, 2]


def test_a_cable_that_was_plugged_in_again_loses_no_event():
    later = Scripted(("hello", ok(**{**IDENTITY, "last_event": 3})),
                     ("events", page(2, 3, last=3)))  # fmt: skip
    first = Scripted(("hello", ok(**IDENTITY)))
    with Pump(first, deadline_s=0.05, again=lambda serial: later) as pump:
        first.says(frame(1))
        assert numbers(pump, 1) == [1]
        pump.reopen()
        assert numbers(pump, 2) == [2, 3]
        assert pump.restarts == 0


def test_a_transport_of_ones_own_is_not_opened_again(opened):
    pump, _ = opened()
    with pytest.raises(LinkError, match="can't be opened again"):
        pump.reopen()
