"""Follow a run to its end, whoever started it: progress, events, alarms, signals.

Used by `run`, `infuse` and `withdraw`. The pump owns the dose: leaving this loop changes nothing
unless it stops the pump on purpose (Ctrl-C).
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from types import FrameType
from typing import Any

from doseloop import interruption, output, results
from doseloop.errors import DoseloopError, EndedShort, Interrupted, LinkError, NoPump
from doseloop.progress import Progress
from doseloop.pump import Pump
from doseloop.results import Delivered, Event, Status, Telemetry

MOVING = frozenset({"infusing", "withdrawing", "bolus", "priming", "kvo"})
IN_RUN = MOVING | {"paused", "alarm", interruption.STATE}
_SILENCE_S = 1.0  # the pump is asked when it has said nothing for so long
_STOP_S = 5.0  # a stop ramp is far shorter; with a held clock it would never end
REGAIN_S = 30.0  # a watchdog's reset takes 8 s, a cable that is plugged in again less
_REGAIN_EVERY_S = 0.3
_LOST = frozenset({"E_LINK", "E_NO_REPLY"})
_UPDATES = 200  # telemetry frames in one run
_LEAST_MS, _MOST_MS = 100, 3_600_000
_DEVICE_LEAST_MS = 20  # the pump refuses to report more often
_REPORTS_IN_SILENCE = 8  # telemetry frames in the silence that would stop a run
_ASKS_IN_SILENCE = 4  # requests in that time, at least: one may be lost, and its repeat


RESTARTED = "the pump restarted"  # the reason when it knows nothing of the run any more


class Detached(DoseloopError):
    """SIGTERM or SIGHUP: the pump goes on alone. The exit code is the shell's for the signal."""

    default_code = "E_DETACHED"
    default_next = "doseloop run --attach"

    def __init__(self, signum: int, run: str) -> None:
        super().__init__(f"detached; the pump goes on with run {run}")
        self.exit_code = 128 + signum  # pyright: ignore[reportAttributeAccessIssue]


@dataclass(frozen=True)
class Outcome:
    """How a run ended, or stands: steps and nanolitres as the pump booked them."""

    run: str
    reason: str
    ordered_steps: int
    commanded_steps: int
    witnessed_steps: int
    delivered_nl: int  # infused; nothing withdrawn is taken off it
    withdrawn_nl: int
    device_ms: int | None  # from its start event to its end, in the pump's time
    wall_ms: int
    alarm: str | None = None
    alarm_text: str | None = None
    uncertain_steps: int = 0  # that a loss of power may have kept from the counts
    beyond: str = ""  # the same in words
    why: str | None = None  # what keeps it from going on after a reset

    @property
    def complete(self) -> bool:
        """Whether all that was ordered was delivered, without an alarm."""
        return self.reason == "done" and self.alarm is None

    def as_json(self) -> dict[str, Any]:
        """Return it as one object."""
        values = asdict(self)
        del values["beyond"]
        return {"schema": 1, **values}

    def short(self) -> EndedShort:
        """Return the error for a run that is not complete."""
        why = f"{self.alarm}: {self.alarm_text}" if self.alarm else self.reason
        text, next_step = f"run {self.run} ended short ({why})", None
        if self.reason == interruption.STATE:
            text = f"the pump restarted; run {self.run} is interrupted and nothing moves"
            next_step = "doseloop resume goes on with the rest, doseloop stop ends it"
        elif self.reason in ("reset", RESTARTED):
            text = (
                f"the pump restarted; run {self.run} is over ({self.why or 'it kept no record'})"
            )
        text += (
            f": {self.witnessed_steps:,} of {self.ordered_steps:,} steps witnessed, "
            f"{output.ml(self.delivered_nl)} delivered"
        )
        return EndedShort(
            text + (f"; {self.beyond}" if self.beyond else ""),
            code=self.alarm or "A_ENDED_SHORT",
            next=next_step,
            details={"run": self.as_json()},
        )


def telemetry_ms(duration_ms: int, stop_ms: int | None = None) -> int:
    """Return how often the pump should report, in its ms, for a run of `duration_ms`.

    `stop_ms`: how long the host may be silent before the pump stops; None: for ever.
    """
    most = _MOST_MS
    if stop_ms is not None:
        most = max(_DEVICE_LEAST_MS, stop_ms // _REPORTS_IN_SILENCE)
    return min(most, max(_LEAST_MS, duration_ms // _UPDATES))


class Signals:
    """Which signal came, while installed; each also wakes the pump's `message`."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self.came: int | None = None
        self._wake = wake

    @contextmanager
    def installed(self) -> Generator[Signals]:
        """Catch SIGINT, SIGTERM and SIGHUP until the block ends."""
        names = ("SIGINT", "SIGTERM", "SIGHUP")
        numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
        old = {number: signal.signal(number, self._handle) for number in numbers}
        try:
            yield self
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        # Ctrl-C outweighs: whoever pressed it wants the motor to stand.
        if self.came != signal.SIGINT:
            self.came = signum
        self._wake()


class Follower:
    """One run being followed on an open pump."""

    def __init__(
        self,
        pump: Pump,
        run: str,
        progress: Progress,
        signals: Signals,
        *,
        stop_ms: int | None = None,
        begun: bool = False,
        regain_s: float = REGAIN_S,
        status: Status | None = None,
    ) -> None:
        """`stop_ms`: the pump stops when it hears nothing for so long, in its own time.

        `begun`: the run's start is known already; no event of an earlier run can come.
        `regain_s`: how long to wait for a pump that went away or fell silent. `status`: what is
        known already.
        """
        self._regain_s = regain_s
        self._pump = pump
        self._stop_ms = stop_ms
        self._silence_s = _SILENCE_S
        if stop_ms is not None:
            self._silence_s = min(_SILENCE_S, stop_ms / 1000 / _ASKS_IN_SILENCE)
        self._asked_ms: int | None = None  # the pump's time of the latest request
        self._begun = begun
        self._run = run
        self._boot = pump.identity.boot
        self._progress = progress
        self._signals = signals
        self._began = time.monotonic()
        self._start_ms: int | None = None
        self._lasted_ms: int | None = None  # since then, in the boot that it began in
        self._reset: Event | None = None
        self._end: Event | None = None
        self._alarm: Event | None = None
        self._status = status

    def follow(self) -> Outcome:
        """Return when the run has ended or an alarm holds it.

        Raises `Interrupted` (after stopping the pump), `Detached`, or `LinkError`.
        """
        while self._end is None:
            self._heed_signals()
            try:
                self._listen()
                if self._standing():
                    break
            except LinkError as error:
                if not self._regained(error):
                    error.next = (
                        "the pump goes on by itself, or stands if it lost power; then: "
                        "doseloop status, doseloop run --attach"
                    )
                    raise
        return self._outcome()

    def _listen(self) -> None:
        message = self._pump.message(self._silence_s)
        if isinstance(message, Event):
            self._take_event(message)
        elif message is not None:
            self._take_status(message.status)
        if self._signals.came is None and (message is None or self._is_due(message)):
            status = self._pump.catch_up()
            self._asked_ms = status.device_ms
            self._take_status(status)

    def _regained(self, error: LinkError) -> bool:
        """Wait for a pump that went away or fell silent; return whether it is there again."""
        if error.code not in _LOST or not self._regain_s:
            return False
        self._progress.say(f"{error.message}: waiting up to {self._regain_s:g} s for the pump")
        deadline = time.monotonic() + self._regain_s
        while self._signals.came is None and time.monotonic() < deadline:
            try:
                self._pump.reopen()
            except (LinkError, NoPump):
                time.sleep(_REGAIN_EVERY_S)
            else:
                self._progress.say("the pump answers again")
                return True
        return False

    def _heed_signals(self) -> None:
        came = self._signals.came
        if came is None:
            return
        if came != signal.SIGINT:
            self._pump.watch(0)
            raise Detached(came, self._run)
        delivered = stop_and_count(self._pump)
        raise Interrupted(
            f"stopped by Ctrl-C: run {self._run} delivered {output.ml(delivered.delivered_nl)}, "
            f"{delivered.witnessed_steps:,} of {delivered.ordered_steps:,} steps witnessed",
            details={"run": {"schema": 1, "reason": "stop", **_counts(delivered)}},
        )

    def _is_due(self, message: Event | Telemetry) -> bool:
        """Whether the pump must hear from us, lest it takes a host that listens for dead.

        Counted in the pump's time, which a simulation may speed up.
        """
        if self._stop_ms is None or not isinstance(message, Telemetry):
            return False
        if self._asked_ms is None:
            return True
        # The next frame comes a period later: then it must not be too late.
        late = self._stop_ms // _ASKS_IN_SILENCE - self._stop_ms // _REPORTS_IN_SILENCE
        return message.status.device_ms - self._asked_ms >= late

    def _take_event(self, event: Event) -> None:
        self._begun = self._begun or event.run == self._run
        if not self._begun or event.run not in (None, self._run):
            return  # fetched for the records only: an earlier run's
        if event.name == "start" and event.run == self._run:
            self._start_ms = event.ms
        elif event.name in ("end", "stop") and event.run == self._run:
            self._end = event
        elif event.name == "alarm":
            self._progress.say(f"ALARM {event.data.get('code')}: {event.data.get('text')}")
            if event.data.get("priority") != "low":
                self._alarm = event
        elif event.name == interruption.STATE:
            self._reset = event
        elif event.name in ("near_empty", "pause", "resume", "rate", "clear"):
            word = event.name.replace("_", " ")
            facts = output.describe(event)
            self._progress.say(f"{output.clock(event.ms)} {word} {facts}".rstrip())
        if event.name == "clear" and self._alarm_code() == event.data.get("code"):
            self._alarm = None

    def _alarm_code(self) -> Any:
        return None if self._alarm is None else self._alarm.data.get("code")

    def _take_status(self, status: Status) -> None:
        if self._start_ms is not None and self._pump.identity.boot == self._boot:
            self._lasted_ms = status.device_ms - self._start_ms
        self._status = status
        self._progress.update(status)

    def _standing(self) -> bool:
        """Whether the run can't go on without a person; its last events are read then."""
        restarted = self._pump.identity.boot != self._boot
        moving = self._status is None or self._status.state in MOVING
        if not restarted and self._alarm is None and moving:
            return False
        status = self._pump.catch_up()
        while (message := self._pump.message(0)) is not None:
            if isinstance(message, Event):
                self._take_event(message)
        self._take_status(status)
        if restarted and (status.run is None or status.run.id != self._run):
            return True
        if self._end is None and status.state == "paused":
            self._alarm = None  # somebody cleared it meanwhile
            return False
        return self._end is not None or status.state not in MOVING

    def _outcome(self) -> Outcome:
        end, run = self._end, None if self._status is None else self._status.run
        counts: dict[str, Any] = {}
        if end is not None:
            counts = end.data
        elif run is not None and run.id == self._run:
            counts = {name: getattr(run, name) for name in _COUNTS}
        if end is not None:
            reason = str(end.data.get("reason", end.name))
        elif self._status is not None and self._status.state == interruption.STATE:
            reason = interruption.STATE
        elif self._pump.identity.boot != self._boot:
            reason = RESTARTED
        else:
            reason = "alarm" if self._alarm is not None else "its end was not seen"
        device_ms = self._lasted_ms
        if end is not None and end.boot == self._boot and self._start_ms is not None:
            device_ms = end.ms - self._start_ms
        alarm = None if self._alarm is None else self._alarm.data
        numbers = {name: int(counts.get(name, 0)) for name in _COUNTS}
        syringe = None if self._status is None else self._status.syringe
        lost = None if self._reset is None else self._reset.data
        uncertain = int((lost or {}).get("uncertain_steps") or 0)
        if run is not None and run.id == self._run:
            uncertain = run.uncertain_steps
        withdrawn_nl = results.withdrawn_nl(
            numbers["witnessed_steps"],
            numbers["delivered_nl"],
            0 if syringe is None else syringe.al_per_step,
            int(counts.get("primed_nl", 0)),
        )
        return Outcome(
            run=self._run,
            reason=reason,
            **numbers,
            withdrawn_nl=withdrawn_nl,
            device_ms=device_ms,
            wall_ms=round((time.monotonic() - self._began) * 1000),
            alarm=None if alarm is None else str(alarm.get("code")),
            alarm_text=None if alarm is None else str(alarm.get("text")),
            uncertain_steps=uncertain,
            beyond=interruption.beyond(uncertain, 0 if syringe is None else syringe.al_per_step),
            why=None if lost is None else lost.get("why"),
        )


_COUNTS = ("ordered_steps", "commanded_steps", "witnessed_steps", "delivered_nl")


def stop_and_count(pump: Pump) -> Delivered:
    """Stop the pump, wait for the end of its ramp, return the final count."""
    delivered = pump.stop()
    deadline = time.monotonic() + _STOP_S
    while time.monotonic() < deadline:
        if pump.catch_up().state not in MOVING:
            return pump.stop()  # it stands: this only reads the totals
        pump.message(0.05)
    return delivered


def _counts(delivered: Delivered) -> dict[str, Any]:
    return {"run": delivered.run, **{name: getattr(delivered, name) for name in _COUNTS}}
