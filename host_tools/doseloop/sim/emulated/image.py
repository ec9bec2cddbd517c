"""Find the MicroPython image for the emulated board. Called by server only."""

from __future__ import annotations

import os
from pathlib import Path

from doseloop import paths
from doseloop.errors import UsageError
from doseloop.flash import uf2
from doseloop.flash.build import MICROPYTHON_VERSION

NAME = f"RPI_PICO-{MICROPYTHON_VERSION}.uf2"


def cached() -> Path:
    """Return where the image is looked for when none is named; it need not exist."""
    return paths.home() / "uf2" / NAME


def find(named: Path | None = None) -> Path:
    """Return the image: `named`, else DOSELOOP_UF2, else the cached one; checked block by block.

    Raise UsageError when there is none, FileError for a damaged one, VersionMismatch for another
    MicroPython than the firmware is built for.
    """
    variable = os.environ.get("DOSELOOP_UF2")
    path = named or (Path(variable).expanduser() if variable else cached())
    if not path.is_file():
        raise UsageError(
            f"the emulated board needs a MicroPython image, and {path} is none",
            code="E_UF2",
            next=f"make uf2 fetches it; or download RPI_PICO {MICROPYTHON_VERSION} from"
            " micropython.org/download/RPI_PICO, then --uf2 FILE, or DOSELOOP_UF2=FILE, or keep"
            f" it as {cached()}",
        )
    uf2.check_version(uf2.read_image(path))
    return path
