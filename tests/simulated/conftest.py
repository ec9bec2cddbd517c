"""Simulated pumps and the command line, for end-to-end tests. No test here sleeps blindly: it
waits, bounded, for something that can be observed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from patience import PATIENCE_S


@dataclass
class Sim:
    """One `doseloop sim`: its process, port and control socket."""

    process: subprocess.Popen[str]
    port: str
    control: Path

    def ask(self, command: str) -> dict[str, Any]:
        """Send one control command and return its answer, which must be ok."""
        answer = self.try_to(command)
        assert answer.get("ok") is True, answer
        return answer

    def try_to(self, command: str) -> dict[str, Any]:
        """Send one control command and return its answer."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(PATIENCE_S)
            # Relative: a socket's path is short, a test's folder may not be.
            here = os.getcwd()
            os.chdir(self.control.parent)
            try:
                sock.connect(self.control.name)
            finally:
                os.chdir(here)
            sock.sendall(command.encode() + b"\n")
            data = b""
            while not data.endswith(b"\n"):
                part = sock.recv(4096)
                assert part, "the control socket closed"
                data += part
        return json.loads(data)

    def end(self, signum: int = signal.SIGTERM) -> int:
        """End it and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signum)
        return self.process.wait(PATIENCE_S)


@dataclass
class Done:
    """A finished command line."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A records folder of one's own, for this test and all programs that it starts."""
    monkeypatch.setenv("DOSELOOP_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DOSELOOP_PORT", raising=False)
    monkeypatch.delenv("DOSELOOP_UF2", raising=False)  # nothing here is about an emulated board
    return tmp_path / "home"


@pytest.fixture
def start_cli(home: Path, tmp_path: Path):
    """Start `doseloop ARGUMENTS` and return the process; whatever is left over is ended."""
    running: list[subprocess.Popen[str]] = []

    def start(*arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "doseloop", *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            **options,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=PATIENCE_S)


@pytest.fixture
def cli(start_cli):
    """Run `doseloop ARGUMENTS` to its end."""

    def run(*arguments: str | Path, patience_s: float = 180, **options: Any) -> Done:
        process = start_cli(*arguments, **options)
        out, err = process.communicate(timeout=patience_s)
        return Done(process.returncode, out, err)

    return run


@pytest.fixture
def sim(start_cli, tmp_path: Path):
    """Start simulated pumps, by default as fast as they can and with their clocks held."""
    started: list[Sim] = []

    def start(*arguments: str | Path, held: bool = True, speed: str = "max") -> Sim:
        control = tmp_path / f"control{len(started)}"
        hold = ["--hold"] if held else []
        process = start_cli("sim", "--speed", speed, "--control", control.name, *hold, *arguments)
        port = process.stdout.readline().strip()
        assert port, process.communicate()
        pump = Sim(process, port, control)
        started.append(pump)
        return pump

    return start


@pytest.fixture
def order(tmp_path: Path):
    """Write an order file and return its path."""

    def write(*steps: str, syringe: str = "bd-plastipak-50", fill: str = "40 mL") -> Path:
        path = tmp_path / "order.toml"
        text = 'schema = 1\nname = "test"\n[syringe]\n'
        text += f'model = "{syringe}"\nfill = "{fill}"\n'
        text += "".join(f"[[step]]\n{step}\n" for step in steps)
        path.write_text(text, encoding="utf-8")
        return path

    return write
