"""30 days at 0.08 mL/h through dose loop and pin model (thirty_days.py), in real MicroPython."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from oracle import al_per_step

from doseloop import resources
from doseloop.sim import interpreter


@pytest.mark.requirement("A3", "A7")
@pytest.mark.parametrize("days", [30])
def test_every_edge_of_a_month_is_exact(days: int) -> None:
    rate, al = 80 * 10**12, al_per_step("pico_tmc2209", "bd-plastipak-50")  # 0.08 mL/h
    script = Path(__file__).with_name("thirty_days.py")
    result = subprocess.run(
        [*interpreter.find(), "-X", "heapsize=32m", str(script), str(resources.firmware_root()),
         str(resources.sim_device_root()), str(days), str(rate), str(al)],
        capture_output=True, text=True, timeout=380, check=True,
    )  # fmt: skip
    found = json.loads(result.stdout.splitlines()[-1])
    steps = rate * 24 * days // al
    assert found["edges"] == found["commanded"] == found["witnessed"] == found["ordered"] == steps
    assert found["position"] == steps > 300_000
    assert found["worst_ticks"] <= 1
    assert found["days"] > days - 0.001
