"""The report: self-contained, honest about what is missing, nothing from a file is markup."""

from __future__ import annotations

import re

import msgspec
import pytest

from doseloop.errors import FileError, UsageError
from doseloop.report import page
from doseloop.report.svg import Chart, Series, bars
from doseloop.results import Event, Identity, Plan, PumpId, RunState, Status, Stretch, SyringeState
from doseloop.store import Store

ML = 10**15
AL = 10**12  # 1 uL a step
PUMP = Identity(
    session=1,
    serial="00a1",
    firmware="0.1.0",
    protocol=1,
    boot=1,
    tick_hz=10**6,
    state="idle",
    last_event=0,
    device_ms=0,
    tier="simulated",
)


def status(ms: int, witnessed: int) -> Status:
    return Status(
        schema=1,
        pump=PumpId("00a1", "0.1.0", 1, "pico", "simulated"),
        state="infusing",
        device_ms=ms,
        last_event=2,
        run=RunState("1-1", 1, 100, witnessed, witnessed, witnessed * 1000, 0, 0),
        rate_al_per_h=60 * ML,
        tick_hz=10**6,
        syringe=SyringeState("s", AL, 0, 0),
    )


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("DOSELOOP_HOME", str(tmp_path / "home"))
    with Store() as opened:
        yield opened


def record(store: Store, *, ended: bool, name: str = "an order") -> None:
    plan = Plan(100, 6000, [Stretch("infuse", 60 * ML, 100, 6000)])
    store.begin_run(PUMP, "1-1", order_name=name, order_text=f'name = "{name}"', plan=plan)
    data = {"t0": 0, "rate": 60 * ML, "tick_hz": 10**6, "al_per_step": AL, "steps": 100, "dir": 1}
    store.event(PUMP, Event(1, 1, 0, "start", "1-1", {"ordered_steps": 100}))
    store.event(PUMP, Event(2, 1, 0, "stretch", "1-1", data))
    for ms in range(0, 6000, 600):
        store.telemetry(PUMP, status(ms, ms // 60))
    if ended:
        counts = dict.fromkeys(("ordered_steps", "commanded_steps", "witnessed_steps"), 100)
        end = {**counts, "delivered_nl": 100_000, "reason": "done"}
        store.event(PUMP, Event(3, 1, 6000, "end", "1-1", end))


def written(tmp_path, **options) -> str:
    target = tmp_path / "deep" / "page.html"
    page.write(None, None, target, **options)
    return target.read_text(encoding="utf-8")


def test_a_complete_run(store, tmp_path):
    record(store, ended=True)
    trace = tmp_path / "trace.txt"
    # 1 uL at 60 mL/h is one step in 60 ms; the last one comes 250 ns late.
    times = [60_000_000 * k for k in range(1, 101)]
    times[-1] += 250
    trace.write_text("".join(f"{at} {k}\n" for k, at in enumerate(times, 1)))
    text = written(tmp_path, trace=trace)
    assert ">complete<" in text
    assert "0.100 mL" in text
    assert "0.250 µs" in text
    assert "Not a medical device" in text
    assert "<b>simulated</b>" in text
    assert len(re.findall("<svg", text)) == 3
    assert not re.search(r"<script|<link|src=|url\(|@import", text)


def test_a_run_without_an_end_does_not_look_complete(store, tmp_path):
    record(store, ended=False)
    text = written(tmp_path)
    assert ">complete<" not in text
    assert "end not recorded" in text
    assert len(re.findall("<svg", text)) == 2  # no trace, no histogram


def test_time_ends_with_the_run(store, tmp_path):
    record(store, ended=True)
    store.telemetry(PUMP, status(30_000, 100))
    assert "<b>0:00:06</b>" in written(tmp_path)


def test_what_was_withdrawn_stands_apart_from_what_was_delivered(store, tmp_path):
    plan = Plan(100, 6000, [Stretch("infuse", ML, 60, 3600), Stretch("withdraw", ML, 40, 2400)])
    store.begin_run(PUMP, "1-1", order_name="x", order_text="", plan=plan)
    store.event(PUMP, Event(1, 1, 0, "start", "1-1", {"ordered_steps": 100}))
    store.telemetry(PUMP, status(10, 0))
    counts = dict.fromkeys(("ordered_steps", "commanded_steps", "witnessed_steps"), 100)
    end = {**counts, "delivered_nl": 60_000, "reason": "done"}
    store.event(PUMP, Event(2, 1, 6000, "end", "1-1", end))
    text = written(tmp_path)
    assert "<b>0.060 mL</b>" in text
    assert "<b>0.040 mL</b><span>withdrawn</span>" in text


def test_an_alarm_is_what_the_badge_says(store, tmp_path):
    record(store, ended=False)
    alarm = {"code": "A_DRIFT", "priority": "high", "text": "far apart"}
    store.event(PUMP, Event(3, 1, 5000, "alarm", None, alarm))
    store.event(PUMP, Event(4, 1, 6000, "end", "1-1", {"reason": "alarm"}))
    text = written(tmp_path)
    assert '<span class="badge bad">A_DRIFT</span>' in text
    assert ">complete<" not in text
    assert "far apart" in text


def test_nothing_from_an_order_is_markup(store, tmp_path):
    record(store, ended=True, name="<script>alert(1)</script> & co")
    text = written(tmp_path)
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; co" in text


def test_missing_runs_and_bad_targets_are_named(store, tmp_path):
    with pytest.raises(UsageError, match="any run"):
        page.write(None, None, tmp_path / "x.html")
    record(store, ended=True)
    with pytest.raises(FileError, match="cannot write"):
        page.write(None, None, tmp_path)


def test_a_chart_keeps_every_point_inside_its_frame():
    chart = Chart("s", "mL", [Series("a", "ordered", [(0, 0), (10, 7), (20, 0.5)])]).render()
    points = re.search(r'points="([^"]+)"', chart)
    assert points is not None
    for pair in points[1].split():
        x, y = map(float, pair.split(","))
        assert 0 <= x <= 860
        assert 0 <= y <= 260


def test_a_chart_without_points_still_renders():
    assert Chart("s", "mL", [Series("a", "ordered", [])]).render().endswith("</svg>")
    assert bars(["a"], [0], "x", "y").endswith("</svg>")


@pytest.mark.requirement("B8")
def test_a_run_over_a_reset_is_one_page(store, tmp_path):
    # Boot 1 is last heard of at 5400 ms with 90 steps; 85 were kept. Boot 2 goes on at 1000 ms.
    record(store, ended=False)
    after = msgspec.structs.replace(PUMP, boot=2)
    counts = {"commanded_steps": 85, "witnessed_steps": 85, "booked_in": 85}
    store.event(
        after,
        Event(1, 2, 0, "interrupted", "1-1", {**counts, "uncertain_steps": 60, "why": None}),
    )
    alarm = {"code": "A_RESET", "priority": "high", "text": "x"}
    store.event(after, Event(2, 2, 0, "alarm", None, alarm))
    text = written(tmp_path)
    assert ">interrupted<" in text and "<b>90</b><span>steps witnessed" in text
    data = {"t0": 10**6, "rate": 60 * ML, "tick_hz": 10**6, "al_per_step": AL, "steps": 15}
    store.event(after, Event(3, 2, 1000, "resume", "1-1"))
    store.event(after, Event(4, 2, 1000, "stretch", "1-1", {**data, "dir": 1}))
    store.telemetry(after, status(1600, 95))
    ended = dict.fromkeys(("ordered_steps", "commanded_steps", "witnessed_steps"), 100)
    end = {**ended, "delivered_nl": 100_000, "reason": "done"}
    store.event(after, Event(5, 2, 1900, "end", "1-1", end))
    text = written(tmp_path)
    assert ">complete, interrupted<" in text
    assert "interrupted this run after\n85 steps" in text
    assert "up to 0.060 mL (60 steps) may have flowed beyond that" in text
    assert "<b>0:00:08</b><span>time of the pump" in text  # 5.4 s and 1.9 s
    assert text.count(">reset</text>") == 1
    assert re.search(r'"n">2:4</td>\s*<td class="n">6.400 s', text)  # 5.4 s and 1 s
    assert "A_RESET</text>" not in text
    # The curve stands from 5.4 s to 6.4 s, and never goes back in time.
    (curve,) = re.findall(r'class="delivered" points="([^"]*)"', text)[:1]
    xs = [float(point.split(",")[0]) for point in curve.split()]
    assert xs == sorted(xs)


def test_exact_counts_after_a_reset_say_so(store, tmp_path):
    record(store, ended=False)
    after = msgspec.structs.replace(PUMP, boot=2)
    counts = {"commanded_steps": 90, "witnessed_steps": 90, "booked_in": 90}
    store.event(
        after, Event(1, 2, 0, "interrupted", "1-1", {**counts, "uncertain_steps": 0, "why": None})
    )
    assert "The counts are exact: power was not lost." in written(tmp_path)
