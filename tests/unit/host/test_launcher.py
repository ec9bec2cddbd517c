"""The launcher relays and cleans up, shown with a board that only echoes (echo_world.py)."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import serial

SERVE = """
import signal, sys
from pathlib import Path
from doseloop.sim.launcher import Launcher
from doseloop.sim.world import Options
launcher = Launcher(
    Options(serial="ab"), link=Path("port"), control_path=Path("control"), script=Path(sys.argv[1])
)
signal.signal(signal.SIGTERM, launcher.stop)
print(launcher.port.path, flush=True)
try:
    launcher.serve()
finally:
    launcher.close()
"""
PATIENCE_S = 20


@pytest.fixture
def served(tmp_path, monkeypatch):
    monkeypatch.setenv("DOSELOOP_HOME", str(tmp_path / "home"))
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(Path(__file__).with_name("echo_world.py"))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("/dev/")
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    yield process
    process.kill()
    process.communicate()


@pytest.fixture
def ask():
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(PATIENCE_S)
    sock.connect("control")
    lines = sock.makefile("rw")

    def ask(command: str) -> dict:
        lines.write(command + "\n")
        lines.flush()
        return json.loads(lines.readline())

    yield ask
    lines.close()
    sock.close()


def wait_for(what) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)


def test_bytes_and_commands_go_both_ways(served, ask):
    with serial.Serial("port", timeout=PATIENCE_S, exclusive=True) as client:
        client.write(b"hello\n")
        assert client.read(12) == b"hello\nhello\n"
        answer = ask("advance 12.5")
        assert answer["ok"] is True
        assert answer["asked"]["seconds"] == "12.5"
        assert answer["attached"] is True
        assert answer["serial"] == "ab"
    wait_for(lambda: ask("status")["attached"] is False)


def test_time_waits_until_the_client_has_read(served, ask):
    with serial.Serial("port", timeout=PATIENCE_S) as client:
        client.write(b"one\n")
        assert client.read(1) == b"o"
        assert ask("status")["synced"] == 0  # seven bytes are still unread
        assert client.read(7) == b"ne\none\n"
        wait_for(lambda: ask("status")["synced"] == 1)


def test_a_new_client_does_not_see_what_an_old_one_left_unread(served, ask):
    with serial.Serial("port", timeout=PATIENCE_S) as client:
        client.write(b"old\n")
        client.read(1)
    wait_for(lambda: ask("status")["attached"] is False)
    # Opened as any program may, without pyserial's own flush.
    port = os.open("port", os.O_RDWR | os.O_NOCTTY)
    try:
        os.write(port, b"new\n")
        assert select.select([port], [], [], PATIENCE_S)[0]
        assert os.read(port, 100).startswith(b"new\n")
    finally:
        os.close(port)


@pytest.mark.parametrize(
    "command", ["advance", "advance 1e3", "until", "press bell", "power on", "fault x", "clear x"]
)
def test_a_bad_command_is_answered_and_not_relayed(served, ask, command):
    answer = ask(command)
    assert answer["ok"] is False
    assert answer["error"]


def test_sigterm_cleans_up(served, tmp_path):
    assert Path("port").is_symlink()
    (entry,) = (tmp_path / "home" / "sims").iterdir()
    assert json.loads(entry.read_text())["pid"] == served.pid
    served.terminate()
    assert served.wait(PATIENCE_S) == 0
    assert not Path("port").is_symlink()
    assert not Path("control").exists()
    assert not entry.exists()


def test_a_board_that_ends_by_itself_is_an_error(served):
    with serial.Serial("port") as client:
        client.write(b"crash\n")
        _, err = served.communicate(timeout=PATIENCE_S)
    assert served.returncode == 1
    assert "status 7" in err


def test_the_board_ends_when_the_launcher_is_killed(served, ask):
    def children() -> list[str]:
        path = Path(f"/proc/{served.pid}/task/{served.pid}/children")
        return path.read_text().split() if path.exists() else []

    ask("status")
    (board,) = children()
    os.kill(served.pid, signal.SIGKILL)
    served.wait()
    wait_for(lambda: not Path(f"/proc/{board}").exists())
