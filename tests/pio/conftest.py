"""Both sides of each test here: the firmware's PIO programs, and MicroPython with the model."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pio import emulator

from doseloop import resources
from doseloop.errors import UsageError
from doseloop.sim import interpreter


@pytest.fixture(scope="session")
def programs() -> Iterator[SimpleNamespace]:
    """The step program and the witness, assembled."""
    with pytest.MonkeyPatch.context() as patch:
        assembled = emulator.programs(patch)
    yield assembled


@pytest.fixture(scope="session")
def device() -> Iterator[Callable[..., Any]]:
    """Ask MicroPython: `device("play", words=[...])`. See device.py for the operations."""
    try:
        command = interpreter.find()
    except UsageError as error:
        pytest.skip(f"no MicroPython: {error}")
    script = Path(__file__).with_name("device.py")
    folders = [str(resources.sim_device_root()), str(resources.firmware_root())]
    with subprocess.Popen(
        [*command, "-X", "heapsize=64m", str(script), *folders],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        to, back = process.stdin, process.stdout

        def ask(op: str, **case: Any) -> Any:
            to.write(json.dumps({"op": op, **case}) + "\n")
            to.flush()
            line = back.readline()
            assert line, f"MicroPython ended, exit {process.wait()}"
            answer = json.loads(line)
            assert "ok" in answer, answer
            return answer["ok"]

        yield ask
        to.close()
        assert process.wait(10) == 0
