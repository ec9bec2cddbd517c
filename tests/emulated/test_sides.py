"""Sides of the chip that bite: what a desk can't show, on the genuine image.

The pump's own parts run at MicroPython's prompt (guests/perf.py, guests/sides.py). Each test works
on its own copy of one board that has come so far, so the boot is paid once. The last ones measure
figures of the performance table again.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rp2040py", reason="no RP2040 emulator: pip install 'doseloop[emulated]'")

from emulated.again import WORSE, build_of, was
from emulated.perf import measure
from emulated.rig import Rig, flash, in_fork, pairs

pytestmark = [pytest.mark.timeout(600), pytest.mark.slow]
FLAG = 15
DEATH_MS = 1000  # "CPU dead: last edge within 1 s"


@pytest.fixture(scope="module")
def rig(image: Path) -> Iterator[Rig]:
    text, body = measure.fast_config()
    board = Rig(image, flash(image, text), body["board"])
    board.to_prompt()
    board.chip.preset_clock(0)
    for guest in ("perf.py", "sides.py"):
        board.run((measure.GUESTS / guest).read_text())
    board.run("prepare(1000, 100)")  # reads what each test would read anew
    yield board


def drive(
    rig: Rig, hz: int, steps: int, script: str, ms: float = 3000, act: Any = None
) -> dict[str, Any]:
    """Run `script` on a prepared run; return what it said, the edges, and when it went wrong."""
    raised: list[int] = []
    rig.watch(FLAG, raised)
    rig.run(f"prepare({hz}, {steps})")
    rig.heard.clear()
    rig.rising.clear()
    rig.begin(script)
    # \x04 ends what the prompt has to say, for one an error.
    rig.advance(ms, act or (lambda: b"result " in rig.heard or b"\x04" in rig.heard))
    rig.advance(2)
    said = bytes(rig.heard).decode("utf-8", "replace")
    return {
        "said": said,
        "words": pairs(said.partition("result ")[2].partition("\r\n")[0]),
        "edges": list(rig.rising),
        "wrong_ns": raised[0] if raised else None,
        "enabled": rig.bench.enabled,
    }


def exact(edges: list[int], hz: int) -> bool:
    """Whether the edges keep the beat to the nanosecond."""
    return all(edge - edges[0] == i * 10**9 // hz for i, edge in enumerate(edges))


def last_after_ms(found: dict[str, Any]) -> float:
    """Return how long after it went wrong the last edge came."""
    return (found["edges"][-1] - found["wrong_ns"]) / 1e6


def test_an_exception_in_the_tick_ends_the_motion_with_the_queue(rig: Rig) -> None:
    found = in_fork(drive, rig, 1000, 3000, "after(100, raise_in_tick)")
    assert "A_TICK" in found["words"]["alarm"]
    assert last_after_ms(found) < DEATH_MS
    assert exact(found["edges"], 1000) and not found["enabled"]


def reset_and_quiet(rig: Rig, state: str, how: str) -> None:
    """Fail unless a reset in a state leaves the driver off and STEP quiet."""

    def reset(board: Rig) -> dict[str, Any]:
        found = drive(board, 1000, 3000, f"reset_in('{state}', '{how}')", 600)
        board.advance(60)
        board.rising.clear()
        board.advance(40)
        return {
            "state": found["words"]["state"],
            "resets": board.chip.resets,
            "enabled": board.bench.enabled,
            "edges": len(board.rising),
            "step": int(board.chip.pin(board.pins["step"]).value),
        }

    found = in_fork(reset, rig)
    assert found["state"] == state
    assert found["resets"] == (how == "hard")
    assert found["edges"] == 0 and not found["enabled"]
    assert found["step"] != 1


@pytest.mark.parametrize(
    ("state", "how"),
    [
        ("infusing", "soft"),
        ("infusing", "hard"),
        ("paused", "hard"),
        ("alarm", "soft"),
        ("ready", "soft"),
        ("idle", "hard"),
    ],
)
def test_a_reset_leaves_the_driver_off_and_step_quiet(rig: Rig, state: str, how: str) -> None:
    reset_and_quiet(rig, state, how)


# ticks_us wraps at 2**30 us, the timer's alarms at 2**32 us, ticks_ms at 2**30 ms: at that moment
# all three do, because it is also a multiple of the other two.
@pytest.mark.parametrize(
    ("wrap_us", "ms_too"), [(2**30, False), (2**30 * 1000, True)], ids=["ticks_us", "all"]
)
def test_every_counter_may_wrap_between_two_steps(rig: Rig, wrap_us: int, ms_too: bool) -> None:
    def wrap(board: Rig) -> dict[str, Any]:
        left_us = 800_000  # till then the run has begun
        wrap_ns = board.chip.ns + left_us * 1000
        board.chip.preset_clock(wrap_us - left_us)
        board.run("prepare(1000, 500)")
        before = board.run("print(time.ticks_ms(), time.ticks_us())").split()
        assert board.ms * 1e6 < wrap_ns - 250e6, "too late to begin before it wraps"
        board.advance((wrap_ns - 250e6) / 1e6 - board.ms)
        board.rising.clear()
        board.heard.clear()
        board.begin("go()")
        board.until(b"result ", 2500)
        told = pairs(board.until(b"\r\n", 100))
        board.finish(500)
        after = board.run("print(time.ticks_ms(), time.ticks_us())").split()
        return {
            "told": told,
            "edges": list(board.rising),
            "wrap_ns": wrap_ns,
            "wrapped": [int(b) < int(a) for a, b in zip(before, after, strict=True)],
        }

    found = in_fork(wrap, rig)
    assert found["wrapped"] == [ms_too, True]
    before = [edge for edge in found["edges"] if edge < found["wrap_ns"]]
    assert len(before) >= 100 and len(found["edges"]) - len(before) >= 100
    assert found["told"]["witnessed"] == "500" and found["told"]["flags"] == "0"
    assert len(found["edges"]) == 500 and exact(found["edges"], 1000)


def starved(rig: Rig, keep: bool) -> dict[str, Any]:
    """Let main eat its heap, and for good when it is kept; return what came of it, judged."""

    def starve(board: Rig) -> dict[str, Any]:
        script = f"def hungry():\n    app.link.flush = lambda: eat({keep})\nafter(100, hungry)"
        return drive(board, 1000, 3000, script, 2500)

    found = in_fork(starve, rig)
    assert exact(found["edges"], 1000)
    assert last_after_ms(found) < DEATH_MS
    assert not found["enabled"]
    return found


def test_an_exhausted_heap_in_main_ends_in_a_safe_stop(rig: Rig) -> None:
    assert "A_FAULT" in starved(rig, False)["words"]["alarm"]


def ticks_locked(rig: Rig, hz: int) -> None:
    """Fail unless the tick runs with the heap locked."""
    found = in_fork(drive, rig, hz, 2 * hz, "locked(105)")
    assert int(found["words"]["ticks"]) >= 100
    assert found["words"]["flags"] == "0" and found["words"]["run"] == "1"


@pytest.mark.parametrize("hz", [1, 10_000, 100_000])
def test_the_tick_allocates_nothing_on_the_chip(rig: Rig, hz: int) -> None:
    ticks_locked(rig, hz)


def test_the_lock_catches_a_tick_that_allocates(rig: Rig) -> None:
    found = in_fork(drive, rig, 1000, 2000, "allocating_tick()\nlocked(50)")
    assert int(found["words"]["flags"]) & 32


@pytest.mark.requirement("A16")
def test_interrupts_off_for_a_flash_erase_cost_no_step(rig: Rig) -> None:
    found = in_fork(measure.masked, rig, 10_000)
    assert found == {"hz": 10_000, "worst_us": 0, "rms_us": 0, "missed": 0, "underruns": 0}


# -- measured again: no worse than in docs/performance.json ---------------------------------------


@pytest.mark.parametrize("hz", [10_000, 100_000])
def test_the_tick_costs_what_it_did(rig: Rig, image: Path, hz: int) -> None:
    now, then = in_fork(measure.tick, rig, hz, 100), was("tick", hz=hz)
    assert now["mean_us"] <= then["mean_us"] * WORSE, (build_of(image), now, then)
    assert now["worst_us"] <= then["worst_us"] * WORSE, (build_of(image), now, then)


def test_no_step_is_missed_under_load(rig: Rig, image: Path) -> None:
    now, then = in_fork(measure.steps, rig, 10_000, True), was("steps", hz=10_000, loaded=True)
    for name in ("missed", "extra", "underruns", "flags", "worst_us", "rms_us"):
        assert now[name] == then[name], (build_of(image), name, now)
    assert now["heap_low"] * WORSE >= then["heap_low"], (build_of(image), now, then)


@pytest.mark.parametrize("loaded", [False, True])
def test_a_break_takes_no_longer_than_it_did(rig: Rig, image: Path, loaded: bool) -> None:
    asked = in_fork(measure.line_break, rig, 1_000, loaded, 4)
    assert asked["latency_us"] <= 1_000, (build_of(image), asked)


def test_a_stop_takes_no_longer_than_it_did(rig: Rig, image: Path) -> None:
    # Not under load: there a frame waits for the rest of a pass, a matter of luck.
    now, then = in_fork(measure.stop_command, rig, 1_000, False), was("stop_command", hz=1_000)
    # A step's period on top: the latency is seen at edges.
    assert now["latency_us"] <= then["latency_us"] * WORSE + 1_000, (build_of(image), now, then)
