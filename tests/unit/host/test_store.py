"""The records: nothing twice, nothing lost, and what belongs to a run."""

from __future__ import annotations

import sqlite3

import msgspec
import pytest

from doseloop.errors import DoseloopError, UsageError
from doseloop.results import Event, Identity, Plan, PumpId, RunState, Status, Stretch, SyringeState
from doseloop.store import Store
from doseloop.store.database import migrations

PUMP = Identity(
    session=1,
    serial="00a1",
    firmware="0.1.0",
    protocol=1,
    boot=2,
    tick_hz=1_000_000,
    state="idle",
    last_event=0,
    device_ms=0,
)
END = {
    "reason": "done",
    "ordered_steps": 9,
    "commanded_steps": 9,
    "witnessed_steps": 9,
    "delivered_nl": 7,
}


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "records.sqlite3") as opened:
        yield opened


def run_of_events(run: str = "2-1", first: int = 1) -> list[Event]:
    names = ["start", "stretch", "alarm", "clear", "end"]
    return [
        Event(
            first + i,
            2,
            (first + i) * 10,
            name,
            None if name in ("alarm", "clear") else run,
            END if name == "end" else {},
        )
        for i, name in enumerate(names)
    ]


def test_the_same_event_twice_is_one(store):
    for event in run_of_events() * 2:
        store.event(PUMP, event)
    assert [event.n for event in store.events()] == [1, 2, 3, 4, 5]
    (run,) = store.runs()
    assert (run.reason, run.witnessed_steps, run.delivered_nl) == ("done", 9, 7)


def test_last_event_stops_at_the_first_gap(store):
    for n in (1, 2, 3, 5, 6):
        store.event(PUMP, Event(n, 2, n, "stretch"))
    assert store.last_event("00a1", 2) == 3
    assert store.last_event("00a1", 1) == 0
    store.event(PUMP, Event(4, 2, 4, "stretch"))
    assert store.last_event("00a1", 2) == 6


def test_a_run_has_the_alarms_in_between_and_not_the_next_run(store):
    for event in [*run_of_events(), Event(6, 2, 60, "load"), *run_of_events("2-2", 7)]:
        store.event(PUMP, event)
    assert [event.n for event in store.run_events(store.find_run("2-1"))] == [1, 2, 3, 4, 5]
    assert [event.n for event in store.run_events(store.find_run("2-2"))] == [7, 8, 9, 10, 11]


def test_what_was_ordered_is_kept_when_the_run_is_taken_up_again(store):
    plan = Plan(9, 1000, [Stretch("infuse", 10**15, 9, 1000)])
    store.begin_run(PUMP, "2-1", order_name="it", order_text="schema = 1", plan=plan)
    store.begin_run(PUMP, "2-1")
    record = store.find_run()
    assert (record.order_name, record.order_text, record.plan) == ("it", "schema = 1", plan)
    assert record.ended is None


def test_an_unknown_run_is_a_usage_error(store):
    with pytest.raises(UsageError, match="any run"):
        store.find_run()
    with pytest.raises(UsageError, match="run 7"):
        store.find_run("7")


def test_two_programs_may_record_at_once(store):
    with Store(store.path) as other:
        for event in run_of_events():
            store.event(PUMP, event)
            other.event(PUMP, event)
        assert store.events() == other.events()
        mode = sqlite3.connect(store.path)
        assert mode.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        mode.close()


def test_migrations_are_numbered_without_a_gap():
    assert list(migrations()) == list(range(1, len(migrations()) + 1))


def test_records_of_newer_tools_are_left_alone(tmp_path):
    path = tmp_path / "records.sqlite3"
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 999")
    database.close()
    with pytest.raises(DoseloopError, match="newer tools") as caught:
        Store(path)
    assert caught.value.code == "E_RECORDS"


def interrupted(why: str | None = None) -> Event:
    data = {"commanded_steps": 5, "witnessed_steps": 5, "booked_in": 5, "uncertain_steps": 2}
    return Event(2, 3, 0, "interrupted", "2-1", {**data, "why": why})


AFTER = msgspec.structs.replace(PUMP, boot=3)


@pytest.mark.requirement("B8")
def test_a_run_that_a_reset_interrupted_goes_on_in_the_next_boot(store):
    for event in run_of_events()[:-1]:
        store.event(PUMP, event)
    store.event(AFTER, Event(1, 3, 0, "boot"))
    store.event(AFTER, interrupted())
    (run,) = store.runs()
    assert (run.reason, run.ended) == ("interrupted", None)
    store.event(AFTER, Event(3, 3, 9, "resume", "2-1"))
    store.event(AFTER, interrupted())  # received once more
    assert store.find_run("2-1").reason is None
    store.event(AFTER, Event(4, 3, 50, "end", "2-1", END))
    store.event(AFTER, Event(5, 3, 60, "start", "3-1"))
    (run,) = (run for run in store.runs() if run.run == "2-1")
    assert (run.reason, run.witnessed_steps) == ("done", 9)
    found = [(event.boot, event.n) for event in store.run_events(run)]
    assert found == [(2, 1), (2, 2), (2, 3), (2, 4), (3, 1), (3, 2), (3, 3), (3, 4)]


def test_a_run_that_the_pump_could_not_read_again_has_ended_with_the_reset(store):
    for event in run_of_events()[:-1]:
        store.event(PUMP, event)
    state = RunState("2-1", 1, 9, 5, 5, 5, 4, 0)
    syringe = SyringeState("s", 3 * 10**9, 0, 0)
    status = Status(1, PumpId("00a1", "0.1.0", 1), "infusing", 45, 4, state, 1, 10**6, syringe)
    store.telemetry(PUMP, status)
    store.event(AFTER, interrupted("another configuration is in force"))
    store.event(AFTER, Event(3, 3, 9, "config"))
    (run,) = store.runs()
    assert (run.reason, run.witnessed_steps, run.ordered_steps) == ("reset", 5, 9)
    assert run.delivered_nl == 15
    assert store.run_events(run)[-1].name == "interrupted"


def test_what_kept_the_vein_open_had_ended_before(store):
    for event in run_of_events():
        store.event(PUMP, event)
    store.event(AFTER, interrupted("the order was done; it kept the vein open"))
    assert store.find_run("2-1").reason == "done"
