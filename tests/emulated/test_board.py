"""The firmware as deployed, on the genuine MicroPython image, in the order a bench day goes.

The tests are that day's steps and share one board: boot, a run typed by hand, a look by the
library, a run that no deploy gets into, then break-in, which ends the pump. A step that fails ends
the day. Typed words are shorter than frames here: 15 ms of device time each. Deploys to an erased
board, over a crashing main.py, with power cuts: soak_deploy.py.
"""

from __future__ import annotations

import json
import re
from fractions import Fraction

import oracle
import pytest
from emulated.board import PATIENCE_S, Emulated, Line

from doseloop import Pump, resources
from doseloop.flash.build import MICROPYTHON_VERSION, build
from doseloop.transport import SerialTransport

# The first test waits for the boot, and a busy computer makes all of it slower.
pytestmark = [pytest.mark.timeout(900), pytest.mark.slow]

STEPS, HZ = 200, 500
SLOW_HZ = 100  # mpremote gives up after ten seconds of the computer's time
TICK_NS = 1000


def test_boots(emulated: Emulated, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\nboot to ready: {emulated.ready_ms} ms of the board's own time")
    assert emulated.ready_ms <= 2000


def test_an_infusion_is_exact_and_deaf_to_ctrl_c(
    emulated: Emulated, capsys: pytest.CaptureFixture[str]
) -> None:
    al = oracle.al_per_step("pico_tmc2209", "bd-plastipak-50")
    volume_nl = -(-STEPS * al // 10**9)  # rounded up: still 200 steps, a step is 174 nL
    rate_ul_per_h = HZ * 3600 * al // 10**12
    with Line(emulated.port) as line:
        line.type(b"load 40 mL\n")
        line.until(b"ok remaining_nl=")
        line.type(f"infuse {volume_nl} nL {rate_ul_per_h} uL/h\n".encode())
        assert f"plan: {STEPS} steps" in line.until(b"type start to begin")
        line.type(b"start\n")
        line.until(b"ok run=")
        # At a line's start: the only place where they could be more than data.
        line.type(b"\x03\x03\x03\n\x03\n")
        line.until(b" ms end ")
        end = dict(re.findall(r"(\w+)=(\w+)", line.until(b"\r\n")))
    assert end["reason"] == "done"
    assert [end[f"{word}_steps"] for word in ("ordered", "commanded", "witnessed")] == ["200"] * 3

    edges = _edges(emulated)
    assert [edge.position for edge in edges] == list(range(1, STEPS + 1))
    # Step k is due at t0 + floor(k P): so every edge is off its tick by the same time, t0's.
    period = Fraction(al * 3600 * 10**9, rate_ul_per_h * 10**12 * TICK_NS)
    off = [edge.ns - TICK_NS * (k * period // 1) for k, edge in enumerate(edges, 1)]
    spread = max(off) - min(off)
    with capsys.disabled():
        print(f"\n{len(edges)} edges, each {spread} ns or less off the exact schedule")
    assert spread == 0


def test_the_library_sees_the_run(emulated: Emulated) -> None:
    with Pump(SerialTransport(emulated.port), deadline_s=PATIENCE_S / 3) as pump:
        who, status = pump.identity, pump.status()
    assert who.micropython == MICROPYTHON_VERSION
    assert who.board == "pico_tmc2209"
    assert who.hash == build(resources.firmware_root()).hash, (
        "as `doseloop flash` would lay it out"
    )
    assert status.state == "idle"
    assert status.run is not None
    assert status.run.witnessed_steps == status.run.ordered_steps == STEPS
    assert status.syringe.position_steps == STEPS


def test_while_infusing_nothing_reaches_the_prompt_and_no_step_moves(emulated: Emulated) -> None:
    al = oracle.al_per_step("pico_tmc2209", "bd-plastipak-50")
    rate_ul_per_h = SLOW_HZ * 3600 * al // 10**12
    with Line(emulated.port) as line:
        line.type(f"infuse 1 mL {rate_ul_per_h} uL/h\n".encode())
        line.until(b"type start to begin")
        line.type(b"start\n")
        line.until(b"ok run=")

    refused = emulated.doseloop("flash", "--json")
    assert refused.returncode == 5, refused.stderr
    assert json.loads(refused.stdout)["error"]["code"] == "E_STATE"
    listed = emulated.mpremote("ls")
    assert listed.returncode != 0
    assert "could not enter raw repl" in listed.stdout + listed.stderr

    with Line(emulated.port) as line:
        line.type(b"\n")  # ends the line that mpremote began; it was none
        line.until(b"E_LINE")
        line.type(b"status\n")
        line.until(b"infusing")
        line.type(b"stop\n")
        line.until(b" ms stop ")
        line.until(b"\r\n")
    stood = emulated.settled(5 * 1000 / SLOW_HZ)  # five periods: none of them brings a step
    edges = oracle.read_trace(emulated.trace)
    assert len(edges) == stood["edges"]
    edges = edges[STEPS:]  # of the run before
    assert stood["now_ns"] - stood["last_edge_ns"] > 4 * 10**9 // SLOW_HZ
    assert [edge.position - STEPS for edge in edges] == list(range(1, len(edges) + 1))
    period = Fraction(al * 3600 * 10**6, rate_ul_per_h * 10**12)
    assert len({edge.ns - 1000 * (k * period // 1) for k, edge in enumerate(edges, 1)}) == 1


def test_break_in_gives_mpremote_a_prompt(emulated: Emulated) -> None:
    assert "MicroPython v1.28.0" in emulated.repl(b"\x03")
    done = emulated.mpremote("resume", "ls")
    assert done.returncode == 0, done.stderr
    assert {"active", "main.py", "boot.py", "kept/"} <= set(done.stdout.split())
    # The pump's boot counter, which it wrote itself.
    assert b"boot.a" in (emulated.state / "flash.bin").read_bytes()


def _edges(emulated: Emulated) -> list[oracle.Edge]:
    emulated.settled(5 * 1000 / HZ)
    return oracle.read_trace(emulated.trace)
