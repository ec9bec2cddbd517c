"""A transport that plays a list of requests and answers. What is not in the list raises."""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import Any

from doseloop import wire
from doseloop.errors import LinkError

IDENTITY = {
    "session": 1,
    "serial": "00a1",
    "firmware": "0.1.0",
    "protocol": wire.protocol(),
    "boot": 3,
    "tick_hz": 1_000_000,
    "state": "idle",
    "last_event": 0,
    "device_ms": 0,
}
Answer = Callable[[int, str, dict[str, Any]], list[bytes]]


def ok(**fields: Any) -> Answer:
    """Answer a request with `ok`."""
    return lambda seq, ident, args: [wire.encode("r", seq, {"id": ident, "ok": fields})]


def refuse(code: str, message: str = "no", **fields: Any) -> Answer:
    """Answer a request with `err`."""
    err = {"code": code, "message": message, "limit": None, "nearest": None, "next": None}
    return lambda seq, ident, args: [
        wire.encode("r", seq, {"id": ident, "err": {**err, **fields}})
    ]


def silence(seq: int, ident: str, args: dict[str, Any]) -> list[bytes]:
    """Answer nothing."""
    return []


class Scripted:
    """`pairs`: (command, answer), in the order in which requests must come."""

    port = "scripted"

    def __init__(self, *pairs: tuple[str, Answer]) -> None:
        self.pairs = list(pairs)
        self.sent: list[bytes] = []
        self.goodbyes = 0
        self.breaks: list[int] = []  # how many requests had been sent before each
        self.args: list[dict[str, Any]] = []
        self._incoming: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def write(self, data: bytes) -> None:
        kind, seq, request = wire.decode(data)
        assert kind == "q"
        if request["c"] == "bye":  # the end of any session; never answered here
            self.goodbyes += 1
            return
        self.sent.append(data)
        assert self.pairs, f"unexpected request: {request}"
        command, answer = self.pairs.pop(0)
        assert request["c"] == command
        self.args.append(request["a"])
        for line in answer(seq, request["id"], request["a"]):
            self._incoming.put(line)

    def says(self, *lines: bytes) -> None:
        """Let the pump say something by itself."""
        for line in lines:
            self._incoming.put(line)

    def vanishes(self) -> None:
        """Unplug it."""
        self._incoming.put(b"GONE")

    def read(self) -> bytes:
        data = self._incoming.get()
        if data == b"GONE":
            raise LinkError("scripted went away")
        return data or b""

    def send_break(self) -> None:
        self.breaks.append(len(self.sent))

    def cancel(self) -> None:
        self._incoming.put(None)

    def close(self) -> None:
        pass
