"""One emulated board for all tests here: a boot takes half a minute of a computer's time.

Skipped as a whole without the emulator or an image: nothing here downloads one.
"""

from __future__ import annotations

import importlib.util
import os
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from emulated.board import Emulated


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
def emulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulated]:
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("emulated")
    process = subprocess.Popen(
        [sys.executable, "-m", "doseloop", "sim", "--emulated",
         "--state", str(folder / "state"), "--trace", str(folder / "trace")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={"DOSELOOP_UF2": str(_image()), **os.environ, "DOSELOOP_HOME": str(folder / "home")},
    )  # fmt: skip
    assert process.stdout is not None and process.stderr is not None
    said: queue.SimpleQueue[str] = queue.SimpleQueue()
    stderr = process.stderr
    reader = threading.Thread(target=lambda: [said.put(line) for line in stderr], daemon=True)
    reader.start()
    try:
        port = process.stdout.readline().strip()  # ends when the process does
        line = said.get(timeout=10)
        found = re.search(r"ready after ([0-9]+) ms", line)
        assert port and found, line
        yield Emulated(process, port, int(found[1]), folder / "trace", folder / "state")
    finally:
        process.terminate()
        process.wait(30)
        reader.join(10)
        process.stdout.close()
        stderr.close()


def _image() -> Path:
    # The image may lie in the cache of the real home, and the board gets a home of its own.
    from doseloop.sim.emulated import image

    return image.find()
