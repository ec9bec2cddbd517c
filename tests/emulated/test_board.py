"""The firmware as deployed, on the genuine MicroPython image, in the order a bench day goes.

The tests share one board: identity first, then a run, then break-in, which ends the pump.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import oracle
import pytest
from emulated.board import Emulated, until

from doseloop import Pump, resources
from doseloop.flash.build import build
from doseloop.results import Event
from doseloop.transport import SerialTransport

pytestmark = pytest.mark.timeout(900)  # the first test waits for the boot; a busy computer is slow

STEPS, HZ = 200, 500
# The emulator gives a state machine at most one instruction for each instruction of the CPU, and
# writes off what it could not give: intervals come out up to 1.5 us late, never early.
GRANULARITY_NS = 2_000


@pytest.fixture(scope="module")
def pump(emulated: Emulated) -> Iterator[Pump]:
    with emulated.pump() as opened:
        yield opened


def test_boots_to_hello(
    emulated: Emulated, pump: Pump, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        print(f"\nboot to ready: {emulated.ready_ms} ms of the board's own time")
    who = pump.identity
    assert who.micropython == "1.28.0"
    assert who.state == "idle"
    assert who.board == "pico_tmc2209"
    assert who.hash == build(resources.firmware_root()).hash, (
        "as `doseloop flash` would lay it out"
    )
    assert emulated.ready_ms <= 2000


def test_an_infusion_is_exact_and_deaf_to_ctrl_c(
    emulated: Emulated, pump: Pump, capsys: pytest.CaptureFixture[str]
) -> None:
    al = oracle.al_per_step("pico_tmc2209", "bd-plastipak-50")
    pump.load(40 * oracle.ML)
    plan = pump.infuse(volume_al=STEPS * al, rate_al_per_h=HZ * 3600 * al)
    assert plan.ordered_steps == STEPS
    pump.start()
    # At a line's start: the only place where it would be more than data.
    emulated.send(b"\x03\x03\x03\n\x03\n")
    end = _end(pump)
    assert end["reason"] == "done"
    counts = [end[name] for name in ("ordered_steps", "commanded_steps", "witnessed_steps")]
    assert counts == [STEPS] * 3
    run = pump.status().run
    assert run is not None and run.witnessed_steps == STEPS

    edges = oracle.read_trace(emulated.trace)
    assert [edge.position for edge in edges] == list(range(1, STEPS + 1))
    off = [b.ns - a.ns - 10**9 // HZ for a, b in pairwise(edges)]
    with capsys.disabled():
        print(f"\ninterval error: {min(off)} … {max(off)} ns over {len(edges)} edges")
    assert max(map(abs, off)) <= GRANULARITY_NS


def test_break_in_gives_mpremote_a_prompt(emulated: Emulated, pump: Pump) -> None:
    pump.close()
    line = SerialTransport(emulated.port)
    # Not left to mpremote: it sends the next byte at once, and the pump, some 25 times slower here
    # than on the chip, takes both in one go and drops the second.
    line.write(b"\x03")
    heard = bytearray()
    until("prompt", heard, line, b">>> ")
    line.close()
    assert _mpremote(emulated.port, "print(6 * 7)") == "42"
    free = int(_mpremote(emulated.port, "import gc; gc.collect(); print(gc.mem_free())"))
    assert free > 0


def test_the_flash_is_kept(emulated: Emulated) -> None:
    # What the pump wrote itself, its boot counter, must be in the folder without a clean end.
    assert b"boot.count" in (emulated.state / "flash.bin").read_bytes()


def _end(pump: Pump) -> dict[str, Any]:
    while True:
        message = pump.message(120)
        assert message is not None, "the run does not end"
        if isinstance(message, Event) and message.name == "end":
            return message.data


def _mpremote(port: str, code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "mpremote", "connect", port, "resume", "exec", code],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()
