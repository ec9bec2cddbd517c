"""The image, and one emulated board for all tests that only look at a running pump.

Skipped as a whole without the emulator or an image: nothing here downloads one.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from emulated.board import Emulated, powered

ROOT = Path(__file__).resolve().parents[2]
# Firmware and configuration as they lie on the flash, ready for power-on: some 10 s of work.
_CACHE = ROOT / "out" / "emulated"
_SOURCES = ("sim/emulated/placing.py", "sim/emulated/prompt.py", "flash/plan.py",
            "flash/scripts.py")  # fmt: skip


def why_not() -> str | None:
    """Return why these tests can't run here, None when they can."""
    if importlib.util.find_spec("rp2040py") is None:
        return "no RP2040 emulator: pip install 'doseloop[emulated]'"
    from doseloop.errors import DoseloopError
    from doseloop.sim.emulated import image

    try:
        image.find()
    except DoseloopError as error:
        return f"no MicroPython image for the emulated board: {error.next}"
    return None


@pytest.fixture(scope="session")
def image() -> Path:
    """Give the MicroPython image; the boards of the tests have a home of their own, without."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    from doseloop.sim.emulated import image

    return image.find()


@pytest.fixture(scope="session")
def placed_state(image: Path) -> Path:
    """Give a `--state` folder with this checkout's firmware and configuration, never booted."""
    import doseloop
    from doseloop import resources
    from doseloop.boards import find_board
    from doseloop.config import compile_config
    from doseloop.flash.build import build
    from doseloop.sim.emulated.kept import Kept
    from doseloop.sim.emulated.placing import place
    from doseloop.syringes import find_syringe

    config = compile_config(find_board("pico_tmc2209"), find_syringe("bd-plastipak-50")).sealed
    firmware = build(resources.firmware_root())
    key = hashlib.sha256(image.read_bytes())
    key.update((firmware.hash + config + importlib.metadata.version("rp2040py")).encode())
    for artifact in firmware.loader:
        key.update(artifact.data)
    for name in _SOURCES:
        key.update((Path(doseloop.__file__).parent / name).read_bytes())
    folder = _CACHE / key.hexdigest()[:16]
    if not folder.exists():
        beside = folder.with_name(f"{folder.name}.{os.getpid()}")  # another worker may be at it
        Kept(beside).begin(place(image, None, config, config))
        try:
            beside.rename(folder)
        except OSError:
            shutil.rmtree(beside)
    return folder


@pytest.fixture(scope="session")
def emulated(
    image: Path, placed_state: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Emulated]:
    """Give the board, booted."""
    folder = tmp_path_factory.mktemp("emulated")
    shutil.copytree(placed_state, folder / "state")
    with powered(image, folder) as board:
        yield board
