"""The flash of an emulated board in its `--state` folder: the file system, and what is on it.

Written while the board runs, often and whole, so that `kill -9` costs no more than a power cut.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from doseloop.errors import FileError
from doseloop.sim.emulated.chip import FS_SIZE
from doseloop.sim.emulated.placing import Placed

_FLASH = "flash.bin"
_NOTE = "flash.json"


class Kept:
    """The folder; made when it is missing."""

    def __init__(self, folder: Path) -> None:
        self._flash = folder / _FLASH
        self._note = folder / _NOTE
        self._saved: bytes | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(f"cannot make the folder {folder}: {error.strerror}") from error

    def read(self) -> Placed | None:
        """Return what was kept, None when there is nothing. Raise FileError when it is damaged."""
        if not self._note.exists():
            return None
        try:
            note = json.loads(self._note.read_text(encoding="ascii"))
            data = self._flash.read_bytes()
            if len(data) != FS_SIZE:
                raise ValueError(f"{len(data)} bytes instead of {FS_SIZE}")
            return Placed(data, str(note["firmware"]), str(note["config"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise FileError(
                f"{self._flash} is no flash of an emulated board: {error}",
                next="name another folder with --state",
            ) from error

    def begin(self, placed: Placed) -> None:
        """Keep what a board is about to be powered on with."""
        self.save(placed.file_system)
        note = {"schema": 1, "firmware": placed.firmware, "config": placed.config}
        _replace(self._note, json.dumps(note).encode("ascii"))

    def save(self, file_system: bytes) -> None:
        """Keep the file system, if it has changed."""
        if file_system != self._saved:
            _replace(self._flash, file_system)
            self._saved = file_system


def _replace(path: Path, data: bytes) -> None:
    beside = path.with_name(path.name + ".new")
    beside.write_bytes(data)
    os.replace(beside, path)
