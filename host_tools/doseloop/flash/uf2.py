"""Put MicroPython itself on a board in BOOTSEL mode: check the image, find the volume, copy.

A Pico that is plugged in with BOOTSEL held shows as a small disk named RPI-RP2 with a file
INFO_UF2.TXT; a UF2 file copied there is flashed, and the board restarts without saying goodbye.
Format: https://github.com/microsoft/uf2 (block layout, family ids).
"""

from __future__ import annotations

import os
import re
import string
import struct
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from doseloop.errors import FileError, LinkError, NoPump, VersionMismatch
from doseloop.flash.build import MICROPYTHON_VERSION

BLOCK = 512
HEADER = struct.Struct("<8I")
MAGIC_START0, MAGIC_START1, MAGIC_END = 0x0A324655, 0x9E5D5157, 0x0AB16F30
FLAG_NOT_MAIN_FLASH, FLAG_FAMILY = 0x0001, 0x2000
FAMILY_RP2040 = 0xE48BFF56
PAYLOAD_MAX = 476
BOARD_ID = re.compile(r"^Board-ID:\s*RPI-RP2\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Image:
    """A checked UF2 file: its bytes, the blocks in it, and the MicroPython version it names."""

    data: bytes
    blocks: int
    version: str | None


def read_image(path: Path) -> Image:
    """Return the image. Raise FileError unless every block is whole and for the RP2040."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FileError(
            f"{path}: {error.strerror}", next="name a MicroPython .uf2 file"
        ) from error
    blocks, rest = divmod(len(data), BLOCK)
    if rest or not blocks:
        raise _bad(path, f"{len(data)} bytes are not whole UF2 blocks of {BLOCK}")
    payload: list[bytes] = []
    for number in range(blocks):
        block = data[number * BLOCK : (number + 1) * BLOCK]
        start0, start1, flags, _, size, index, count, family = HEADER.unpack_from(block)
        (end,) = struct.unpack_from("<I", block, BLOCK - 4)
        if (start0, start1, end) != (MAGIC_START0, MAGIC_START1, MAGIC_END):
            raise _bad(path, f"block {number} is not a UF2 block")
        if flags & FLAG_NOT_MAIN_FLASH:
            continue
        if not flags & FLAG_FAMILY or family != FAMILY_RP2040:
            raise _bad(path, f"block {number} is for another chip (family 0x{family:08x})")
        if size > PAYLOAD_MAX or index >= count:
            raise _bad(path, f"block {number} is damaged")
        payload.append(block[HEADER.size : HEADER.size + size])
    return Image(data, blocks, _version(b"".join(payload)))


def _bad(path: Path, why: str) -> FileError:
    return FileError(f"{path}: {why}", code="E_UF2", next="download the image again")


def _version(flash: bytes) -> str | None:
    # The start-up banner of every MicroPython: "MicroPython v1.28.0 on 2026-…"
    found = re.search(rb"MicroPython v([0-9]+\.[0-9]+\.[0-9]+[-.\w]*) on ", flash)
    if found is None:
        found = re.search(rb"\bv([0-9]+\.[0-9]+\.[0-9]+(?:-preview[.\w]*)?) on 20[0-9]{2}-", flash)
    return found.group(1).decode() if found else None


def check_version(image: Image, version: str = MICROPYTHON_VERSION) -> None:
    """Raise VersionMismatch unless the image is the MicroPython that the firmware is built for."""
    if image.version != version:
        found = f"holds MicroPython {image.version}" if image.version else "names no MicroPython"
        raise VersionMismatch(
            f"the image {found}; the firmware needs {version}",
            next=f"download RPI_PICO {version} from micropython.org/download/RPI_PICO",
        )


def volumes() -> list[Path]:
    """Return the mount points at which a BOOTSEL volume may appear on this platform."""
    if sys.platform == "win32":
        return [Path(f"{letter}:\\") for letter in string.ascii_uppercase]
    if sys.platform == "darwin":
        return _children([Path("/Volumes")])
    user = os.environ.get("USER", "root")
    roots = [Path("/media"), Path("/media") / user, Path("/run/media") / user, Path("/mnt")]
    return _children(roots)


def _children(roots: Iterable[Path]) -> list[Path]:
    found: list[Path] = []
    for root in roots:
        try:
            found += sorted(entry for entry in root.iterdir() if entry.is_dir())
        except OSError:  # not there, or another user's
            continue
    return found


def is_bootsel(volume: Path) -> bool:
    """Tell whether a mounted volume is an RP2040 in BOOTSEL mode."""
    try:
        text = (volume / "INFO_UF2.TXT").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return BOARD_ID.search(text) is not None


def find_bootsel(places: Iterable[Path] | None = None) -> Path:
    """Return the one BOOTSEL volume. Raise NoPump when there is none or more than one."""
    found = [place for place in (volumes() if places is None else places) if is_bootsel(place)]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(str(place) for place in found)
        raise NoPump(
            f"{len(found)} boards are in BOOTSEL mode: {names}",
            code="E_BOOTSEL",
            next="unplug all but one, or name one: doseloop flash --uf2 FILE --volume DIR",
        )
    raise NoPump(
        "no board in BOOTSEL mode is mounted",
        code="E_BOOTSEL",
        next="hold BOOTSEL while plugging the board in, open its disk RPI-RP2, then try again",
    )


def copy(image: Image, volume: Path, progress: Callable[[int], None]) -> None:
    """Write the image to the volume; `progress(bytes)` is called after each piece.

    Raise LinkError when the volume goes away before the last block is out. That it goes away
    after the last block is how the board says that it has restarted.
    """
    sent = 0
    piece = 64 * BLOCK
    try:
        with open(volume / "firmware.uf2", "wb", buffering=0) as file:
            while sent < len(image.data):
                sent += file.write(image.data[sent : sent + piece])
                progress(min(piece, len(image.data)))
            os.fsync(file.fileno())
    except OSError as error:
        if sent < len(image.data):
            raise LinkError(
                f"{volume} went away after {sent} of {len(image.data)} bytes: {error.strerror}",
                next="hold BOOTSEL, plug the board in again, and repeat",
            ) from error
