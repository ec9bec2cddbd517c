"""One conversation with one pump: requests with deadlines, and whatever the pump says by itself.

A reader thread sorts incoming frames into replies and messages; everything else happens in the
caller's thread. One request is outstanding at a time. A request that gets no answer is sent again
as the very same bytes: the pump knows its id, and never acts twice.
"""

from __future__ import annotations

import queue
import secrets
import threading
import time
from collections import deque
from typing import Any

from doseloop import errors, wire
from doseloop.errors import LinkError
from doseloop.transport import Transport

DEADLINE_S = 1.0  # for one try
TRIES = 3
_PLAIN_KEPT = 100

Message = tuple[str, dict[str, Any]]  # kind of frame ("e" or "t") and its object


class Session:
    """Requests and messages over one transport, which it closes in the end."""

    def __init__(self, transport: Transport, *, deadline_s: float = DEADLINE_S) -> None:
        self.transport = transport
        self.deadline_s = deadline_s
        self.plain: deque[str] = deque(maxlen=_PLAIN_KEPT)  # lines for people, newest last
        self.bad_frames = 0  # garbled lines seen; whoever waits for one of them asks again
        self._messages: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._replies: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._seq = 0
        self._session: int | None = None
        self._token = secrets.token_hex(4)
        self._failure: LinkError | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._read, name="doseloop-reader", daemon=True)
        self._thread.start()

    def hello(self) -> dict[str, Any]:
        """Open a session on the pump and return its identity; frames of older ones are void."""
        self._session = None
        reply = self.request("hello", {})
        self._session = int(reply["session"]) if "session" in reply else None
        return reply

    def request(self, command: str, args: dict[str, Any]) -> dict[str, Any]:
        """Send one request, return the `ok` object of its reply.

        Raises `LinkError` after `TRIES` deadlines, or the exception for the pump's refusal.
        """
        with self._lock:
            self._seq += 1
            ident = f"{self._token}-{self._seq}"
            frame = wire.encode(
                "q", self._seq, {"s": self._session, "id": ident, "c": command, "a": args}
            )
            for _ in range(TRIES):
                self._check()
                self.transport.write(frame)
                reply = self._await_reply(ident)
                if reply is not None:
                    break
            else:
                raise LinkError(
                    f"no reply to {command} from {self.transport.port}: {TRIES} tries, "
                    f"{self.deadline_s:g} s each",
                    code="E_NO_REPLY",
                )
        if "err" in reply:
            raise errors.from_device(reply["err"])
        ok = reply.get("ok")
        if not isinstance(ok, dict):
            raise LinkError(f"the reply to {command} has neither ok nor err", code="E_REPLY")
        return ok  # pyright: ignore[reportUnknownVariableType]

    def message(self, timeout_s: float) -> Message | None:
        """Return the next event or telemetry frame, None when none came in time."""
        self._check_if_empty()
        try:
            message = self._messages.get(timeout=max(timeout_s, 0))
        except queue.Empty:
            return None
        if message is None:
            self._check()
        return message

    def wake(self) -> None:
        """Make a `message` that waits return None. Safe in a signal handler."""
        self._messages.put(None)  # SimpleQueue.put is reentrant

    def bye(self) -> None:
        """Tell the pump that this session is over; no answer is waited for, nothing raised."""
        # Not while a request is under way: then the line is in doubt anyway.
        if self._session is None or self._failure or not self._lock.acquire(blocking=False):
            return
        try:
            self._seq += 1
            ident = f"{self._token}-{self._seq}"
            self.transport.write(
                wire.encode("q", self._seq, {"s": self._session, "id": ident, "c": "bye", "a": {}})
            )
        except LinkError:
            pass  # the port is gone, or takes nothing: the pump goes on all the same
        finally:
            self._lock.release()

    def close(self) -> None:
        """Release the port and end the reader thread."""
        self._closing = True
        self.transport.cancel()
        self._thread.join(timeout=1.0)
        self.transport.close()

    def _await_reply(self, ident: str) -> dict[str, Any] | None:
        deadline = time.monotonic() + self.deadline_s
        while True:
            try:
                reply = self._replies.get(timeout=max(deadline - time.monotonic(), 0))
            except queue.Empty:
                return None
            if reply is None:
                self._check()
            elif reply.get("id") == ident:
                return reply
            elif reply.get("id") is None:
                return None  # the pump got a garbled frame: ours. Send it again
            # else: the answer to an earlier try, late

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _check_if_empty(self) -> None:
        if self._messages.empty():
            self._check()

    def _read(self) -> None:
        pending = bytearray()
        limit = wire.max_line()
        while not self._closing:
            try:
                data = self.transport.read()
            except LinkError as error:
                if not self._closing:
                    self._failure = error
                    self._replies.put(None)
                    self._messages.put(None)
                return
            pending += data
            *lines, rest = pending.split(b"\n")
            # An endless line is noise; its frame would not be good anyway.
            pending = bytearray(rest[-limit:])
            for line in lines:
                self._sort(bytes(line))

    def _sort(self, line: bytes) -> None:
        if not line.startswith(b"!"):
            text = line.decode("utf-8", "replace").rstrip("\r")
            if text:
                self.plain.append(text)
            return
        try:
            kind, _, obj = wire.decode(line)
        except LinkError:
            self.bad_frames += 1
            return
        if kind == "r":
            self._replies.put(obj)
        elif kind in ("e", "t"):
            self._messages.put((kind, obj))
