"""What people read: numbers rounded for show, plans, progress with and without a terminal."""

from __future__ import annotations

import io

import msgspec
import pytest
from rich.console import Console

from doseloop import output
from doseloop import progress as bars
from doseloop.doses import Ordered
from doseloop.progress import Progress
from doseloop.results import Event, Plan, PumpId, RunState, Status, Stretch, SyringeState

ML = 10**15
AL = 173_530_803_503  # one microstep


def status(witnessed: int, state: str = "infusing") -> Status:
    return Status(
        schema=1,
        pump=PumpId("00a1", "0.1.0", 1, "pico", "simulated", port="/dev/pts/9"),
        state=state,
        device_ms=1000,
        last_event=4,
        run=RunState("1-1", 1, 1000, witnessed, witnessed, witnessed * AL // 10**9, 7, 90_500),
        rate_al_per_h=5 * ML,
        tick_hz=10**6,
        syringe=SyringeState("bd-plastipak-50", AL, -witnessed, 39_123_456),
    )


@pytest.mark.parametrize(
    ("nl", "text"),
    [
        (0, "0.000 mL"),
        (499, "0.000 mL"),
        (500, "0.001 mL"),
        (39_999_891, "40.000 mL"),
        (39_999_499, "39.999 mL"),
        (10**8, "100.000 mL"),
    ],
)
def test_volume_is_rounded_half_up_to_a_microlitre(nl, text):
    assert output.ml(nl) == text


@pytest.mark.parametrize(
    ("ms", "text"),
    [(0, "0:00:00"), (1, "0:00:01"), (3_599_001, "1:00:00"), (90_061_000, "25:01:01")],
)
def test_time_left_is_rounded_up(ms, text):
    assert output.clock(ms) == text


def test_a_rate_that_is_not_round_says_so():
    assert output.rate(5 * ML) == "5 mL/h"
    assert output.rate(5 * ML + 1) == "≈ 5 mL/h"


@pytest.mark.requirement("B2")
def test_plan_shows_the_ordered_volume_and_the_whole_steps():
    # 2.5 mL are 14406.66 microsteps: 14406 of them hold 2.49988 mL.
    part = Stretch("infuse", 5 * ML, 14406, 1_800_000)
    pause = Stretch("pause", 0, 0, 60_000)
    plan = Plan(14406, 1_860_000, [part, pause], 1, 1, "bd-plastipak-50", 2 * ML)
    text = output.plan_text(plan, AL, "it")
    assert "Plan: it" in text
    assert "5 mL/h  2.500 mL  0:30:00" in text
    assert "14,406 whole steps, 2.500 mL, in 0:31:00" in text
    assert "filled with 2 mL" in text
    assert "1 syringe change" in text


@pytest.mark.requirement("B2")
def test_b2_plan_shows_a_dose_beside_what_it_becomes():
    dose = Ordered("step 1, rate", "rate", "2 mcg/kg/min", ("70 kg",), 5 * ML // 4, True)
    part = Stretch("infuse", 5 * ML // 4, 7203, 3_600_000)
    lines = output.plan_text(Plan(7203, 3_600_000, [part]), AL, "it", (dose,)).splitlines()
    assert lines[3] == "  step 1, rate: 2 mcg/kg/min (70 kg) = 1.25 mL/h"
    assert "whole steps" in lines[4]


def test_plan_never_adds_what_is_withdrawn_to_what_is_infused():
    parts = [Stretch("infuse", 5 * ML, 5762, 60_000), Stretch("withdraw", 5 * ML, 2881, 30_000)]
    text = output.plan_text(Plan(8643, 90_000, parts), AL)
    assert "8,643 whole steps, 1.000 mL infused, 0.500 mL withdrawn, in 0:01:30" in text


def test_status_after_a_run_tells_nothing_that_is_still_to_come():
    text = output.status_text(status(100, "idle"))
    assert "last run" in text
    assert "100 of 1,000 steps witnessed" in text
    assert "to go" not in text
    assert "time left" not in text


def test_status_for_people():
    text = output.status_text(status(100))
    assert "infusing" in text
    assert "1,000 ordered, 100 commanded, 100 witnessed" in text
    assert "39.123 mL" in text


@pytest.mark.requirement("F14")
def test_status_shows_what_is_left_of_a_bolus():
    now = status(100, "bolus")
    assert "bolus " not in output.status_text(now)
    run = msgspec.structs.replace(now.run, bolus_left_nl=750_000, bolus_left_ms=44_990)
    text = output.status_text(msgspec.structs.replace(now, run=run))
    assert [line for line in text.splitlines() if line.startswith("bolus ")] == [
        "bolus      0.750 mL, 0:00:45 to go"
    ]


def test_without_a_terminal_progress_is_a_line_every_ten_per_cent(capsys):
    with Progress(1000, plain=True) as progress:
        for witnessed in range(0, 1001, 20):
            progress.update(status(witnessed))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("%")[0].strip() for line in lines] == [str(p) for p in range(0, 101, 10)]
    assert lines[5].split() == (
        "50 % 0.087 / 0.174 mL 5 mL/h 0:01:31 left 39.123 mL in syringe".split()
    )


def test_the_bar_shows_delivered_ordered_rate_time_left_and_plunger():
    file = io.StringIO()
    console = Console(file=file, width=140, force_terminal=True, color_system=None)
    bar, task = bars._bar(1000, console)
    with bar:
        progress = Progress(1000)
        progress._bar, progress._task = bar, task
        progress.update(status(500))
    shown = file.getvalue()
    for part in ("infusing", "50 %", "0.087 / 0.174 mL", "5 mL/h", "0:01:31 left", "39.123 mL"):
        assert part in shown


def test_event_lines():
    event = Event(
        7, 1, 61_500, "alarm", "1-1", {"code": "A_DRIFT", "priority": "high", "text": "x"}
    )
    assert output.describe(event) == "A_DRIFT (high): x"
    assert output.event_line(event).startswith("1:7")
    assert "code=A_DRIFT" in output.event_line(event)
    event = Event(8, 1, 61_500, "rate", "1-1", {"old": 5 * ML, "rate": 6 * ML, "applies": True})
    assert output.event_line(event).endswith("rate run 1-1 old=5 mL/h rate=6 mL/h applies=True")
