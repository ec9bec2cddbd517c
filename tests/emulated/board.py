"""A running emulated board, as a test holds it: a process, its port, the power switch."""

from __future__ import annotations

import json
import os
import pty
import queue
import re
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from doseloop.transport import SerialTransport

PATIENCE_S = 600  # emulated time is some 20 times slower than real time, more on a busy computer


@dataclass
class Emulated:
    """A running `doseloop sim --emulated`."""

    process: subprocess.Popen[str]
    port: str
    ready_ms: int
    trace: Path
    state: Path
    home: Path  # its registry; who does not share it takes the port for a real board's

    def control(self, *commands: str) -> dict[str, Any]:
        """Say commands to the control socket, one after the other; return the last answer."""
        answer: dict[str, Any] = {}
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(PATIENCE_S)
            sock.connect(str(self.state.with_name("control")))
            with sock.makefile("r") as answers:
                for command in commands:
                    sock.sendall(command.encode() + b"\n")
                    answer = json.loads(answers.readline())
                    assert answer["ok"], (command, answer)
        return answer

    def settled(self, ms: float) -> dict[str, Any]:
        """Return the bench's status when `ms` more of the board's own time have passed.

        The trace is then on disk as far as the bench has counted its edges.
        """
        status = self.control(f"advance {ms / 1000}", "status")
        self.control("go")  # an advance leaves the clock held
        return status

    def cut(self) -> None:
        """Cut the power: nothing is said, nothing written out."""
        self.process.kill()
        self.process.wait()

    def mpremote(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run mpremote as a person does, and return what came of it."""
        return subprocess.run(
            [sys.executable, "-m", "mpremote", "connect", self.port, *arguments],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )

    def doseloop(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `doseloop ARGUMENTS --port PORT`."""
        return subprocess.run(
            [sys.executable, "-m", "doseloop", *arguments, "--port", self.port],
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE_S,
            env={**os.environ, "DOSELOOP_HOME": str(self.home)},
        )

    def repl(self, typed: bytes) -> str:
        """Run `mpremote repl` in a terminal, type till a prompt comes, and leave it."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "mpremote", "connect", self.port, "repl"],
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


@contextmanager
def powered(image: Path, folder: Path, *flags: str) -> Iterator[Emulated]:
    """Power a board on; its flash lives in `folder`/state. Off again at the end."""
    home, state, trace = folder / "home", folder / "state", folder / "trace"
    # By its other name: on a /dev/pts/N mpremote waits for ever, on any other port ten seconds.
    link = folder / "port"
    process = subprocess.Popen(
        [sys.executable, "-m", "doseloop", "sim", "--emulated",
         "--state", str(state), "--trace", str(trace), "--link", str(link),
         "--control", str(folder / "control"), *flags],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "DOSELOOP_UF2": str(image), "DOSELOOP_HOME": str(home)},
    )  # fmt: skip
    assert process.stdout is not None and process.stderr is not None
    said: queue.SimpleQueue[str] = queue.SimpleQueue()
    stderr = process.stderr
    reader = threading.Thread(target=lambda: [said.put(line) for line in stderr], daemon=True)
    reader.start()
    try:
        port = process.stdout.readline().strip()  # ends when the process does
        line = said.get(timeout=10)
        found = re.search(r"ready after ([0-9]+) ms", line)
        assert port and found, line
        yield Emulated(process, str(link), int(found[1]), trace, state, home)
    finally:
        process.terminate()
        process.wait(30)
        reader.join(10)
        process.stdout.close()
        stderr.close()


class Line:
    """The port, in a person's hands."""

    def __init__(self, port: str) -> None:
        self._transport = SerialTransport(port)
        self.heard = bytearray()

    def type(self, data: bytes) -> None:
        """Send bytes."""
        self._transport.write(data)

    def until(self, mark: bytes) -> str:
        """Return what is said up to and without `mark`."""
        deadline = time.monotonic() + PATIENCE_S
        while mark not in self.heard:
            heard = bytes(self.heard[-300:])
            assert time.monotonic() < deadline, f"no {mark!r} in {heard!r}"
            # A line of rubbish gets E_LINE, which some tests provoke; all else is a refusal.
            assert b"E_" not in heard.replace(b"E_LINE", b""), f"refused: {heard!r}"
            self.heard += self._transport.read()
        before, _, rest = bytes(self.heard).partition(mark)
        self.heard[:] = rest
        return before.decode()

    def close(self) -> None:
        """Release the port."""
        self._transport.close()

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
