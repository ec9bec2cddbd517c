"""Following a run: how often the pump reports, and is spoken to, and what counts as withdrawn."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest

from doseloop import running
from doseloop.errors import LinkError, NoPump
from doseloop.order import stop_ms_of
from doseloop.progress import Progress
from doseloop.results import (
    Event,
    Identity,
    PumpId,
    RunState,
    Status,
    SyringeState,
    Telemetry,
    withdrawn_nl,
)

AL = 173_530_803_503  # one microstep of a 50 mL syringe


@pytest.mark.parametrize(
    ("duration_ms", "stop_ms", "period_ms"),
    [
        (0, None, 100),
        (7_200_000, None, 36_000),
        (10**12, None, 3_600_000),
        (7_200_000, 60_000, 7_500),
        (60_000, 60_000, 300),
        (60_000, 400, 50),
        (60_000, 1, 20),  # the pump reports no faster
    ],
)
def test_telemetry_is_frequent_enough_for_a_picture_and_for_the_link(
    duration_ms, stop_ms, period_ms
):
    assert running.telemetry_ms(duration_ms, stop_ms) == period_ms


@pytest.mark.parametrize(("infused", "withdrawn"), [(0, 0), (5762, 0), (5762, 2881), (0, 1)])
def test_withdrawn_volume_follows_from_the_counts(infused, withdrawn):
    delivered = infused * AL // 10**9
    assert withdrawn_nl(infused + withdrawn, delivered, AL) == withdrawn * AL // 10**9


@pytest.mark.parametrize(
    ("text", "stop_ms"),
    [
        ('on_link_loss = "stop:60 s"', 60_000),
        ('on_link_loss = "continue"', None),
        ("", None),
        ("not TOML", None),
        ('on_link_loss = "stop:soon"', None),
    ],
)
def test_the_silence_that_a_recorded_order_allows(text, stop_ms):
    assert stop_ms_of(text) == stop_ms


class Clockwork:
    """As much of a pump as a follower sees: telemetry every 7.5 s of its time, then the end."""

    identity = Identity(1, "00a1", "0.1.0", 1, 3, 10**6, "infusing", 0, 0)

    def __init__(self) -> None:
        self.ms = 0
        self.asked: list[int] = []

    def status(self) -> Status:
        run = RunState("3-1", 1, 1, 1, 1, 1, 1, 1)
        return Status(1, PumpId("00a1", "0.1.0", 1), "infusing", self.ms, 0, run, 1, 10**6, None)

    def message(self, timeout_s: float) -> Event | Telemetry:
        self.ms += 7_500
        if self.ms > 300_000:
            return Event(1, 3, self.ms, "end", "3-1", {"reason": "done"})
        return Telemetry(self.status())

    def catch_up(self) -> Status:
        self.asked.append(self.ms)
        return self.status()


def followed(stop_ms: int | None) -> list[int]:
    """Return when, in the pump's ms, a follower asked it for something."""
    pump = Clockwork()
    signals = running.Signals(lambda: None)
    with Progress(1, plain=True) as progress:
        running.Follower(pump, "3-1", progress, signals, stop_ms=stop_ms).follow()
    return pump.asked


def test_a_listening_host_speaks_four_times_in_the_silence_that_would_stop_the_pump():
    asked = followed(60_000)
    gaps = [after - before for before, after in pairwise([0, *asked])]
    assert max(gaps) <= 15_000
    assert asked[-1] >= 285_000


def test_a_host_whose_silence_is_harmless_only_listens():
    assert followed(None) == []


class Restarting(Clockwork):
    """One whose power fails at 60 s; the script says what its port does then."""

    def __init__(self, *script: Exception | None, state: str = "interrupted") -> None:
        super().__init__()
        self.script = list(script)
        self.state = state
        self.tried = 0
        self.queue: list[Event] = []

    def _comes_back(self) -> None:
        self.identity = Identity(1, "00a1", "0.1.0", 1, 4, 10**6, self.state, 3, 0)
        self.ms = 0
        counts = {"commanded_steps": 7, "witnessed_steps": 7, "booked_in": 7}
        why = None if self.state == "interrupted" else "it was held, and nobody holds it now"
        self.queue = [
            Event(1, 4, 0, "boot", None, {}),
            Event(2, 4, 0, "interrupted", "3-1", {**counts, "uncertain_steps": 5, "why": why}),
            Event(3, 4, 0, "alarm", None, {"code": "A_RESET", "priority": "high", "text": "x"}),
        ]

    def status(self) -> Status:
        now = super().status()
        if self.identity.boot == 3:
            return now
        run = RunState("3-1", 1, 9, 7, 7, 7 * AL // 10**9, 1, 1, uncertain_steps=5)
        syringe = SyringeState("s", AL, 0, 0)
        return msgspec.structs.replace(now, state=self.state, run=run, syringe=syringe)

    def message(self, timeout_s: float) -> Event | Telemetry | None:
        if self.queue:
            return self.queue.pop(0)
        if self.identity.boot == 4:
            return None
        self.ms += 7_500
        if self.ms < 60_000:
            return Telemetry(self.status())
        if self.script:
            raise LinkError("it went away")
        self._comes_back()
        return self.queue.pop(0)

    def reopen(self) -> None:
        self.tried += 1
        error = self.script.pop(0)
        if error is not None:
            raise error
        self.script.clear()
        self._comes_back()


def outcome_of(pump: Restarting, **options) -> running.Outcome:
    with Progress(1, plain=True) as progress:
        signals = running.Signals(lambda: None)
        return running.Follower(pump, "3-1", progress, signals, begun=True, **options).follow()


def test_a_pump_that_restarts_under_its_follower_is_interrupted():
    outcome = outcome_of(Restarting())
    assert (outcome.reason, outcome.witnessed_steps, outcome.uncertain_steps) == (
        "interrupted", 7, 5,
    )  # fmt: skip
    assert not outcome.complete
    error = outcome.short()
    assert error.exit_code == 6 and error.code == "A_RESET"
    assert "interrupted and nothing moves: 7 of 9 steps witnessed, 0.001 mL" in error.message
    assert "up to 0.001 mL (5 steps) may have flowed beyond" in error.message
    assert "doseloop resume" in str(error.next) and "doseloop stop" in str(error.next)


def test_a_port_that_comes_back_is_taken_up_again(monkeypatch):
    monkeypatch.setattr(running, "_REGAIN_EVERY_S", 0)
    pump = Restarting(NoPump("no port"), LinkError("no reply"), None)
    assert outcome_of(pump).reason == "interrupted"
    assert pump.tried == 3


def test_a_port_that_stays_away_ends_the_following(monkeypatch):
    monkeypatch.setattr(running, "_REGAIN_EVERY_S", 0)
    pump = Restarting(*[NoPump("no port")] * 10**6)
    with pytest.raises(LinkError, match="went away") as caught:
        outcome_of(pump, regain_s=0.05)
    assert "doseloop status" in str(caught.value.next) and pump.tried
    with pytest.raises(LinkError, match="went away"):
        outcome_of(pump := Restarting(None), regain_s=0)
    assert not pump.tried


def test_a_run_that_the_reset_ended_says_why():
    error = outcome_of(Restarting(state="idle")).short()
    assert "run 3-1 is over (it was held, and nobody holds it now)" in error.message
    assert error.exit_code == 6
