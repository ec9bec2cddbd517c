"""Hours in which nothing is wrong: not one alarm of the pressure. 72 of them in soak_quiet.py."""

from __future__ import annotations

import pytest
from bench import Bench
from oracle import ML

HOUR_US = 3_600_000_000


def quiet(hours: int) -> None:
    """Three times so many hours: a dry start into an open line; the pressure of an arm held low,
    and three times the noise; a rest, and nine tenths of the threshold. Drift all the while."""
    with Bench() as bench:
        pump = bench.pump
        pump.load(50 * ML)
        pump.infuse(volume_al=40 * ML, rate_al_per_h=ML // 2)
        pump.start()
        bench.advance(hours * HOUR_US)
        bench.control("line noise_counts 60")
        for pascals in range(2_000, 14_001, 2_000):  # 105 mmHg
            bench.control(f"line back_pressure_pa {pascals}")
            bench.advance(120_000_000)
        bench.advance(hours * HOUR_US)
        pump.pause()
        bench.advance(600_000_000)
        pump.resume()  # the seal has rested: it breaks away
        for pascals in range(15_000, 54_001, 3_000):
            bench.control(f"line back_pressure_pa {pascals}")
            bench.advance(120_000_000)
        bench.advance(hours * HOUR_US)
        status = pump.status()
        assert status.state == "infusing" and status.alarms == []
        assert 53_000 <= (status.pressure_pa or 0) <= 55_000
        assert status.device_ms >= 3 * hours * HOUR_US // 1000
        told = [event["code"] for event in bench.events() if event["e"] == "alarm"]
        assert told == ["A_PAUSED"]  # that one is true


@pytest.mark.slow
@pytest.mark.requirement("E16")
def test_no_false_alarm_in_six_hours() -> None:
    quiet(2)
