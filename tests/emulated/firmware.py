"""Firmware that differs from the checkout's as little as a test wants."""

from __future__ import annotations

import shutil
from pathlib import Path

from doseloop import resources
from doseloop.flash.build import Build, build

_CRASH = '\n\ndef main():\n    raise ValueError("this firmware is broken")\n'


def varied(folder: Path, version: str, *, also: str | None = None, crash: bool = False) -> Build:
    """Return the checkout's firmware, built as `version`.

    With `also` that module gets one more name, with `crash` the application fails at its start.
    """
    root = folder / f"firmware-{version}"
    shutil.copytree(resources.firmware_root(), root)
    (root / "pump" / "version.py").write_text(f'FIRMWARE = "{version}"\nPROTOCOL = 1\n')
    if also is not None:
        _append(root / "pump" / also, f'\n\nVARIED = "{version}"\n')
    if crash:
        _append(root / "pump" / "app.py", _CRASH)
    return build(root)


def _append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)
