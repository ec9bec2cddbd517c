"""What an hour's traffic does to the heap of a pump that infuses: `make soak-emulated`.

It is an hour's traffic, not an hour: as much as a host that stays attached brings in one, without
the waiting in between. `status` and telemetry once a second, every minute a change of rate (asked
for and confirmed), a pause and a resume, every quarter an alarm that is raised and cleared. What
only time itself could do to the heap, nothing known, would not show; a real hour of infusing takes
some four here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("rp2040py", reason="no RP2040 emulator: pip install 'doseloop[emulated]'")

from emulated import heap
from emulated.perf.deployed import Infusing, infusing
from emulated.perf.measure import TELEMETRY_MS

pytestmark = [pytest.mark.soak, pytest.mark.timeout(4 * 3600)]
MINUTES = int(os.environ.get("DOSELOOP_SOAK_MINUTES", "60"))  # of traffic; four at least
HZ = 100
RING = 96  # events that the pump keeps, firmware/pump/events.py: till then the heap must shrink
LEAST = 60_000  # bytes free at the lowest
SLACK = 1_024
TOGETHER = 2_048  # twice a line: the largest thing a pump asks for at once while it infuses


def test_an_hours_traffic_leaves_the_heap_as_it_was(
    image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pump = infusing(image, HZ, 250_000)
    talk = pump.talk
    while talk.ask("status")["last_event"] < RING + 10:
        a_pause(pump)
    talk.ask("watch", ms=TELEMETRY_MS)
    # Pauses without a break between leave no time for events; what matters is the hour.
    dropped = talk.ask("status")["dropped"]
    free: list[int] = []  # after each minute's collection
    pieces: list[int] = []  # the largest
    low = 10**9  # whenever looked at, garbage included
    frames = 0
    for minute in range(MINUTES):
        for heard in a_minute(pump, minute):
            frames += heard
            low = min(low, heap.look(pump.rig.chip).free)
        best = collected(pump)
        free.append(best.free)
        pieces.append(best.largest)
        with capsys.disabled():
            print(
                f"\nminute {minute + 1}: {free[-1]} B free after a collection, {pieces[-1]} B in"
                f" one piece; lowest with garbage {low} B; {frames} telemetry frames",
                end="",
            )
    status = talk.ask("status")
    talk.ask("stop")
    pump.rig.advance(20)
    quarter = MINUTES // 4
    # Some come while a reply is waited for, and are not counted.
    assert frames > 59 * MINUTES, "telemetry as in an hour"
    assert status["last_event"] > RING + 3 * MINUTES, "events as in an hour"
    assert status["dropped"] == dropped and pump.rig.chip.resets == 0
    assert min(free) >= LEAST
    assert min(free[-quarter:]) >= min(free[:quarter]) - SLACK, free
    assert min(pieces) >= TOGETHER, pieces
    made = talk.ask("status")["run"]["witnessed_steps"]
    assert made == len(pump.rig.rising)


def a_minute(pump: Infusing, minute: int) -> Iterator[int]:
    """Bring a minute's traffic; yield the telemetry frames heard since the last time, often."""
    talk, rig = pump.talk, pump.rig
    for _ in range(60):
        talk.ask("status")
        rig.advance(100, lambda: b"!t " in rig.heard)
        yield bytes(rig.heard).count(b"!t ")
        rig.heard.clear()
    hz = HZ if minute % 2 else 2 * HZ
    rate = pump.al * 3600 * hz
    talk.ask("confirm", digest=talk.ask("rate", rate_al_per_h=rate)["digest"])
    a_pause(pump)
    if minute % 15 == 7:
        rig.chip.drive(rig.pins["stop"], True)
        assert rig.advance(200, lambda: b"A_STOP_INPUT" in rig.heard)
        rig.chip.drive(rig.pins["stop"], False)
        talk.ask("clear")
        talk.ask("resume")


def collected(pump: Infusing) -> heap.Heap:
    """Return the heap as a collection leaves it: the freest there is while `hello` makes one.

    At standstill, because it makes none while the pump moves.
    """
    seen: list[heap.Heap] = []
    pump.talk.ask("pause")
    pump.rig.say(pump.talk.frame("hello"))
    for _ in range(80):  # ms: some 40 till it begins, and it takes less
        pump.rig.advance(1)
        seen.append(heap.look(pump.rig.chip))
    pump.talk.ask("hello")
    pump.talk.ask("resume")
    return max(seen, key=lambda one: one.free)


def a_pause(pump: Infusing) -> None:
    """Pause and go on."""
    pump.talk.ask("pause")
    pump.talk.ask("resume")
