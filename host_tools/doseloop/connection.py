"""One pump on a line: requests, and what it says by itself, over restarts and lost ports.

The base of pump.py's verbs. Events come in order, none twice, and those that got lost are fetched.
A pump that restarted is greeted anew; what only reads is asked again, what moves is not.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Protocol, Self

import msgspec

from doseloop import results
from doseloop.errors import LinkError
from doseloop.results import Event, Identity, Status, Telemetry
from doseloop.session import DEADLINE_S, Session
from doseloop.transport import Transport

_EVENTS_AT_ONCE = 8
_READS = frozenset("hello status events commands config_get plan watch alarms".split())


class Recorder(Protocol):
    """Whoever keeps what is received. Called in the caller's thread."""

    def event(self, pump: Identity, event: Event) -> None: ...
    def telemetry(self, pump: Identity, status: Status) -> None: ...
    def reply(self, pump: Identity, command: str, args: Any, ok: dict[str, Any]) -> None: ...


class Connection:
    """A session with one pump, and its place in the pump's events."""

    def __init__(
        self,
        transport: Transport,
        *,
        deadline_s: float = DEADLINE_S,
        recorder: Recorder | None = None,
        again: Callable[[str], Transport] | None = None,
    ) -> None:
        """Greet the pump. Raises `LinkError` when nothing answers as a pump does.

        `again` opens the port of a pump, by its serial number, that went away (`reopen`).
        """
        self.recorder = recorder
        self._again = again
        self._deadline_s = deadline_s
        self._watch_ms = 0
        self._session = Session(transport, deadline_s=deadline_s)
        self._ready: deque[Event | Telemetry] = deque()
        self.restarts = 0  # how often the pump restarted while this was open
        self.lost_events = 0  # events that the pump no longer had when they were asked for
        try:
            self._greet()
        except BaseException:
            self._session.close()
            raise
        self._cursor = self.identity.last_event

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the session and release the port. The pump goes on with what it was told."""
        self._session.bye()
        self._session.close()

    def reopen(self) -> None:
        """Try once to find again a pump that went away or fell silent, and go on with it.

        It may have restarted: `restarts` and `identity` tell. Raises `LinkError` or `NoPump`.
        """
        if self._again is None:
            raise LinkError(f"{self.port} can't be opened again")
        self._session.close()
        session = Session(self._again(self.identity.serial), deadline_s=self._deadline_s)
        try:
            identity = results.convert(session.hello(), Identity, "identity")
            if identity.serial != self.identity.serial:
                raise LinkError(
                    f"{session.transport.port} has another pump now: {identity.serial}"
                )
        except BaseException:
            session.close()
            raise
        self._session = session
        if identity.boot != self.identity.boot:
            self.restarts += 1
            self._cursor = 0
        self.identity = identity
        self._watch_again()

    @property
    def port(self) -> str:
        """Get the port's name."""
        return self._session.transport.port

    # -- reading ---------------------------------------------------------------------------

    def status(self) -> Status:
        """Get what the pump does now."""
        status = self._status(self._call("status"))
        if self.recorder is not None:
            self.recorder.telemetry(self.identity, status)
        return status

    def events(self, since: int = 0) -> Iterator[Event]:
        """Get the events of this boot after number `since`, as far as the pump has them."""
        while True:
            page = self._call("events", {"since": since, "max": _EVENTS_AT_ONCE})
            batch = [results.event(obj) for obj in page.get("events", [])]
            for event in batch:
                self._keep(event)
                yield event
            since = batch[-1].n if batch else since
            if not batch or since >= int(page.get("last", 0)):
                return

    def watch(self, period_ms: int) -> None:
        """Set how often the pump sends its status by itself, in ms of its clock; 0: never."""
        self._call("watch", {"ms": period_ms})
        self._watch_ms = period_ms

    # -- what the pump says by itself --------------------------------------------------------

    def follow(self, since: int) -> None:
        """Set after which event number `message` goes on; earlier ones are taken as known."""
        self._cursor = since

    def catch_up(self) -> Status:
        """Get the status, and make sure that every event up to it is ready for `message`."""
        status = self.status()
        if status.last_event > self._cursor:
            self._fill_gap(status.last_event)
        return status

    def wake(self) -> None:
        """Make a `message` that waits return None. May be called by a signal handler."""
        self._session.wake()

    def message(self, timeout_s: float) -> Event | Telemetry | None:
        """Return the next event or telemetry, None when none came in time."""
        deadline = time.monotonic() + timeout_s
        while not self._ready:
            if self._cursor < self.identity.last_event:
                self._fill_gap(self.identity.last_event)
                continue
            message = self._session.message(deadline - time.monotonic())
            if message is None:
                return None
            kind, obj = message
            if kind == "e":
                self._arrived(results.event(obj))
            else:
                self._take_status(self._status(obj))
        return self._ready.popleft()

    def _arrived(self, event: Event) -> None:
        if event.boot != self.identity.boot:
            self._restarted()
        elif event.n > self._cursor + 1:
            self._fill_gap(event.n)
        elif event.n == self._cursor + 1:
            self._keep(event)
            self._cursor = event.n
            self._ready.append(event)

    def _take_status(self, status: Status) -> None:
        # A lost event that no later one follows shows only here.
        if status.last_event > self._cursor:
            self._fill_gap(status.last_event)
        if self.recorder is not None:
            self.recorder.telemetry(self.identity, status)
        self._ready.append(Telemetry(status))

    def _fill_gap(self, last: int) -> None:
        start = self._cursor
        for event in self.events(start):
            self.lost_events += event.n - self._cursor - 1
            self._cursor = event.n
            self._ready.append(event)
        if self._cursor < last:  # dropped for good: the pump keeps a bounded number
            self.lost_events += last - self._cursor
            self._cursor = last

    def _restarted(self) -> None:
        self.restarts += 1
        self._greet()
        self._cursor = 0
        self._watch_again()

    def _watch_again(self) -> None:
        # A new session begins without telemetry.
        if self._watch_ms:
            self._session.request("watch", {"ms": self._watch_ms})

    def _keep(self, event: Event) -> None:
        if self.recorder is not None:
            self.recorder.event(self.identity, event)

    # -- plumbing ----------------------------------------------------------------------------

    def _greet(self) -> None:
        self.identity = results.convert(self._session.hello(), Identity, "identity")

    def _call(self, command: str, args: dict[str, Any] | None = None) -> dict[str, Any]:
        try:
            return self._session.request(command, args or {})
        except LinkError as error:
            if error.code != "E_SESSION":
                raise
        # The pump forgot our session: it restarted. Reading is safe to repeat, moving is not.
        self._restarted()
        if command in _READS:
            return self._session.request(command, args or {})
        raise LinkError(
            f"the pump has restarted; {command} was not sent again",
            code="E_RESTARTED",
            next="doseloop status",
        )

    def _status(self, obj: dict[str, Any]) -> Status:
        status = results.convert(obj, Status, "status")
        return msgspec.structs.replace(
            status, pump=msgspec.structs.replace(status.pump, port=self.port)
        )
