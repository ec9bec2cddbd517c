"""Make the flash that the emulated pump is powered on with: firmware deployed, board configured.

Plans, folders and scripts are those of `doseloop flash`. A blank board's flash is written by
MicroPython's unix port (filed.py), on the chip itself where there is none; a kept flash with
another firmware gets the whole deploy by the emulated chip, read back and compared.
"""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from doseloop import resources
from doseloop.errors import UsageError
from doseloop.flash import scripts
from doseloop.flash.build import MICROPYTHON_VERSION, Artifact, Build, build
from doseloop.flash.deploy import deploy
from doseloop.flash.plan import CHIP, Inventory, check_target, make_plan
from doseloop.sim.emulated.chip import FS_SIZE
from doseloop.sim.emulated.filed import Filed
from doseloop.sim.emulated.prompt import Prompt

_CONFIG = "/kept/config."  # as firmware/pump/slots.py: two files, the higher generation counts
_HELD = f"""
newest, text = 0, ""
for suffix in "ab":
    try:
        with open({_CONFIG!r} + suffix) as file:
            file.readline()
            generation = int(file.readline())
            if generation > newest:
                newest, text = generation, file.read()[:-1]
    except (OSError, ValueError):
        pass
print(newest)
print(text, end="")
"""
_ROOM = f"""
import os
for make, path in ((os.mkdir, {_CONFIG[:5]!r}), (os.remove, {_CONFIG + "b"!r})):
    try:
        make(path)
    except OSError:
        pass
"""
_FREE = "import gc\ngc.collect()\nprint(gc.mem_free())"


@dataclass(frozen=True)
class Placed:
    """A flash to power on with: its file system, and what was put there."""

    file_system: bytes
    firmware: str  # hash of the build
    config: str  # sealed text
    free_heap: int | None = None  # bytes at the prompt, before any firmware; None: not looked at

    @property
    def board(self) -> dict[str, Any]:
        """Get the board section of the configuration."""
        return json.loads(self.config.split("\n")[1])["board"]


def place(image: Path, kept: Placed | None, config: str | None, default: str) -> Placed:
    """Bring a flash, blank without `kept`, to this checkout's firmware and to `config`.

    Without `config` the kept one stays; where there is none, `default` is written. Both are
    sealed texts. Raises what a deploy raises.
    """
    firmware = build(resources.firmware_root())
    if kept is not None and kept.firmware == firmware.hash and config in (None, kept.config):
        return kept
    if kept is None:
        return _new(image, firmware, config or default)
    prompt = Prompt(image, kept.file_system)
    free = int(prompt.run(_FREE))
    # A person may have pushed another one since.
    generation, _, held = prompt.run(_HELD).partition("\n")
    wanted = config or held or default
    if kept.firmware != firmware.hash:
        deploy(firmware, prompt, check_target, _silent)
    if wanted != held:
        _configure(prompt, wanted, int(generation) + 1)
    return Placed(prompt.chip.file_system(), firmware.hash, wanted, free)


def untouched(kept: Placed | None, config: str | None, default: str) -> Placed:
    """Return a flash that nothing is added to: the kept one, else an erased one.

    `config`, else what was kept, else `default` says only how the board is wired.
    """
    if kept is None:
        return Placed(bytes([0xFF]) * FS_SIZE, "", config or default)
    return Placed(kept.file_system, kept.firmware, config or kept.config)


def _new(image: Path, firmware: Build, config: str) -> Placed:
    prompt = Prompt(image, None)
    free = int(prompt.run(_FREE))
    try:
        filed = Filed(FS_SIZE // 4096)
    except UsageError:  # no unix port: the chip does it, in a minute
        _fill(prompt, firmware, config)
        return Placed(prompt.chip.file_system(), firmware.hash, config, free)
    with closing(filed):
        _fill(filed, firmware, config)
        return Placed(filed.content(), firmware.hash, config, free)


def _fill(target: Prompt | Filed, firmware: Build, config: str) -> None:
    # Not read back: there is no line to distrust.
    blank = Inventory(MICROPYTHON_VERSION, CHIP, None, (), {}, FS_SIZE)
    plan = make_plan(firmware, blank)
    target.run(scripts.fill(scripts.PREPARE, folders=list(plan.folders), copies=[], stale=[]))
    target.send(plan.send, _silent)
    target.run(scripts.fill(scripts.SWITCH, loader=list(plan.loader), folder=plan.folder))
    _configure(target, config, 1)


def _configure(target: Prompt | Filed, config: str, generation: int) -> None:
    text = resources.firmware_module("slots").pack("config", 1, generation, config)
    target.run(_ROOM)
    path = _CONFIG + "a"
    target.send(((Artifact(path, text.encode("ascii")), path),), _silent)


def _silent(path: str, size: int) -> None:
    pass
