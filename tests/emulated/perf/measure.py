"""Each figure of the performance table: set up on a board that waits at the prompt, and measured.

A case is a function of a Rig; it runs on a copy of the board (`in_fork`), so that no case sees
another's leavings. Times are the chip's own; nothing depends on the computer.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulated.rig import Rig, flash, in_fork, pairs

from doseloop import resources
from doseloop.boards import find_board
from doseloop.config import compile_config
from doseloop.sim.emulated.placing import Placed
from doseloop.syringes import find_syringe

GUESTS = Path(__file__).parents[1] / "guests"
BOARD, SYRINGE = "pico_tmc2209", "bd-plastipak-50"
RATES = (1, 100, 1_000, 10_000, 100_000)
TELEMETRY_MS = 20
GARBAGE_PER_MS = 2  # bytes
_LOG_HZ = 10_000  # the event log is deferred above
# When a stop is asked for: a pass under load takes some 90 ms, and 21 ms of it collect garbage.
_INSTANTS, _APART_MS = 12, 11.3
_FLAG = 15  # GPIO that a guest raises when it makes something go wrong
# A second at least, so that the queue of 0.8 s is renewed; three steps at 1 Hz.
_STEPS = {1: 3, 100: 120, 1_000: 1_200, 10_000: 12_000, 100_000: 60_000}


@dataclass(frozen=True)
class Boards:
    """The boards that the cases start from: at the prompt, with the pump's parts and without."""

    pump: Rig
    bare: Rig
    heap_prompt: int


def fast_config() -> tuple[str, dict[str, Any]]:
    """Return a sealed configuration without ramps up to 100,000 steps/s, and what is in it.

    No syringe pump goes that fast: it shows where the controller's own limit lies.
    """
    sealed = resources.firmware_module("sealed")
    compiled = compile_config(find_board(BOARD), find_syringe(SYRINGE))
    body = json.loads(compiled.sealed.split("\n")[1])
    body["motion"].update(max_hz=100_000, pull_in_hz=100_000)
    body["limits"]["rate_max_al_per_h"] = body["motion"]["al_per_step"] * 3600 * 100_000
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return sealed.seal("config", 1, text), body


def boards(image: Path) -> Boards:
    """Boot both boards."""
    text, body = fast_config()
    placed = flash(image, text)
    pump = Rig(image, placed, body["board"])
    pump.to_prompt()
    said = pump.run((GUESTS / "perf.py").read_text())
    bare = Rig(image, Placed(placed.file_system, "", text), body["board"])
    bare.to_prompt()
    bare.run((GUESTS / "others.py").read_text())
    return Boards(pump, bare, int(said.split()[1]))


def deviation(edges: list[int], hz: int) -> dict[str, float]:
    """Return worst and RMS distance, in us, of edges (ns) from an even beat of `hz`.

    The beat lies where the median edge puts it: a constant delay is no deviation, a wrong rate is.
    """
    if len(edges) < 2:
        return {}
    off = [edge - index * 1e9 / hz for index, edge in enumerate(edges)]
    middle = sorted(off)[len(off) // 2]
    distances = [abs(one - middle) / 1000 for one in off]
    rms = (sum(one * one for one in distances) / len(distances)) ** 0.5
    return {"worst_us": round(max(distances), 3), "rms_us": round(rms, 3)}


# -- the pump ---------------------------------------------------------------------------------


def steps(rig: Rig, hz: int, loaded: bool) -> dict[str, Any]:
    """Run at a rate; say what came out of the STEP pin, and what the pump itself counted."""
    _prepare(rig, hz)
    script = "go()"
    if loaded:
        script = f"telemetry({TELEMETRY_MS})\ngo({_load(hz)})"
    rig.begin(script)
    noise = _garbage(rig) if loaded else _silence
    told = _result(rig, 20_000, noise)
    return {
        "hz": hz,
        "loaded": loaded,
        "steps": _STEPS[hz],
        **deviation(rig.rising, hz),
        "missed": max(0, _STEPS[hz] - len(rig.rising)),
        "extra": max(0, len(rig.rising) - _STEPS[hz]),
        "witnessed": told["witnessed"],
        "underruns": int(bool(told["flags"] & 8)),
        "flags": told["flags"],
        "longest_pass_us": told["longest_us"],
        "telemetry_sent": told["sent"],
        "telemetry_dropped": told["dropped"],
        "records": told["records"],
        "heap_low": told["heap_low"] if loaded else None,
        "heap_low_before": told["heap_low_before"] if loaded else None,
    }


def masked(rig: Rig, hz: int) -> dict[str, Any]:
    """Run at a rate with all interrupts off for 400 ms, as a flash erase may take them."""
    _prepare(rig, hz)
    rig.begin("go(None, 300000)")
    told = _result(rig, 20_000)
    assert told["masked"] >= 400_000
    return {
        "hz": hz,
        **deviation(rig.rising, hz),
        "missed": _STEPS[hz] - len(rig.rising),
        "underruns": int(bool(told["flags"] & 8)),
    }


def tick(rig: Rig, hz: int, for_ms: int = 200) -> dict[str, Any]:
    """Look at the tick from beneath: what it takes from a loop that only reads the clock."""
    _prepare(rig, hz)
    rig.begin(f"cost({for_ms * 1000})")
    told = _result(rig, 20_000)
    return {
        "hz": hz,
        "mean_us": round(told["stolen_us"] / told["ticks"], 1),
        "worst_us": told["worst_us"],
        "share_percent": round(100 * told["stolen_us"] / told["for_us"], 2),
        "worst_gap_us": told["gap_us"],
    }


def _prepare(rig: Rig, hz: int, steps: int | None = None) -> None:
    rig.run(f"prepare({hz}, {steps or _STEPS[hz]})")
    rig.heard.clear()
    rig.rising.clear()


def _load(hz: int) -> str:
    return "collect_and_log" if hz <= _LOG_HZ else "collect"


def _silence() -> bool:
    return False


def _garbage(rig: Rig) -> Callable[[], bool]:
    # Everything but the bytes that MicroPython's prompt would act on when the run is over.
    source = random.Random(1)
    noise = [byte for byte in range(256) if byte not in (1, 2, 3, 4, 5)]
    last = [rig.ms]

    def send() -> bool:
        owed = int((rig.ms - last[0]) * GARBAGE_PER_MS)
        if owed >= 32:
            last[0] = rig.ms
            if rig.chip.room:
                rig.say(bytes(source.choices(noise, k=owed)))
        return False

    return send


def _result(rig: Rig, ms: float, meanwhile: Callable[[], bool] = _silence) -> dict[str, int]:
    mark = b"result "
    if not rig.advance(ms, lambda: meanwhile() or mark in rig.heard):
        raise AssertionError(f"no result; it said {bytes(rig.heard[-600:])!r}")
    rig.until(mark, 1)
    return {name: int(value) for name, value in pairs(rig.until(b"\r\n", 1000)).items()}


# -- stops ------------------------------------------------------------------------------------


def stop_input(rig: Rig, hz: int) -> dict[str, Any]:
    """Open the stop input in the middle of a run."""
    return _stop(rig, hz, "go()", lambda: rig.chip.drive(rig.pins["stop"], True))


def end_switch(rig: Rig, hz: int) -> dict[str, Any]:
    """Hit the front end switch in the middle of a run."""
    return _stop(rig, hz, "go()", lambda: rig.chip.drive(rig.pins["end_front"], True))


def stop_command(rig: Rig, hz: int, loaded: bool) -> dict[str, Any]:
    """Send `stop` in a frame in the middle of a run; time runs from its last byte."""
    wire = resources.firmware_module("wire")
    stop = wire.encode("q", 2, {"s": 1, "id": "perf-2", "c": "stop", "a": {}})

    def act(rig: Rig) -> None:
        rig.say(b"\n" + stop)
        rig.advance(1000, lambda: rig.chip.delivered)

    return _asked(rig, hz, loaded, act)


def line_break(rig: Rig, hz: int, loaded: bool, instants: int = _INSTANTS) -> dict[str, Any]:
    """Send a break in the middle of a run, as the host's `stop` and `pause` do before a frame."""
    return _asked(rig, hz, loaded, lambda rig: rig.chip.send_break(), instants)


def _asked(
    rig: Rig, hz: int, loaded: bool, act: Callable[[Rig], None], instants: int = _INSTANTS
) -> dict[str, Any]:
    """Let a host ask for a stop at instants all over the main loop's passes; tell the worst."""
    wire = resources.firmware_module("wire")
    script = f"telemetry({TELEMETRY_MS})\nserve({_load(hz)})" if loaded else "serve()"
    _prepare(rig, hz, 4 * hz)
    rig.begin(script)
    rig.say(wire.encode("q", 1, {"s": None, "id": "perf-1", "c": "hello", "a": {}}))
    noise = _garbage(rig) if loaded else _silence
    rig.advance(400, noise)
    found: list[float] = []
    for _ in range(instants if loaded else 2):
        found.append(in_fork(_once, rig, act))
        rig.advance(_APART_MS, noise)
    return {"hz": hz, "loaded": loaded, "instants": len(found), "latency_us": max(found)}


def _once(rig: Rig, act: Callable[[Rig], None]) -> float:
    act(rig)
    begun = rig.chip.ns
    rig.advance(500)
    assert rig.ms - rig.rising[-1] / 1e6 > 50, "still moving"
    return _since(rig, begun)


def exception(rig: Rig, hz: int) -> dict[str, Any]:
    """Raise in the main loop."""
    return _broken(rig, hz, "raise_in_main(100)", "alarm=A_FAULT")


def dead(rig: Rig, hz: int, how: str) -> dict[str, Any]:
    """Let the CPU `die` (no interrupts) or main `hang`; then see what the watchdog makes of it."""
    # The tick goes on when only main hangs: until the lease of 3 s and the queue are over.
    # It happens after 100 ms, at one step a second after the first of them.
    script = f"{how}({max(100, 1_500 // hz)})"
    found = _broken(rig, hz, script, None, 4500 if how == "hang" else 1500)
    # Eight seconds of a dead CPU show nothing; and it does reset itself when they are over.
    left_ms = round(rig.chip.hasten_watchdog(50))
    assert rig.advance(100, lambda: rig.chip.resets > 0)
    said = len(rig.rising)
    rig.heard.clear()
    rig.until(b" boot cause=", 4000)
    found["watchdog_left_ms"] = left_ms
    found["cause"] = rig.until(b" ", 100)
    found["edges_after_reset"] = len(rig.rising) - said
    return found


def _stop(rig: Rig, hz: int, script: str, act: Callable[[], None]) -> dict[str, Any]:
    _prepare(rig, hz, 4 * hz)
    rig.begin(script)
    rig.advance(300)
    begun = rig.chip.ns
    act()
    rig.advance(300)
    return {"hz": hz, "latency_us": _since(rig, begun)}


def _broken(
    rig: Rig, hz: int, script: str, expect: str | None, ms: float = 1500
) -> dict[str, Any]:
    raised: list[int] = []
    rig.watch(_FLAG, raised)
    _prepare(rig, hz, 8 * hz)
    rig.begin(script)
    rig.advance(2000, lambda: bool(raised))
    rig.advance(ms, (lambda: b"result " in rig.heard) if expect else _silence)
    assert expect is None or expect.encode() in rig.heard, bytes(rig.heard)
    return {"hz": hz, "latency_us": _since(rig, raised[0])}


def _since(rig: Rig, begun: int) -> float:
    # 0: no edge came after it.
    before = [edge for edge in rig.rising if edge <= begun]
    assert before, "nothing moved when it happened"
    last = rig.rising[-1]
    return round(max(0, last - begun) / 1000, 3)


# -- what people use today --------------------------------------------------------------------


def others(rig: Rig, kind: str, hz: int, loaded: bool) -> dict[str, Any]:
    """Let MicroPython's own timer or PWM make the same beat on the same pin, as a user would."""
    rig.rising.clear()
    rig.heard.clear()
    want = {1: 2, 100: 60, 1_000: 500, 10_000: 3_000, 100_000: 10_000}[hz]
    rig.begin(f"{kind}({hz}, {loaded})")
    # One that can't keep up makes a fraction of the edges: twice its time is enough to see that.
    rig.advance(2000 * want / hz + 20, lambda: len(rig.rising) >= want or b"refused" in rig.heard)
    edges = rig.rising[:want]
    refused = b"refused" in rig.heard
    return {
        "kind": kind,
        "hz": hz,
        "loaded": loaded,
        "edges": len(edges),
        "wanted": want,
        "note": "refuses this rate" if refused else "",
        **deviation(edges, hz),
    }
