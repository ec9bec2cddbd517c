"""The firmware as deployed, on the genuine MicroPython image, in the order a bench day goes.

The tests share one board: boot, a run typed by hand, a look by the library, then break-in, which
ends the pump. Typed words are shorter than frames here: 15 ms of device time each.
"""

from __future__ import annotations

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


def test_break_in_gives_mpremote_a_prompt(emulated: Emulated) -> None:
    done = emulated.mpremote("resume", "exec", "print(6 * 7)")
    assert (done.stdout.strip(), done.stderr) == ("42", "")


def test_the_flash_is_kept(emulated: Emulated) -> None:
    # The pump's boot counter, which it wrote itself; the board still runs.
    assert b"boot.a" in (emulated.state / "flash.bin").read_bytes()


def _edges(emulated: Emulated) -> list[oracle.Edge]:
    emulated.settled(5 * 1000 / HZ)
    return oracle.read_trace(emulated.trace)
