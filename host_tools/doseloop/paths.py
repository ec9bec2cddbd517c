"""Where the host keeps its own files: records, aliases, registry of simulated pumps.

`DOSELOOP_HOME` wins; else the platform's user directory. Called by store, ports and sim.
"""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """Return the folder of the host's own files; it need not exist yet."""
    named = os.environ.get("DOSELOOP_HOME")
    if named:
        return Path(named).expanduser()
    from platformdirs import user_data_path  # 10 ms of imports; most verbs of a rig never need it

    return user_data_path("doseloop", appauthor=False)


def ensure(folder: Path) -> Path:
    """Make `folder` when it is missing, readable by its owner only, and return it."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def records() -> Path:
    """Return the path of the record database."""
    return home() / "records.sqlite3"


def sims() -> Path:
    """Return the folder with one JSON file for each running simulated pump."""
    return home() / "sims"
