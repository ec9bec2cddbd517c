"""Following a run: how often the pump reports, and is spoken to, and what counts as withdrawn."""

from __future__ import annotations

from itertools import pairwise

import pytest

from doseloop import output, running
from doseloop.order import stop_ms_of
from doseloop.results import (
    Event,
    Identity,
    PumpId,
    RunState,
    Status,
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
    with output.Progress(1, plain=True) as progress:
        running.Follower(pump, "3-1", progress, signals, stop_ms=stop_ms).follow()
    return pump.asked


def test_a_listening_host_speaks_four_times_in_the_silence_that_would_stop_the_pump():
    asked = followed(60_000)
    gaps = [after - before for before, after in pairwise([0, *asked])]
    assert max(gaps) <= 15_000
    assert asked[-1] >= 285_000


def test_a_host_whose_silence_is_harmless_only_listens():
    assert followed(None) == []
