"""A pump as deployed, infusing: booted from its flash by main.py, reached over its line only.

One boot for all tests; each works on a copy of the board (`in_fork`).
"""

from __future__ import annotations

import json
import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rp2040py", reason="no RP2040 emulator: pip install 'doseloop[emulated]'")

from emulated.again import WORSE, build_of
from emulated.perf.deployed import Infusing, Talk, figures, infusing
from emulated.perf.page import committed
from emulated.rig import in_fork

from doseloop import resources

pytestmark = [pytest.mark.timeout(600), pytest.mark.slow]
HZ = 1000
CONTROL = bytes([1, 2, 3, 4, 5])  # raw mode, friendly mode, Ctrl-C, run or soft reset, paste mode


@pytest.fixture(scope="module")
def pump(image: Path) -> Infusing:
    return infusing(image, HZ, 200 * HZ)  # far from its end


def storm_of(alphabet: bytes, count: int) -> bytes:
    """Return bytes of `alphabet` in a fixed disorder."""
    return bytes(random.Random(1).choices(alphabet, k=count))


def unmoved(pump: Infusing) -> dict[str, Any]:
    """End the line that was begun; return what the pump says, then stop it by frame."""
    rig = pump.rig
    rig.say(b"\n")
    # The pump takes one Ctrl-C a pass of its main loop: what is on the way may take a while.
    assert rig.advance(5000, lambda: rig.chip.delivered)
    said = bytes(rig.heard)
    status = pump.talk.ask("status")
    asked = len(rig.rising)
    rig.advance(50)
    found = {"state": status["state"], "alarms": status["alarms"], "resets": rig.chip.resets}
    found["made_after"] = len(rig.rising) - asked
    pump.talk.ask("stop")
    rig.advance(5)
    status = pump.talk.ask("status")
    found["witnessed"] = status["run"]["witnessed_steps"]
    found["session"] = pump.talk.ask("hello")["boot"] == pump.boot
    found["prompt"] = b">>>" in said or b"raw REPL" in said or b"paste mode" in said
    found["edges"] = list(rig.rising)
    return found


def judge(found: dict[str, Any]) -> None:
    """Fail unless the infusion went on as if nothing had come."""
    # At this rate a full syringe is empty in minutes, and the pump says so.
    assert {alarm["code"] for alarm in found["alarms"]} <= {"A_NEAR_EMPTY"}, found
    assert found["state"] == "infusing", found
    assert found["resets"] == 0 and found["session"] and not found["prompt"], found
    assert found["made_after"] > 0
    edges = found["edges"]
    assert found["witnessed"] == len(edges)
    assert all(edge - edges[0] == i * 10**9 // HZ for i, edge in enumerate(edges))


def stormed(pump: Infusing, kinds: tuple[tuple[bytes, int], ...]) -> dict[str, Any]:
    """Send so many bytes of each alphabet; return what the pump says then."""
    for alphabet, count in kinds:
        pump.rig.say(storm_of(alphabet, count))
    return unmoved(pump)


def test_a_storm_of_control_bytes_is_only_bytes(pump: Infusing) -> None:
    kinds = ((b"\x03", 20), (CONTROL, 80), (CONTROL + b"\r\n", 60))
    judge(in_fork(stormed, pump, kinds))


@pytest.mark.parametrize(
    ("alphabet", "count", "refused"),
    [(CONTROL, 60, b"E_FRAME"), (CONTROL + bytes(range(32, 127)), 1100, b"E_LINE")],
    ids=["in a line", "overlong"],
)
def test_a_storm_inside_a_half_sent_frame_spoils_that_frame_only(
    pump: Infusing, alphabet: bytes, count: int, refused: bytes
) -> None:
    def storm() -> tuple[bytes, dict[str, Any]]:
        frame = pump.talk.frame("stop")  # what it would be worst to obey by halves
        half = len(frame) // 2
        pump.rig.say(frame[:half] + storm_of(alphabet, count) + frame[half:])
        assert pump.rig.advance(5000, lambda: b"!r " in pump.rig.heard)
        pump.rig.advance(50)
        return bytes(pump.rig.heard), unmoved(pump)

    heard, found = in_fork(storm)
    assert refused in heard
    judge(found)


def test_a_break_pauses_and_the_line_works_on(pump: Infusing) -> None:
    def stopped() -> dict[str, Any]:
        rig = pump.rig
        rig.advance(50)
        rig.chip.send_break()
        begun = rig.chip.ns
        rig.advance(100)
        after_us = max(0, rig.rising[-1] - begun) / 1000
        stood = len(rig.rising)
        state = pump.talk.ask("status")["state"]
        pump.talk.ask("resume")
        rig.advance(100)
        more = len(rig.rising) - stood
        pump.talk.ask("stop")
        run = pump.talk.ask("status")["run"]
        return {
            "after_us": after_us,
            "state": state,
            "more": more,
            "edges": len(rig.rising),
            **run,
        }

    found = in_fork(stopped)
    assert found["after_us"] <= 1_000, "a tick"
    assert found["state"] == "paused"
    assert found["more"] > 80
    assert found["witnessed_steps"] == found["commanded_steps"] == found["edges"]


def test_a_reset_of_the_chip_loses_no_step_and_the_record_costs_none(pump: Infusing) -> None:
    # The witness counts into a scratch register, which outlives the reset; the rest is on flash,
    # written every second while the motor turns.
    def reset() -> dict[str, Any]:
        rig = pump.rig
        rig.advance(1_400)
        rig.chip.hasten_watchdog(1)
        assert rig.advance(1_200, lambda: rig.chip.resets > 0)
        before = list(rig.rising)
        rig.heard.clear()
        rig.until(b" boot cause=watchdog", 5000)
        talk = Talk(rig)
        talk.ask("hello")
        found = talk.ask("status")
        stood = len(rig.rising)
        talk.ask("resume")
        rig.advance(500)
        talk.ask("stop")
        after = talk.ask("status")["run"]
        return {"before": before, "stood": stood, "found": found, "after": after,
                "made": len(rig.rising)}  # fmt: skip

    found = in_fork(reset)
    before, run = found["before"], found["found"]["run"]
    assert found["found"]["state"] == "interrupted"
    assert run["witnessed_steps"] == run["commanded_steps"] == len(before) == found["stood"]
    assert "uncertain_steps" not in run
    assert all(edge - before[0] == i * 10**9 // HZ for i, edge in enumerate(before))
    assert found["after"]["witnessed_steps"] == found["made"] > found["stood"] + 400


def test_a_patient_controlled_run_fits_the_chip_and_its_record_costs_no_step(
    pump: Infusing,
) -> None:
    found = in_fork(_patient, pump)
    given, again, view, run = (found[name] for name in ("given", "again", "view", "run"))
    assert given["given_now"] and not again["given_now"]
    assert again["denied"]["delivering"] + again["denied"]["lockout"] == 1
    assert view["given"] == 1 and view["demands"] == 2
    edges = found["edges"]
    assert run["witnessed_steps"] == run["commanded_steps"] == len(edges)
    # Basal beats of 1/60 s, and 1/120 s while the dose runs, none disturbed by what is written; at
    # the dose's begin the motor is stopped and started anew, which takes main some 45 ms: it keeps
    # the demand in flash, answers it, and only then comes round to the motor.
    gaps = [b - a for a, b in pairwise(edges)]
    late = [gap for gap in gaps if gap > 10**9 // 60 + 1000]
    assert len(late) <= 1 and max(gaps) <= 10**9 // 60 + 50_000_000, late
    assert sum(gap < 9_000_000 for gap in gaps) >= 100
    # With the first order MicroPython's table of names doubles (decision 0016).
    assert found["heap_free"] >= 75_000, "what such an order brings with it takes about 28 kB"


def _patient(pump: Infusing) -> dict[str, Any]:
    # 60 steps/s, a dose of 60 more for a second; each demand is stored while the motor turns.
    rig, talk, al = pump.rig, pump.talk, pump.al
    step = {
        "mode": "pca", "basal_al_per_h": 60 * 3600 * al, "dose_al": 60 * al,
        "dose_rate_al_per_h": 60 * 3600 * al, "lockout_ms": 1_000, "limit_1h_al": 10**6 * al,
        "limit_4h_al": 10**7 * al, "duration_ms": 60_000,
    }  # fmt: skip
    order = {"schema": 1, "name": "pca", "steps": [step]}
    wire = resources.firmware_module("sealed")
    sealed = wire.seal("order", 1, json.dumps(order, separators=(",", ":")))
    talk.ask("stop")
    for at in range(0, len(sealed), 400):
        talk.ask("put", slot="order", offset=at, data=sealed[at : at + 400])
    talk.ask("order", size=len(sealed))
    rig.rising.clear()
    talk.ask("start")
    rig.advance(300)
    found = {"given": talk.ask("demand"), "again": talk.ask("demand")}
    rig.advance(1_200)
    found["view"] = talk.ask("pca")
    talk.ask("stop")
    found["heap_free"] = talk.ask("hello")["heap_free"]
    found["run"] = talk.ask("status")["run"]
    found["edges"] = list(rig.rising)
    return found


def test_boot_heap_and_line_are_what_they_were(pump: Infusing, image: Path) -> None:
    # Measured again: no worse than in docs/performance.json.
    now, then, build = in_fork(figures, pump), committed()["board"], build_of(image)
    assert now["heap_free"] >= 100_000 and now["ready_ms"] <= 2_000, (build, now)
    assert now["telemetry_dropped"] == 0, (build, now)
    assert now["telemetry_per_s"] * WORSE >= then["telemetry_per_s"], (build, now, then)
    assert now["heap_free"] * WORSE >= then["heap_free"], (build, now, then)
    for name in ("ready_ms", "round_trip_ms", "round_trip_moving_ms"):
        assert now[name] <= then[name] * WORSE, (build, name, now, then)
