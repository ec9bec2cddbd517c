"""Following a run: how often the pump reports, and is spoken to, and what counts as withdrawn."""

from __future__ import annotations

import pytest
from unit.host.scripted import IDENTITY, Scripted, ok

from doseloop import output, running, wire
from doseloop.order import stop_ms_of
from doseloop.pump import Pump
from doseloop.results import withdrawn_nl

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


def test_a_listening_host_speaks_four_times_in_the_silence_that_would_stop_the_pump():
    """60 s allowed: telemetry every 7.5 s, so it asks at least every 15 s of the pump's time."""

    def status(ms: int) -> dict:
        run = dict.fromkeys(("step", "ordered_steps", "commanded_steps", "witnessed_steps"), 1)
        run |= dict.fromkeys(("delivered_nl", "remaining_nl", "remaining_ms"), 1)
        return {
            "schema": 1,
            "pump": {"serial": "00a1", "firmware": "0.1.0", "protocol": 1},
            "state": "infusing",
            "device_ms": ms,
            "last_event": 0,
            "run": {"id": "3-1", **run},
            "rate_al_per_h": 1,
            "tick_hz": 1_000_000,
            "syringe": None,
        }

    frames = [7_500 * k for k in range(1, 17)]
    asked: list[int] = []
    now = iter(frames)

    def answer(seq, ident, args):
        # The pump's clock stands at the frame that made the host ask.
        ms = next(ms for ms in now if ms > (asked[-1] if asked else 0) + 7_500 or not asked)
        asked.append(ms)
        return ok(**status(ms))(seq, ident, args)

    transport = Scripted(("hello", ok(**IDENTITY)), *[("status", answer)] * 8)
    with Pump(transport, deadline_s=5) as pump:
        transport.says(*[wire.encode("t", k, status(ms)) for k, ms in enumerate(frames, 1)])
        end = {"n": 1, "boot": 3, "ms": 130_000, "e": "end", "run": "3-1", "reason": "done"}
        transport.says(wire.encode("e", 1, end))
        signals = running.Signals(pump.wake)
        with output.Progress(1, plain=True) as progress:
            running.Follower(pump, "3-1", progress, signals, stop_ms=60_000).follow()
    gaps = [after - before for before, after in zip(asked, asked[1:], strict=False)]
    assert len(asked) >= 2
    assert max([asked[0], *gaps]) <= 15_000
