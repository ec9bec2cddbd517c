"""A MicroPython prompt inside the emulator, without a serial port: what a deploy can talk to.

Fits `doseloop.flash.deploy.Target`. Commands travel over the emulated serial line in MicroPython's
raw mode; file contents take a short cut through flash that only the emulator has.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from doseloop.errors import DoseloopError, LinkError
from doseloop.flash.build import Artifact
from doseloop.sim.emulated.chip import WINDOW, XIP, Chip

_SLICE_NS = 1_000_000
_ENTER_MS = 5_000
_SCRIPT_MS = 120_000
_BANNER = b"raw REPL; CTRL-B to exit\r\n>"

# Copies the files that lie one behind the other in the window to their places.
_TAKE = """
import uctypes
at = {at}
for name, size in {files}:
    with open(name, "wb") as file:
        file.write(uctypes.bytearray_at(at, size))
    at += size
"""


class Prompt:
    """A board booted with `file_system` and kept from starting its firmware."""

    def __init__(self, image: Path, file_system: bytes | None) -> None:
        self._heard = bytearray()
        self.chip = Chip(image, self._heard.extend, file_system)
        while not self.chip.connected:
            self._step(_ENTER_MS, "USB does not come up")
        # USB is up before main.py runs, and until the pump takes Ctrl-C as data it interrupts.
        self.chip.send(b"\x03\x03\x01")
        self._until(_BANNER, _ENTER_MS)

    def run(self, script: str) -> str:
        """Run MicroPython source and return what it printed. Raise LinkError."""
        self.chip.send(script.encode() + b"\x04")
        self._until(b"OK", _SCRIPT_MS)
        printed = self._until(b"\x04", _SCRIPT_MS)
        error = self._until(b"\x04", _SCRIPT_MS)
        self._until(b">", _SCRIPT_MS)
        if error:
            last = error.decode("utf-8", "replace").strip().splitlines()[-1]
            raise LinkError(f"the emulated board says: {last}")
        return printed.decode("utf-8", "replace").replace("\r\n", "\n")

    def send(
        self, files: tuple[tuple[Artifact, str], ...], progress: Callable[[str, int], None]
    ) -> None:
        """Write files to absolute paths; `progress(path, size)` is called before each."""
        self.chip.poke(WINDOW, b"".join(artifact.data for artifact, _ in files))
        listed: list[tuple[str, int]] = []
        for artifact, path in files:
            progress(path, len(artifact.data))
            listed.append((path, len(artifact.data)))
        self.run(_TAKE.replace("{at}", str(XIP + WINDOW)).replace("{files}", repr(listed)))

    def reset(self) -> None:
        """Do nothing: the flash is taken out and put into a board that is powered on."""

    def _until(self, mark: bytes, patience_ms: int) -> bytes:
        # Returns what came before the mark, and drops both.
        end_ms = self.chip.ns // 10**6 + patience_ms
        while mark not in self._heard:
            self._step(end_ms, f"no prompt; it says {bytes(self._heard[-200:])!r}")
        before, _, rest = bytes(self._heard).partition(mark)
        self._heard[:] = rest
        return before

    def _step(self, end_ms: int, complaint: str) -> None:
        if self.chip.ns // 10**6 > end_ms:
            raise DoseloopError(f"the emulated board: {complaint}", code="E_EMULATOR")
        self.chip.run(_SLICE_NS)
