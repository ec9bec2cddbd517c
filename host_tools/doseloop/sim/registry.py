"""The running simulated pumps of this user: one JSON file each, locked while its pump runs.

Written by the launcher, read by `doseloop.ports`. A file whose lock is free belongs to a
simulator that was killed; whoever sees it removes it.
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from doseloop import paths


@dataclass(frozen=True)
class Entry:
    """One running simulated pump."""

    pid: int
    port: str
    link: str | None
    control: str | None
    board: str | None
    syringe: str | None
    speed: str


class Registration:
    """This process's own entry, from construction to `close`."""

    def __init__(self, entry: Entry) -> None:
        folder = paths.ensure(paths.sims())
        self._path = folder / f"{entry.pid}.json"
        # Not inheritable: a lock shared with a child would outlive this process.
        self._file = open(self._path, "w", encoding="utf-8")  # noqa: SIM115
        fcntl.flock(self._file, fcntl.LOCK_EX)
        json.dump(asdict(entry), self._file)
        self._file.flush()

    def close(self) -> None:
        """Remove the entry."""
        self._path.unlink(missing_ok=True)
        self._file.close()


def running() -> list[Entry]:
    """Return the running simulated pumps by process id; remove what dead ones left."""
    try:
        files = sorted(paths.sims().glob("*.json"))
    except OSError:
        return []
    entries = [_read(path) for path in files]
    return sorted((entry for entry in entries if entry is not None), key=lambda e: e.pid)


def _read(path: Path) -> Entry | None:
    try:
        with open(path, encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return Entry(**json.load(file))
            # The lock is free for an instant between creation and lock, too; the process tells.
            if not _alive(path.stem):
                path.unlink(missing_ok=True)
    except (OSError, ValueError, TypeError):
        return None
    return None


def _alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (ValueError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
