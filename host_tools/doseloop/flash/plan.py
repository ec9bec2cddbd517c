"""Compare a build with what lies on a board, and say what has to travel. No port, no files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, cast

from doseloop.errors import LinkError, Refused, VersionMismatch
from doseloop.flash.build import MICROPYTHON_VERSION, Artifact, Build

CHIP = "RP2040"
# littlefs stores in blocks of 4 KiB; each file and folder may waste most of one.
BLOCK = 4096


@dataclass(frozen=True)
class Inventory:
    """What INVENTORY found: paths are absolute on the board."""

    version: str
    machine: str
    active: str | None
    folders: tuple[str, ...]
    files: dict[str, str]
    free: int


@dataclass(frozen=True)
class Plan:
    """What a deploy will do. `send` and `copies` end in paths of the new folder only."""

    folder: str
    folders: tuple[str, ...]
    send: tuple[tuple[Artifact, str], ...]
    copies: tuple[tuple[str, str], ...]
    stale: tuple[str, ...]
    loader: tuple[str, ...]
    switch: bool

    @property
    def send_bytes(self) -> int:
        """How many bytes travel over the serial line."""
        return sum(len(artifact.data) for artifact, _ in self.send)

    @property
    def nothing(self) -> bool:
        """True when the board already runs this build, file for file."""
        return not (self.send or self.copies or self.switch)


def read_inventory(text: str) -> Inventory:
    """Return the inventory from what the board printed: a line for each file, then the rest.

    Raise LinkError.
    """
    lines = text.strip().splitlines()
    try:
        files = dict(cast("list[str]", json.loads(line)) for line in lines[:-1])
        found = cast("dict[str, Any]", json.loads(lines[-1]))
        numbers: list[Any] = found["version"]
        version = ".".join(str(part) for part in numbers[:3])
        if len(numbers) > 3 and numbers[3]:
            version += f"-{numbers[3]}"
        return Inventory(
            version,
            str(found["machine"]),
            found["active"],
            tuple(found["folders"]),
            files,
            int(found["free"]),
        )
    except (ValueError, KeyError, IndexError, TypeError) as error:
        last = lines[-1] if lines else ""
        raise LinkError(f"the board's list of files can't be read: '{last[:80]}'") from error


def check_target(
    inventory: Inventory, version: str = MICROPYTHON_VERSION, chip: str = CHIP
) -> None:
    """Raise unless the board is the chip, and runs the MicroPython, that the build is for."""
    if chip not in inventory.machine:
        raise Refused(
            f"the board is a '{inventory.machine}'; the firmware is built for {chip}",
            code="E_BOARD",
            next="name the port of the right board: doseloop flash --port PORT",
        )
    if inventory.version != version:
        raise VersionMismatch(
            f"the board runs MicroPython {inventory.version}; the firmware needs {version}",
            next=f"doseloop flash --uf2 RPI_PICO-{version}.uf2, with the board in BOOTSEL mode",
        )


def _new_folder(build: Build, inventory: Inventory) -> str:
    """Return the folder to fill; never the active one, unless that is intact."""
    if inventory.active not in (build.folder, build.folder + "r"):
        return build.folder
    active = inventory.active
    intact = all(
        inventory.files.get(f"/{active}/{artifact.path}") == artifact.sha256
        for artifact in build.payload
    )
    if intact:
        return active
    # The active copy of this very build is damaged: repair it beside, not in place.
    return build.folder + "r" if active == build.folder else build.folder


def make_plan(build: Build, inventory: Inventory) -> Plan:
    """Return what it takes to have `build` active. Raise Refused when the flash is too full."""
    folder = _new_folder(build, inventory)
    known = {sha256: path for path, sha256 in inventory.files.items() if path.startswith("/fw_")}
    stale = tuple(f"/{f}" for f in inventory.folders if f not in (folder, inventory.active))
    send: list[tuple[Artifact, str]] = []
    copies: list[tuple[str, str]] = []
    folders = [f"/{folder}"]
    for artifact in build.payload:
        target = f"/{folder}/{artifact.path}"
        parts = artifact.path.split("/")[:-1]
        for depth in range(len(parts)):
            parent = f"/{folder}/" + "/".join(parts[: depth + 1])
            if parent not in folders:
                folders.append(parent)
        if inventory.files.get(target) == artifact.sha256:
            continue
        if artifact.sha256 in known:
            copies.append((known[artifact.sha256], target))
        else:
            send.append((artifact, target))
    loader: list[str] = []
    for artifact in build.loader:
        if inventory.files.get(f"/{artifact.path}") != artifact.sha256:
            loader.append(artifact.path)
            send.append((artifact, f"/{artifact.path}.new"))
    # An empty folder list means nothing is to be made: the new folder is there and complete.
    work = bool(send or copies)
    plan = Plan(
        folder,
        tuple(folders) if work else (),
        tuple(send),
        tuple(copies),
        stale,
        tuple(loader),
        inventory.active != folder or bool(loader),
    )
    _check_room(build, plan, inventory)
    return plan


def _check_room(build: Build, plan: Plan, inventory: Inventory) -> None:
    sizes = {a.sha256: len(a.data) for a in build.payload}
    copied = sum(sizes[inventory.files[source]] for source, _ in plan.copies)
    entries = len(plan.send) + len(plan.copies) + len(plan.folders)
    need = plan.send_bytes + copied + entries * BLOCK
    if need > inventory.free:
        raise Refused(
            f"the deploy needs {need} bytes of the board's flash; {inventory.free} are free",
            code="E_FLASH_FULL",
            limit=f"{inventory.free} bytes",
            next="remove files from the board: mpremote fs ls, mpremote fs rm",
        )
