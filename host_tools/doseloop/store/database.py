"""The record database: SQLite in WAL mode, numbered migrations, no ORM.

Each thing received is one small transaction: a killed program loses nothing it has seen. Times of
the host are UTC in ISO 8601; times of the pump are its own milliseconds.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources as package_files
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from msgspec.structs import replace

from doseloop import paths, results
from doseloop.errors import DoseloopError, UsageError
from doseloop.results import Event, Identity, Plan, RunState, Status

_BUSY_MS = 5000  # two programs may record at once; each transaction is far shorter

_ENDS = ("end", "stop")
_AL_PER_NL = 10**9


class Sample(NamedTuple):
    """A status as it was received; its time counts from the start of that boot."""

    boot: int
    status: Status


@dataclass(frozen=True)
class RunRecord:
    """One run as recorded. Steps and volume are None until its end was received.

    `reason`: why it ended; "interrupted" while it hasn't and a reset has cut it short.
    """

    id: int
    serial: str
    run: str
    order_name: str | None
    order_text: str | None
    plan: Plan | None
    trace: str | None
    started: str
    ended: str | None
    reason: str | None
    ordered_steps: int | None
    commanded_steps: int | None
    witnessed_steps: int | None
    delivered_nl: int | None


class Store:
    """An open record database. Also a `Recorder` for `Pump`; use it from one thread."""

    def __init__(self, path: Path | None = None) -> None:
        """Open or make the database at `path`, else the one of this user."""
        self.path = path or paths.records()
        paths.ensure(self.path.parent)
        self._db = sqlite3.connect(
            self.path, isolation_level=None, timeout=_BUSY_MS / 1000, check_same_thread=True
        )
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute("PRAGMA foreign_keys = ON")
        self._migrate()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    # -- as a Recorder -------------------------------------------------------------------------

    def event(self, pump: Identity, event: Event) -> None:
        """Keep one event; one that is known already changes nothing."""
        new = self._db.execute(
            "INSERT OR IGNORE INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                pump.serial,
                event.boot,
                event.n,
                event.ms,
                event.name,
                event.run,
                json.dumps(event.data),
                _now(),
            ),
        )
        if event.run is None:
            return
        if event.name in _ENDS:
            self._finish(pump, event)
        elif event.name == "interrupted" and event.data.get("why"):
            self._finish(pump, self._as_end(pump, event))
        elif new.rowcount and event.name in ("interrupted", "resume"):
            self._mark(pump, event.run, "interrupted" if event.name == "interrupted" else None)

    def telemetry(self, pump: Identity, status: Status) -> None:
        """Keep one status; of two at the same instant of the pump the later one."""
        self._db.execute(
            "INSERT INTO telemetry VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " run = excluded.run, status = excluded.status",
            (
                pump.serial,
                pump.boot,
                status.device_ms,
                None if status.run is None else status.run.id,
                json.dumps(results.plain(status)),
                _now(),
            ),
        )

    def reply(self, pump: Identity, command: str, args: Any, ok: dict[str, Any]) -> None:
        """Keep one reply to a command that changed something."""
        self._db.execute(
            "INSERT INTO reply (serial, boot, command, arguments, reply, received)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (pump.serial, pump.boot, command, json.dumps(args), json.dumps(ok), _now()),
        )

    # -- runs ------------------------------------------------------------------------------------

    def begin_run(
        self,
        pump: Identity,
        run: str,
        *,
        order_name: str | None = None,
        order_text: str | None = None,
        plan: Plan | None = None,
        trace: Path | None = None,
    ) -> None:
        """Note that `run` goes on, and what was ordered; known parts are kept."""
        self._db.execute(
            "INSERT INTO pump VALUES (?, ?, ?, ?, ?) ON CONFLICT (serial) DO UPDATE SET"
            " board = excluded.board, firmware = excluded.firmware,"
            " last_seen = excluded.last_seen",
            (pump.serial, pump.tier, pump.board, pump.firmware, _now()),
        )
        self._db.execute(
            "INSERT INTO run (serial, run, order_name, order_text, plan, trace, started)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (serial, run) DO UPDATE SET"
            " order_name = coalesce(run.order_name, excluded.order_name),"
            " order_text = coalesce(run.order_text, excluded.order_text),"
            " plan = coalesce(run.plan, excluded.plan),"
            " trace = coalesce(run.trace, excluded.trace)",
            (
                pump.serial,
                run,
                order_name,
                order_text,
                None if plan is None else json.dumps(results.plain(plan)),
                None if trace is None else str(trace.absolute()),
                _now(),
            ),
        )

    def _mark(self, pump: Identity, run: str, reason: str | None) -> None:
        self.begin_run(pump, run)
        self._db.execute(
            "UPDATE run SET reason = ? WHERE serial = ? AND run = ? AND ended IS NULL",
            (reason, pump.serial, run),
        )

    def _as_end(self, pump: Identity, event: Event) -> Event:
        """Return the end of a run that a reset ended and that the pump could not read again."""
        counts = {name: event.data.get(name) for name in ("commanded_steps", "witnessed_steps")}
        known = [sample.status for sample in self.samples(pump.serial, str(event.run))]
        ordered = booked = None
        if known and known[-1].run is not None and known[-1].syringe is not None:
            ordered = known[-1].run.ordered_steps
            booked = int(event.data["booked_in"]) * known[-1].syringe.al_per_step // _AL_PER_NL
        data = {**counts, "reason": "reset", "ordered_steps": ordered, "delivered_nl": booked}
        return replace(event, data=data)

    def _finish(self, pump: Identity, event: Event) -> None:
        self.begin_run(pump, str(event.run))
        keys = ("ordered_steps", "commanded_steps", "witnessed_steps", "delivered_nl")
        self._db.execute(
            "UPDATE run SET ended = ?, reason = ?, ordered_steps = ?, commanded_steps = ?,"
            " witnessed_steps = ?, delivered_nl = ? WHERE serial = ? AND run = ?"
            " AND ended IS NULL",
            (
                _now(),
                event.data.get("reason", event.name),
                *(event.data.get(key) for key in keys),
                pump.serial,
                event.run,
            ),
        )

    def runs(self, limit: int = 50) -> list[RunRecord]:
        """Return the newest runs, newest first."""
        rows = self._db.execute("SELECT * FROM run ORDER BY id DESC LIMIT ?", (limit,))
        return [_run(row) for row in rows]

    def find_run(self, wanted: str | None = None, serial: str | None = None) -> RunRecord:
        """Return the run `wanted` (the pump's id, or the number of the record), else the newest.

        Raises `UsageError` when there is none.
        """
        rows = self._db.execute(
            "SELECT * FROM run WHERE (?1 IS NULL OR run = ?1 OR CAST(id AS TEXT) = ?1)"
            " AND (?2 IS NULL OR serial = ?2) ORDER BY id DESC LIMIT 1",
            (wanted, serial),
        )
        row = rows.fetchone()
        if row is None:
            what = f"run {wanted}" if wanted else "any run"
            raise UsageError(
                f"the records do not hold {what}", code="E_NO_RUN", next="doseloop logs --runs"
            )
        return _run(row)

    def name_of(self, serial: str, run: RunState | None) -> str | None:
        """Return the recorded name of a run's order."""
        if run is None:
            return None
        rows = self._db.execute(
            "SELECT order_name FROM run WHERE serial = ? AND run = ?", (serial, run.id)
        )
        row = rows.fetchone()
        return None if row is None else row["order_name"]

    def last_event(self, serial: str, boot: int) -> int:
        """Return up to which number the events of a boot are recorded without a gap."""
        rows = self._db.execute(
            "SELECT n FROM event WHERE serial = ? AND boot = ? ORDER BY n", (serial, boot)
        )
        last = 0
        for (number,) in rows:
            if number != last + 1:
                break
            last = number
        return last

    def events(self, serial: str | None = None, run: str | None = None) -> list[Event]:
        """Return recorded events by boot and number, of one pump and one run if given."""
        rows = self._db.execute(
            "SELECT * FROM event WHERE (?1 IS NULL OR serial = ?1)"
            " AND (?2 IS NULL OR run = ?2) ORDER BY serial, boot, n",
            (serial, run),
        )
        return [
            Event(
                row["n"],
                row["boot"],
                row["device_ms"],
                row["name"],
                row["run"],
                json.loads(row["data"]),
            )
            for row in rows
        ]

    def run_events(self, record: RunRecord) -> list[Event]:
        """Return the events from a run's start to its end, or to the start of the next one.

        Alarms and syringe changes in between belong to it, though they do not name it. A run that
        a reset has interrupted goes on in a later boot, which begins with event 1 and 0 ms.
        """
        own = self.events(record.serial, record.run)
        if not own:
            return []
        first = (own[0].boot, own[0].n)
        ends = [
            (event.boot, event.n)
            for event in own
            if event.name in _ENDS or (event.name == "interrupted" and event.data.get("why"))
        ]
        found: list[Event] = []
        for event in self.events(record.serial):
            place = (event.boot, event.n)
            if place < first or (ends and place > ends[-1]):
                continue
            if event.name == "start" and event.run != record.run:
                break
            found.append(event)
        return found

    def samples(self, serial: str, run: str) -> list[Sample]:
        """Return the recorded telemetry of a run, in the pump's time."""
        rows = self._db.execute(
            "SELECT boot, status FROM telemetry WHERE serial = ? AND run = ?"
            " ORDER BY boot, device_ms",
            (serial, run),
        )
        return [
            Sample(
                row["boot"],
                results.convert(json.loads(row["status"]), Status, "recorded status"),
            )
            for row in rows
        ]

    # -- schema ----------------------------------------------------------------------------------

    def _migrate(self) -> None:
        scripts = migrations()
        newest = max(scripts)
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > newest:
            raise DoseloopError(
                f"{self.path} was written by newer tools (schema {version}, these know {newest})",
                code="E_RECORDS",
                next="install the newer doseloop again, or set DOSELOOP_HOME elsewhere",
            )
        for number in range(version + 1, newest + 1):
            # Another program may be doing the same: look again under the lock.
            self._db.execute("BEGIN IMMEDIATE")
            (current,) = self._db.execute("PRAGMA user_version").fetchone()
            if current < number:
                for statement in _statements(scripts[number]):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {number}")
            self._db.execute("COMMIT")


def migrations() -> dict[int, str]:
    """Return the migration scripts by number, from 1 on without a gap."""
    folder = package_files.files("doseloop.store") / "migrations"
    scripts = {
        int(entry.name[:4]): entry.read_text(encoding="utf-8")
        for entry in folder.iterdir()
        if entry.name.endswith(".sql")
    }
    return dict(sorted(scripts.items()))


def _statements(script: str) -> list[str]:
    # executescript() would commit the open transaction.
    found: list[str] = []
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            found.append(pending)
            pending = ""
    return found


def _run(row: sqlite3.Row) -> RunRecord:
    values = dict(row)
    plan = values.pop("plan")
    return RunRecord(
        **values,
        plan=None if plan is None else results.convert(json.loads(plan), Plan, "recorded plan"),
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
