"""A pump as deployed, infusing: booted from its flash by main.py, reached over its line only.

One boot for all tests; each works on a copy of the board (`in_fork`).
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rp2040py", reason="no RP2040 emulator: pip install 'doseloop[emulated]'")

from emulated.perf.deployed import Infusing, infusing
from emulated.rig import in_fork

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


@pytest.mark.parametrize(
    ("alphabet", "count"),
    [(b"\x03", 256), (CONTROL, 1024), (CONTROL + b"\r\n", 512)],
    ids=["ctrl-c", "control", "lines"],
)
def test_a_storm_of_control_bytes_is_only_bytes(
    pump: Infusing, alphabet: bytes, count: int
) -> None:
    def storm() -> dict[str, Any]:
        pump.rig.say(storm_of(alphabet, count))
        return unmoved(pump)

    judge(in_fork(storm))


@pytest.mark.parametrize(
    ("count", "refused"), [(200, b"E_FRAME"), (1500, b"E_LINE")], ids=["in a line", "overlong"]
)
def test_a_storm_inside_a_half_sent_frame_spoils_that_frame_only(
    pump: Infusing, count: int, refused: bytes
) -> None:
    def storm() -> tuple[bytes, dict[str, Any]]:
        frame = pump.talk.frame("stop")  # what it would be worst to obey by halves
        half = len(frame) // 2
        pump.rig.say(frame[:half] + storm_of(CONTROL, count) + frame[half:])
        assert pump.rig.advance(5000, lambda: b"!r " in pump.rig.heard)
        pump.rig.advance(50)
        return bytes(pump.rig.heard), unmoved(pump)

    heard, found = in_fork(storm)
    assert refused in heard
    judge(found)
