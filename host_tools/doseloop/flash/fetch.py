"""Fetch the official MicroPython image from micropython.org, and don't trust it unseen.

An image counts as confirmed when its SHA-256 is the one kept in `boards/micropython.sha256`, or
one that a person names after comparing it with a second source. Until then it lies beside its
place under another name, where nothing uses it. Called by `make uf2`; nothing else downloads.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from doseloop import resources
from doseloop.errors import DoseloopError, FileError, LinkError, UsageError
from doseloop.flash import uf2
from doseloop.flash.build import MICROPYTHON_VERSION

SERVER = "https://micropython.org/resources/firmware"
PAGE = "https://micropython.org/download/RPI_PICO/"
# The day of a release is part of the file's name. One line for each version ever pinned.
RELEASED = {"1.28.0": "20260406"}

_PIECE = 16 * 1024
_TIMEOUT_S = 30
_PARTIAL_CONTENT, _NOT_SATISFIABLE = 206, 416
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are there by now, and how many there will be, if that is known."""


class Unconfirmed(UsageError):
    """The image is here and sound, but nobody has vouched for its hash yet."""

    default_code = "E_UF2_UNCONFIRMED"


def official_name(version: str = MICROPYTHON_VERSION) -> str:
    """Return the file name of a release on the server; raise UsageError for an unknown one."""
    if version not in RELEASED:
        raise UsageError(
            f"the release day of MicroPython {version} is not known here",
            code="E_UF2",
            next=f"look it up on {PAGE} and add it to RELEASED in {Path(__file__).name}",
        )
    return f"RPI_PICO-{RELEASED[version]}-v{version}.uf2"


def hashes_file() -> Path:
    """Return the repository's file of confirmed hashes; it need not exist."""
    return resources.boards_root() / "micropython.sha256"


def known_hash(name: str, file: Path) -> str | None:
    """Return the SHA-256 kept for a file name, None without one. Raise FileError for a bad line.

    Lines are those of `sha256sum`; empty ones and those after `#` are skipped.
    """
    try:
        lines = file.read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"cannot read {file}: {error}") from error
    for line in lines:
        words = line.partition("#")[0].split()
        if words and (len(words) != 2 or not _SHA256.fullmatch(words[0])):
            raise FileError(f"{file}: {line!r} is not a line of sha256sum")
        if words and words[1] == name:
            return words[0]
    return None


def fetch(
    target: Path,
    *,
    confirmed: str | None = None,
    server: str = SERVER,
    hashes: Path | None = None,
    progress: Progress = lambda have, total: None,
) -> str:
    """Bring the pinned image to `target` and return its SHA-256.

    `confirmed` is a hash that a person vouches for; it is kept in `hashes` when the image has it.
    Nothing is downloaded that is here already, and an interrupted download goes on where it ended.
    Raise Unconfirmed when no hash is known, FileError for another hash or a damaged image,
    VersionMismatch for another MicroPython, LinkError when the server does not give it.
    """
    name = official_name()
    hashes = hashes or hashes_file()
    known = known_hash(name, hashes)
    wanted = _agreed(known, confirmed, hashes)
    waiting = target.with_name(target.name + ".unconfirmed")
    found = target if target.is_file() else waiting
    if not found.is_file():
        part = target.with_name(target.name + ".part")
        if not server.startswith(("https://", "http://")):
            raise UsageError(f"{server!r} is not the address of a web server")
        _download(f"{server.rstrip('/')}/{name}", part, progress)
        _check(part, target)
        os.replace(part, waiting)
    digest = _check(found, target)
    if wanted is None:
        raise Unconfirmed(
            f"{name} is here, whole, and MicroPython {MICROPYTHON_VERSION}, but the repository"
            f" holds no hash to compare with; its SHA-256 is {digest}, kept as {found}",
            next="compare that with a second source (a colleague's copy, another network), then:"
            f" make uf2 SHA256={digest}",
        )
    if digest != wanted:
        raise FileError(
            f"{name} has SHA-256 {digest}, not {wanted}; it is now {_reject(found, target)}",
            code="E_UF2_HASH",
            next="make uf2 downloads it anew; if it differs again, find out why before using it",
        )
    if known is None:
        _keep(hashes, name, digest)
    if found != target:
        os.replace(found, target)
    return digest


def _agreed(known: str | None, confirmed: str | None, hashes: Path) -> str | None:
    if confirmed is None:
        return known
    confirmed = confirmed.lower()
    if not _SHA256.fullmatch(confirmed):
        raise UsageError("a SHA-256 has 64 hexadecimal digits")
    if known not in (None, confirmed):
        raise UsageError(f"{hashes} says {known}", next="leave SHA256 out, or correct that file")
    return confirmed


def _check(file: Path, target: Path) -> str:
    """Return the hash of a sound image of the pinned version; put any other aside and raise."""
    try:
        image = uf2.read_image(file)
        uf2.check_version(image)
    except DoseloopError:
        _reject(file, target)
        raise
    return hashlib.sha256(image.data).hexdigest()


def _reject(file: Path, target: Path) -> Path:
    # Not deleted: it may be all there is to find out what went wrong.
    rejected = target.with_name(target.name + ".rejected")
    os.replace(file, rejected)
    return rejected


def _keep(hashes: Path, name: str, digest: str) -> None:
    try:
        with open(hashes, "a", encoding="ascii") as file:
            file.write(f"{digest}  {name}\n")
    except OSError as error:
        raise FileError(f"cannot write {hashes}: {error.strerror}") from error


def _download(url: str, part: Path, progress: Progress) -> None:
    part.parent.mkdir(parents=True, exist_ok=True)
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "doseloop"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:
            if response.status != _PARTIAL_CONTENT:
                have = 0  # a server that sends the whole again
            _receive(response, part, have, progress)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == _NOT_SATISFIABLE and have:
            part.unlink()  # as long as the file, or longer: not what a cut download leaves
            _download(url, part, progress)
            return
        raise LinkError(
            f"{url}: the server says {error.code} {error.reason}", next=_by_hand()
        ) from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise LinkError(f"{url}: {reason}", next=_by_hand()) from error


def _receive(
    response: http.client.HTTPResponse, part: Path, have: int, progress: Progress
) -> None:
    total = None if response.length is None else have + response.length
    with open(part, "r+b" if have else "wb") as file:
        file.seek(have)
        progress(have, total)
        while piece := response.read(_PIECE):
            file.write(piece)
            have += len(piece)
            progress(have, total)
        file.flush()
        os.fsync(file.fileno())
    if total is not None and have < total:
        raise LinkError(
            f"the download broke off after {have} of {total} bytes",
            next="make uf2 goes on from there",
        )


def _by_hand() -> str:
    return (
        "check the network, then make uf2 again; or download it with a browser from"
        f" {PAGE} and name it: --uf2 FILE, or DOSELOOP_UF2=FILE"
    )
