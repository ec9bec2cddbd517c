"""Figures of the board as deployed: booted from its flash, spoken to over its serial line."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulated.perf.measure import TELEMETRY_MS, fast_config
from emulated.rig import Rig, flash

from doseloop import resources

Reply = dict[str, Any]


class Talk:
    """A host program's side of the line, in device time."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._wire = resources.firmware_module("wire")
        self._seq = 0
        self._session: int | None = None
        self.round_trip_ms = 0.0

    def frame(self, command: str, **arguments: Any) -> bytes:
        """Return the next request, to be sent by hand."""
        self._seq += 1
        request = {"s": self._session, "id": self._name(), "c": command, "a": arguments}
        return self._wire.encode("q", self._seq, request)

    def ask(self, command: str, **arguments: Any) -> Reply:
        """Send a request; return what the reply says is ok. Fail for a refusal."""
        rig = self._rig
        rig.say(self.frame(command, **arguments))
        assert rig.advance(1000, lambda: rig.chip.delivered)
        begun = rig.ms
        while True:
            rig.until(b"!r ", 2000)
            line = "!r " + rig.until(b"\n", 500).strip()
            _, _, reply = self._wire.decode(line.encode())
            if reply["id"] == self._name():
                break
        self.round_trip_ms = round(rig.ms - begun, 1)
        assert "ok" in reply, reply
        if command == "hello":
            self._session = reply["ok"]["session"]
        return reply["ok"]

    def _name(self) -> str:
        return f"talk-{self._seq}"


@dataclass(frozen=True)
class Infusing:
    """A board that infuses, its host program, which boot of the pump it is, and what was seen."""

    rig: Rig
    talk: Talk
    boot: int
    al: int  # of a step
    seen: dict[str, Any]  # time to ready, heap, round trips


def infusing(image: Path, hz: int, steps: int) -> Infusing:
    """Boot as deployed and begin to infuse `steps` at `hz`, without ramps; measure on the way."""
    text, body = fast_config()
    rig = Rig(image, flash(image, text), body["board"])
    rig.until(b" boot cause=", 5000)
    seen: dict[str, Any] = {"ready_ms": round(rig.ms)}
    talk = Talk(rig)
    hello = talk.ask("hello")
    seen["heap_free"] = hello["heap_free"]
    talk.ask("status")
    seen["round_trip_ms"] = talk.round_trip_ms
    al = body["motion"]["al_per_step"]
    talk.ask("load", volume_al=50 * 10**15)
    talk.ask("infuse", volume_al=steps * al, rate_al_per_h=hz * 3600 * al)
    talk.ask("start")
    talk.ask("status")
    seen["round_trip_moving_ms"] = talk.round_trip_ms
    return Infusing(rig, talk, hello["boot"], al, seen)


def figures(pump: Infusing) -> dict[str, Any]:
    """Return what was seen on the way, and how much telemetry comes while it infuses."""
    found = dict(pump.seen)
    pump.talk.ask("watch", ms=TELEMETRY_MS)
    pump.rig.heard.clear()
    pump.rig.advance(500)
    lines = [line for line in bytes(pump.rig.heard).split(b"\n") if line.startswith(b"!t ")]
    found["telemetry_per_s"] = 2 * (len(lines) - 1)
    found["telemetry_dropped"] = json.loads(lines[-2].split(b" ", 2)[2][:-9])["dropped"]
    return found


def board(image: Path) -> dict[str, Any]:
    """Boot, and measure: time to ready, heap, round trips, telemetry."""
    return figures(infusing(image, 1_000, 5_000))
