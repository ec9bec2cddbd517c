"""The bolus button on the whole simulated board, from its bouncing contact to the STEP pin."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bench import Bench
from oracle import ML

from doseloop import boards, resources
from doseloop.order import load_order

SECOND = 1_000_000
MINUTE = 60 * SECOND
# No basal rate: every step is a dose's. 0.1 mL in 6 s, a minute of lockout.
ORDER = """schema = 1
name = "On demand"
[syringe]
model = "bd-plastipak-50"
fill = "40 mL"
[[step]]
mode = "pca"
dose = "0.1 mL"
dose_rate = "60 mL/h"
lockout = "1 min"
limit_1h = "2 mL"
duration = "8 h"
"""


@pytest.fixture
def bench() -> Iterator[Bench]:
    with Bench() as it:
        yield it


@pytest.fixture
def sealed(tmp_path: Path) -> str:
    path = tmp_path / "order.toml"
    path.write_text(ORDER, encoding="utf-8")
    return load_order(path).sealed


def told(bench: Bench, *names: str) -> list[dict[str, Any]]:
    return [event for event in bench.events() if event["e"] in names]


def press(bench: Bench) -> None:
    bench.control("press bolus")
    bench.advance(SECOND)


@pytest.mark.requirement("F3", "F4")
def test_a_dose_for_a_press_and_none_in_the_lockout(bench: Bench, sealed: str) -> None:
    bench.pump.order(sealed)
    press(bench)  # C16: not begun yet
    bench.pump.start()
    bench.advance(5 * SECOND)
    assert bench.edges() == []
    before = bench.pump.status().device_ms
    press(bench)
    bench.advance(20 * SECOND)
    dose = ML // 10 // bench.al
    assert len(bench.edges()) == dose
    given = told(bench, "bolus")
    # 5 ms of bounce, 30 ms without an edge, and main is there at once, though nothing else is due
    assert len(given) == 1 and 30 <= given[0]["ms"] - before <= 100
    press(bench)
    assert [event["why"] for event in told(bench, "denied")] == ["state", "lockout"]
    assert len(bench.edges()) == dose
    bench.advance(MINUTE)
    press(bench)
    bench.advance(20 * SECOND)
    # Two doses are one volume, summed before it becomes steps.
    assert len(bench.edges()) == 2 * ML // 10 // bench.al
    view = bench.pump.pca()
    assert (view.demands, view.given) == (4, 2)
    assert view.denied["state"] == 1 and view.denied["lockout"] == 1
    status = bench.pump.status()
    assert status.run is not None
    assert status.run.witnessed_steps == len(bench.edges())


def test_a_press_during_the_flow_is_noticed_as_soon(bench: Bench) -> None:
    order = load_order(Path(__file__).parents[2] / "examples" / "morphine_pca.toml")
    assert order.syringe is not None
    bench.use_syringe(order.syringe)
    bench.pump.order(order.sealed)
    bench.pump.start()
    for _ in range(3):
        bench.advance(10 * MINUTE + 123_457)  # somewhere in main's second
        before = bench.pump.status().device_ms
        press(bench)
        assert 30 <= told(bench, "bolus")[-1]["ms"] - before <= 100
    assert len(told(bench, "bolus")) == 3 and not told(bench, "denied")


@pytest.mark.requirement("C19")
def test_a_button_that_sticks_gives_one_dose_and_an_alarm(bench: Bench, sealed: str) -> None:
    # C19, F5
    bench.pump.order(sealed)
    bench.pump.start()
    bench.control("fault button_stuck")
    bench.advance(10 * MINUTE)
    assert len(bench.edges()) == ML // 10 // bench.al
    alarm = told(bench, "alarm")
    assert [event["code"] for event in alarm] == ["A_BUTTON"]
    given = told(bench, "bolus")
    assert len(given) == 1
    assert 59_900 <= alarm[0]["ms"] - given[0]["ms"] <= 60_100
    assert "A_BUTTON" in [alarm.code for alarm in bench.pump.status().alarms]
    bench.pump.clear()
    assert "A_BUTTON" in [alarm.code for alarm in bench.pump.status().alarms]
    bench.control("clear button_stuck")
    bench.advance(SECOND)
    bench.pump.clear()
    assert not bench.pump.status().alarms
    press(bench)
    assert len(told(bench, "bolus")) == 2


def test_stuck_from_the_beginning_it_gives_nothing(sealed: str) -> None:
    with Bench("--fault", "button_stuck@0") as bench:
        bench.advance(SECOND)
        bench.pump.order(sealed)
        bench.pump.start()
        bench.advance(10 * MINUTE)
        assert bench.edges() == [] and not told(bench, "bolus", "denied")
        assert [event["code"] for event in told(bench, "alarm")] == ["A_BUTTON"]


def test_without_a_patients_order_it_is_nothing(bench: Bench) -> None:
    pump = bench.pump
    press(bench)
    pump.load(40 * ML)
    pump.infuse(volume_al=ML, rate_al_per_h=60 * ML)
    pump.start()
    before = pump.status().last_event
    press(bench)
    assert pump.status().last_event == before
    bench.advance(2 * MINUTE)
    assert len(bench.edges()) == ML // bench.al


def test_a_board_without_a_button_says_so(tmp_path: Path) -> None:
    text = (resources.boards_root() / "pico_tmc2209.toml").read_text()
    text = re.sub(r"\[pins.bolus\]\n(.+\n)+", "", text).replace('bolus_pressed = "low"\n', "")
    path = tmp_path / "pico_tmc2209.toml"
    path.write_text(text)
    assert boards.load_board(path).gpio("bolus") is None
    with Bench("--board", str(path)) as bench:
        for line in ("press bolus", "fault button_stuck"):
            with pytest.raises(AssertionError, match="no bolus button"):
                bench.control(line)
        assert bench.pump.status().state == "idle"
