"""The image, and one emulated board for all tests that only look at a running pump.

Skipped as a whole without the emulator or an image: nothing here downloads one.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from emulated.board import Emulated, powered


def why_not() -> str | None:
    """Return why these tests can't run here, None when they can."""
    if importlib.util.find_spec("rp2040py") is None:
        return "no RP2040 emulator: pip install 'doseloop[emulated]'"
    from doseloop.errors import DoseloopError
    from doseloop.sim.emulated import image

    try:
        image.find()
    except DoseloopError as error:
        return f"{error.message}; make uf2 gets one"
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
    from emulated.rig import placed

    from doseloop.boards import find_board
    from doseloop.config import compile_config
    from doseloop.syringes import find_syringe

    return placed(
        image, compile_config(find_board("pico_tmc2209"), find_syringe("bd-plastipak-50")).sealed
    )


@pytest.fixture(scope="module")  # it runs on while nobody looks, and that counts (ration.py)
def emulated(
    image: Path, placed_state: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Emulated]:
    """Give the board, booted."""
    folder = tmp_path_factory.mktemp("emulated")
    shutil.copytree(placed_state, folder / "state")
    with powered(image, folder) as board:
        yield board
