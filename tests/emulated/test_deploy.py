"""`doseloop flash` over the unmodified mpremote, from an erased board on: one day of one board.

The tests are that day's steps and share the board, in this order; a step that fails ends the day.
A cut at every file and the other long cases are in soak_deploy.py.
"""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import oracle
import pytest
from emulated.board import PATIENCE_S, Emulated, Line, powered
from emulated.firmware import varied

from doseloop import Pump, resources
from doseloop.boards import find_board
from doseloop.cli.flash import put
from doseloop.config import compile_config
from doseloop.errors import VersionMismatch
from doseloop.flash.board import Board
from doseloop.flash.build import Build, build
from doseloop.flash.deploy import deploy
from doseloop.flash.plan import Inventory, check_target
from doseloop.syringes import find_syringe
from doseloop.transport import SerialTransport

pytestmark = [pytest.mark.timeout(1800), pytest.mark.slow]

HZ = 100  # slow: mpremote gives up after ten seconds of the computer's time


@pytest.fixture(scope="module")
def checkout() -> Build:
    return build(resources.firmware_root())


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Give the checkout's firmware with another version number, and nothing else."""
    return varied(tmp_path_factory.mktemp("older"), "0.0.1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("deploy")


@pytest.fixture(scope="module")
def board(image: Path, folder: Path) -> Iterator[Emulated]:
    with powered(image, folder, "--blank") as erased:
        yield erased


@pytest.fixture
def at_home(board: Emulated, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process see that the board is an emulated, slow one."""
    monkeypatch.setenv("DOSELOOP_HOME", str(board.home))


def test_an_erased_board_gets_it_all_and_reports_the_hash(
    board: Emulated, checkout: Build
) -> None:
    done = board.doseloop("flash", "--json")
    assert done.returncode == 0, done.stderr
    assert "MicroPython prompt" in done.stderr
    said = json.loads(done.stdout)
    assert said["changed"]
    assert len(said["sent"]) == len(said["files"])
    assert said["hash"] == checkout.hash  # what the board has reported, else it had failed


def test_while_infusing_nothing_reaches_the_prompt_and_no_step_moves(
    board: Emulated, at_home: None
) -> None:
    config = compile_config(find_board("pico_tmc2209"), find_syringe("bd-plastipak-50"))
    with Pump(SerialTransport(board.port), deadline_s=PATIENCE_S / 3) as pump:
        pump.push_config(config.sealed)
    al = oracle.al_per_step("pico_tmc2209", "bd-plastipak-50")
    rate_ul_per_h = HZ * 3600 * al // 10**12
    with Line(board.port) as line:
        line.type(b"\nload 40 mL\n")
        line.until(b"ok remaining_nl=")
        line.type(f"infuse 1 mL {rate_ul_per_h} uL/h\n".encode())
        line.until(b"type start to begin")
        line.type(b"start\n")
        line.until(b"ok run=")

    refused = board.doseloop("flash", "--json")
    assert refused.returncode == 5, refused.stderr
    assert json.loads(refused.stdout)["error"]["code"] == "E_STATE"
    listed = board.mpremote("ls")
    assert listed.returncode != 0
    assert "could not enter raw repl" in listed.stdout + listed.stderr

    with Line(board.port) as line:
        line.type(b"\n")  # ends the line that mpremote began; it was none
        line.until(b"E_LINE")
        line.type(b"status\n")
        line.until(b"infusing")
        line.type(b"stop\n")
        line.until(b" ms stop ")
        line.until(b"\r\n")
    stood = board.settled(5 * 1000 / HZ)  # five periods: none of them brings a step any more
    edges = oracle.read_trace(board.trace)
    assert len(edges) == stood["edges"]
    assert stood["now_ns"] - stood["last_edge_ns"] > 4 * 10**9 // HZ
    assert [edge.position for edge in edges] == list(range(1, len(edges) + 1))
    period = Fraction(al * 3600 * 10**6, rate_ul_per_h * 10**12)
    assert len({edge.ns - 1000 * (k * period // 1) for k, edge in enumerate(edges, 1)}) == 1


def test_when_idle_repl_and_ls_work(board: Emulated) -> None:
    assert "MicroPython v1.28.0" in _repl(board, b"\x03")
    done = board.mpremote("resume", "ls")
    assert done.returncode == 0, done.stderr
    assert {"active", "main.py", "boot.py", "kept/"} <= set(done.stdout.split())


def test_another_micropython_is_refused_before_anything_is_written(
    board: Emulated, checkout: Build, at_home: None
) -> None:
    target = Board(board.port, PATIENCE_S)

    def newer(found: Inventory) -> None:
        check_target(found, version="1.29.0")

    with pytest.raises(VersionMismatch, match=r"runs MicroPython 1\.28\.0.*needs 1\.29\.0") as no:
        deploy(checkout, target, newer, _silent)
    assert no.value.exit_code == 7


def test_a_crashing_main_is_recovered_by_an_older_firmware_that_differs_in_one_file(
    board: Emulated, folder: Path, checkout: Build, older: Build, at_home: None
) -> None:
    broken = folder / "main.py"
    broken.write_text("raise ValueError('broken by hand')\n")
    board.mpremote("resume", "fs", "cp", str(broken), ":main.py", "+", "reset")
    # The documented way: a prompt after Enter means that a deploy is all it takes.
    assert ">>> " in _repl(board, b"\r")

    done = put(older, board.port)  # raises unless the board reports its hash
    assert sorted(artifact.path for artifact, _ in done.plan.send) == [
        "firmware.hash", "firmware.json", "main.py", "pump/version.mpy"
    ]  # fmt: skip
    assert len(done.plan.copies) == len(checkout.payload) - 3


def test_a_power_cut_while_files_are_sent_leaves_the_old_firmware(
    board: Emulated, image: Path, folder: Path, older: Build, at_home: None,
    tmp_path: Path,
) -> None:  # fmt: skip
    # Two files of its own, so that there is something to be cut between.
    newer = varied(tmp_path, "0.9.9", also="tick.py")
    sent: list[str] = []

    class Cut(Board):
        def send(self, files, progress):  # type: ignore[no-untyped-def]
            def each(path: str, size: int) -> None:
                sent.append(path)
                if len(sent) == 2:
                    board.cut()
                    raise InterruptedError

            super().send(files, each)

    with pytest.raises(InterruptedError):
        deploy(newer, Cut(board.port, PATIENCE_S), check_target, _silent)
    again = folder / "again"
    again.mkdir()
    shutil.copytree(board.state, again / "state")
    with powered(image, again, "--blank") as same:
        with Line(same.port) as line:
            line.until(b" boot cause=power")
        with Pump(SerialTransport(same.port), deadline_s=PATIENCE_S / 3) as pump:
            assert pump.identity.hash == older.hash
            assert pump.identity.board == "pico_tmc2209"  # the configuration is not a deploy's


def _repl(board: Emulated, typed: bytes) -> str:
    """Run `mpremote connect PORT repl` in a terminal, type till a prompt comes, and leave it."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "mpremote", "connect", board.port, "repl"],
        stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    heard = bytearray()
    deadline = time.monotonic() + PATIENCE_S
    try:
        while b">>> " not in heard:
            assert time.monotonic() < deadline, bytes(heard)
            if select.select([ours], [], [], 2.0)[0]:
                heard += os.read(ours, 1024)
            else:  # what is typed before mpremote listens is lost, as in any terminal
                os.write(ours, typed)
        os.write(ours, b"\x1d")
        process.wait(30)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return heard.decode()


def _silent(path: str, size: int) -> None:
    pass
