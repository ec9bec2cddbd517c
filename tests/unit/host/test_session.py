"""Framing, retransmits and deadlines, by pairs of sent and received lines."""

from __future__ import annotations

import binascii

import pytest
from unit.host.scripted import Scripted, ok, refuse, silence

from doseloop import wire
from doseloop.errors import LinkError, Refused, UsageError
from doseloop.session import Session

SHORT_S = 0.05


@pytest.fixture
def talk():
    sessions: list[Session] = []

    def start(*pairs, deadline_s: float = SHORT_S):
        transport = Scripted(*pairs)
        session = Session(transport, deadline_s=deadline_s)
        sessions.append(session)
        return session, transport

    yield start
    for session in sessions:
        session.close()
        assert session.transport.pairs == [], "requests that were never sent"


def test_a_frame_by_hand():
    # head = '!q 7 {"c":"status"} ', then its CRC-32 in 8 hex digits and a newline.
    head = b'!q 7 {"c":"status"} '
    line = head + b"%08x\n" % binascii.crc32(head)
    assert wire.encode("q", 7, {"c": "status"}) == line
    assert wire.decode(line) == ("q", 7, {"c": "status"})


def test_request_carries_session_and_growing_sequence(talk):
    session, transport = talk(("hello", ok(session=9)), ("status", ok(state="idle")))
    session.hello()
    assert session.request("status", {}) == {"state": "idle"}
    frames = [wire.decode(line) for line in transport.sent]
    assert [seq for _, seq, _ in frames] == [1, 2]
    assert [frame["s"] for _, _, frame in frames] == [None, 9]
    assert frames[0][2]["id"] != frames[1][2]["id"]
    assert all(len(frame["id"]) <= 24 for _, _, frame in frames)


def test_unanswered_request_is_sent_again_as_the_same_bytes(talk):
    session, transport = talk(("start", silence), ("start", silence), ("start", ok(run="1-1")))
    assert session.request("start", {}) == {"run": "1-1"}
    assert transport.sent[0] == transport.sent[1] == transport.sent[2]


def test_three_deadlines_then_no_reply(talk):
    session, _ = talk(*[("start", silence)] * 3)
    with pytest.raises(LinkError) as caught:
        session.request("start", {})
    assert caught.value.code == "E_NO_REPLY"
    assert caught.value.exit_code == 4


def test_garbled_request_is_sent_again_without_waiting(talk):
    def garbled(seq, ident, args):
        return [wire.encode("r", 0, {"id": None, "err": {"code": "E_FRAME", "message": ""}})]

    session, transport = talk(("pause", garbled), ("pause", ok()), deadline_s=60)
    assert session.request("pause", {}) == {}
    assert transport.sent[0] == transport.sent[1]


def test_late_answer_to_an_earlier_request_is_not_taken(talk):
    def late(seq, ident, args):
        return [
            wire.encode("r", seq - 1, {"id": "someone-else", "ok": {"stale": True}}),
            wire.encode("r", seq, {"id": ident, "ok": {"fresh": True}}),
        ]

    session, _ = talk(("status", late))
    assert session.request("status", {}) == {"fresh": True}


@pytest.mark.parametrize(
    ("code", "kind", "exit_code"),
    [("E_RATE_HIGH", Refused, 5), ("E_STATE", Refused, 5), ("E_UNIT", UsageError, 2)],
)
def test_refusal_keeps_limit_and_nearest(talk, code, kind, exit_code):
    session, _ = talk(("rate", refuse(code, "too high", limit="9 mL/h", nearest="9 mL/h")))
    with pytest.raises(kind) as caught:
        session.request("rate", {"rate_al_per_h": 10**20})
    assert caught.value.exit_code == exit_code
    assert (caught.value.limit, caught.value.nearest) == ("9 mL/h", "9 mL/h")


def test_plain_lines_are_kept_and_damaged_frames_are_counted(talk):
    session, transport = talk(("status", ok(state="idle")))
    good = wire.encode("e", 1, {"n": 1})
    transport.says(b"hello, human\r\n", good[:-4] + b"000\n", good[:9], good[9:])
    assert session.message(5.0) == ("e", {"n": 1})
    session.request("status", {})
    assert list(session.plain) == ["hello, human"]
    assert session.bad_frames == 1


def test_no_message_in_time_is_none(talk):
    session, _ = talk()
    assert session.message(0.01) is None


def test_port_that_goes_away_ends_every_call(talk):
    session, transport = talk()
    transport.vanishes()
    with pytest.raises(LinkError, match="went away"):
        session.message(5.0)
    with pytest.raises(LinkError, match="went away"):
        session.request("status", {})


def test_frame_longer_than_a_line_is_never_sent(talk):
    session, transport = talk()
    with pytest.raises(LinkError) as caught:
        session.request("put", {"data": "x" * 2000})
    assert caught.value.code == "E_SIZE"
    assert transport.sent == []
