"""Long cases of a deploy: an erased board, a power cut at any moment, a firmware that crashes.

Not collected by name; `make soak-emulated` runs it. The cuts are taken from one deploy inside the
emulator: each state that the flash passes through is what a power cut there would leave.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("rp2040py", reason="no RP2040 emulator: pip install 'doseloop[emulated]'")

from emulated.board import PATIENCE_S, powered
from emulated.firmware import varied
from emulated.rig import Rig

from doseloop import Pump, resources
from doseloop.boards import find_board
from doseloop.cli.flash import put
from doseloop.config import compile_config
from doseloop.errors import LinkError, VersionMismatch
from doseloop.flash import guard, scripts
from doseloop.flash.board import Board
from doseloop.flash.build import Artifact, Build, build
from doseloop.flash.deploy import deploy
from doseloop.flash.plan import Inventory, check_target, read_inventory
from doseloop.sim.emulated.chip import FS_SIZE
from doseloop.sim.emulated.filed import mount
from doseloop.sim.emulated.kept import Kept
from doseloop.sim.emulated.placing import Placed
from doseloop.sim.emulated.prompt import Prompt
from doseloop.syringes import find_syringe
from doseloop.transport import SerialTransport

pytestmark = [pytest.mark.soak, pytest.mark.timeout(7200)]

_SLICE_NS = 200_000  # a page takes the emulated flash less, a file some ms


class Watched(Prompt):
    """A prompt that shows every state its flash passes through, once `seen` is set."""

    seen: Callable[[bytes], None] | None = None
    _last: bytes = b""

    def _step(self, end_ms: int, complaint: str) -> None:
        if self.seen is None:
            super()._step(end_ms, complaint)
            return
        assert self.chip.ns < end_ms * 10**6, complaint
        self.chip.run(_SLICE_NS)
        now = self.chip.file_system()
        if now != self._last:
            self._last = now
            self.seen(now)

    def send(self, files, progress):  # type: ignore[no-untyped-def]
        for file in files:  # one by one, as mpremote does
            super().send((file,), progress)


def test_an_erased_board_gets_it_all_and_keeps_it_when_the_next_deploy_is_cut(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = build(resources.firmware_root())
    config = compile_config(find_board("pico_tmc2209"), find_syringe("bd-plastipak-50"))
    # Two files of its own, so that there is something to be cut between.
    newer = varied(tmp_path, "0.9.9", also="tick.py")
    sent: list[str] = []
    with powered(image, tmp_path, "--blank") as board:
        monkeypatch.setenv("DOSELOOP_HOME", str(board.home))
        done = board.doseloop("flash", "--json")
        assert done.returncode == 0, done.stderr
        assert "MicroPython prompt" in done.stderr
        said = json.loads(done.stdout)
        assert said["changed"]
        assert len(said["sent"]) == len(said["files"])
        assert said["hash"] == checkout.hash  # what the board has reported, else it had failed
        with Pump(SerialTransport(board.port), deadline_s=PATIENCE_S / 3) as pump:
            pump.push_config(config.sealed)
        guard.release(board.port)

        class Cut(Board):
            def send(self, files, progress):  # type: ignore[no-untyped-def]
                def each(path: str, size: int) -> None:
                    sent.append(path)
                    if len(sent) == 2:
                        board.cut()
                        raise InterruptedError

                super().send(files, each)

        with pytest.raises(InterruptedError):
            deploy(newer, Cut(board.port, PATIENCE_S), check_target, lambda path, size: None)
    again = tmp_path / "again"
    again.mkdir()
    shutil.copytree(board.state, again / "state")
    with powered(image, again, "--blank") as same:
        monkeypatch.setenv("DOSELOOP_HOME", str(same.home))
        with Pump(SerialTransport(same.port), deadline_s=PATIENCE_S / 3) as pump:
            assert pump.identity.hash == checkout.hash
            assert pump.identity.board == "pico_tmc2209"  # the configuration is not a deploy's


def test_a_cut_at_any_moment_leaves_the_old_firmware_or_the_new(
    image: Path, placed_state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = build(resources.firmware_root())
    new = _all_new(old)
    placed = Kept(placed_state).read()
    assert placed is not None
    states: list[str] = []
    borders: list[bytes] = [placed.file_system]  # where it changes over

    def judge(flash: bytes) -> None:
        runs = _what_runs(flash, tmp_path / "flash.bin", (old, new))
        if states and states[-1] != runs:
            borders.append(flash)
        elif not (states and len(borders) > 1):
            borders[0] = flash
        states.append(runs)

    prompt = Watched(image, placed.file_system)
    prompt.seen = judge
    start_ns = prompt.chip.ns
    deploy(new, prompt, check_target, lambda path, size: None)
    took_ms = (prompt.chip.ns - start_ns) // 10**6
    prompt.seen = None
    with capsys.disabled():
        print(f"\n{len(states)} states of the flash in {took_ms} ms: "
              f"{states.count('old')} old, {states.count('new')} new")  # fmt: skip
    assert states == ["old"] * states.count("old") + ["new"] * states.count("new")
    assert states.count("old") > len(new.payload)
    assert states[-1] == "new"
    # The last flash of the old one and the first of the new one, on the chip itself.
    assert [_hash_after_boot(image, placed, flash) for flash in borders] == [old.hash, new.hash]


def test_an_application_that_crashes_is_told_and_replaced(
    image: Path, placed_state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(placed_state, tmp_path / "state")
    with powered(image, tmp_path, "--blank") as board:
        monkeypatch.setenv("DOSELOOP_HOME", str(board.home))
        with pytest.raises(LinkError, match="at MicroPython's prompt") as told:
            put(varied(tmp_path, "0.6.6", crash=True), board.port)
        assert told.value.code == "E_START"
        why = board.mpremote("resume", "exec", "import main")  # as the error says
        assert "this firmware is broken" in why.stdout + why.stderr
        done = put(build(resources.firmware_root()), board.port)  # raises unless it runs
        assert done.plan.send == ()  # it was still there


def test_a_crashing_main_is_recovered_by_a_deploy(
    image: Path, placed_state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(placed_state, tmp_path / "state")
    checkout = build(resources.firmware_root())
    broken = tmp_path / "main.py"
    broken.write_text("raise ValueError('broken by hand')\n")
    with powered(image, tmp_path) as board:
        monkeypatch.setenv("DOSELOOP_HOME", str(board.home))
        assert "MicroPython v1.28.0" in board.repl(b"\x03")

        def newer(found: Inventory) -> None:
            check_target(found, version="1.29.0")

        # Another MicroPython is refused before anything is written.
        target = Board(board.port, PATIENCE_S)
        with pytest.raises(
            VersionMismatch, match=r"runs MicroPython 1\.28\.0.*needs 1\.29\.0"
        ) as no:
            deploy(checkout, target, newer, lambda path, size: None)
        assert no.value.exit_code == 7
        board.mpremote("resume", "fs", "cp", str(broken), ":main.py", "+", "reset")
        # The documented way: a prompt after Enter means that a deploy is all it takes.
        assert ">>> " in board.repl(b"\r")
        done = put(checkout, board.port)  # raises unless the board reports its hash
    assert [artifact.path for artifact, _ in done.plan.send] == ["main.py"]


def _all_new(old: Build) -> Build:
    # The same code, yet no file the same: .mpy files may be followed by anything.
    files = tuple(Artifact(a.path, a.data + b"\0") for a in old.files)
    return Build("0.7.7", files, old.loader)


def _what_runs(flash: bytes, file: Path, builds: tuple[Build, Build]) -> str:
    file.write_bytes(flash)
    beside = Path(sys.executable).with_name("micropython")
    script = mount(file, FS_SIZE // 4096) + scripts.fill(scripts.INVENTORY, only=None)
    named = os.environ.get("DOSELOOP_MICROPYTHON", str(beside))
    done = subprocess.run([named, "-c", script], capture_output=True, text=True, check=True)
    found = read_inventory(done.stdout)
    old, new = builds
    for name, wanted in (("old", old), ("new", new)):
        if found.active == wanted.folder:
            there = found.files
            for artifact in wanted.payload:
                assert there.get(f"/{wanted.folder}/{artifact.path}") == artifact.sha256, artifact
            return name
    raise AssertionError(f"active: {found.active}")


def _hash_after_boot(image: Path, placed: Placed, flash: bytes) -> str:
    rig = Rig(image, replace(placed, file_system=flash), placed.board)
    rig.until(b" boot cause=power", 5000)
    rig.say("hello\n")
    rig.until(b" hash=", 1000)
    return rig.until(b" ", 1000)
