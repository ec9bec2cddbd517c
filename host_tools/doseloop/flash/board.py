"""A board at its MicroPython prompt, reached through mpremote: the only user of mpremote here.

mpremote runs as a program of its own: its versions share no library interface, and a hung
serial line ends with the process. `resume` keeps it from soft-resetting the board each time.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from doseloop.errors import LinkError, NoPump, PortBusy
from doseloop.flash.build import Artifact

Progress = Callable[[str, int], None]

TIMEOUT_S = 120  # a whole firmware over USB takes some seconds; a dead line must still end


class Board:
    """One board on `port`. Every method raises LinkError, NoPump or PortBusy."""

    def __init__(self, port: str, timeout_s: float = TIMEOUT_S) -> None:
        self.port = port
        self._timeout_s = timeout_s
        self._base = [sys.executable, "-m", "mpremote", "connect", port, "resume"]
        self._env = {**os.environ, "PYTHONUNBUFFERED": "1"}

    def run(self, script: str) -> str:
        """Run MicroPython source on the board and return what it printed."""
        try:
            result = subprocess.run(
                [*self._base, "exec", script],
                capture_output=True,
                text=True,
                timeout=self._timeout_s,
                env=self._env,
            )
        except subprocess.TimeoutExpired as error:
            raise LinkError(f"no answer on {self.port} within {self._timeout_s} s") from error
        if result.returncode:
            raise self._error(result.stdout + result.stderr)
        return result.stdout

    def send(self, files: Sequence[tuple[Artifact, str]], progress: Progress) -> None:
        """Write files to absolute paths; `progress(path, size)` is called before each."""
        if not files:
            return
        with tempfile.TemporaryDirectory(prefix="doseloop-") as scratch:
            command = list(self._base)
            sizes: dict[str, int] = {}
            for number, (artifact, target) in enumerate(files):
                local = Path(scratch) / str(number)
                local.write_bytes(artifact.data)
                command += ["+"] if number else []
                command += ["fs", "--force", "cp", str(local), f":{target}"]
                sizes[target] = len(artifact.data)
            self._copy(command, sizes, progress)

    def reset(self) -> None:
        """Restart the board, which then runs what is active."""
        subprocess.run(
            [*self._base, "reset"], capture_output=True, timeout=self._timeout_s, env=self._env
        )

    def _copy(self, command: list[str], sizes: dict[str, int], progress: Progress) -> None:
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self._env,
        ) as process:
            assert process.stdout is not None
            lines: list[str] = []
            try:
                for line in process.stdout:  # "cp /tmp/… :/fw_…/pump/app.mpy", one before each
                    lines.append(line)
                    words = line.split()
                    if line.startswith("cp ") and words[-1].lstrip(":") in sizes:
                        target = words[-1].lstrip(":")
                        progress(target, sizes[target])
                code = process.wait(self._timeout_s)
            except BaseException:
                process.kill()  # Ctrl-C in the middle: the old firmware stays active
                raise
        if code:
            raise self._error("".join(lines))

    def _error(self, said: str) -> LinkError | NoPump:
        lines = [line for line in said.strip().splitlines() if line.strip()]
        last = lines[-1] if lines else "no message"
        if "in use by another program" in said or "failed to access" in said:
            return PortBusy(f"{self.port} can't be opened: {last}")
        if "no device found" in said:
            return NoPump(f"there is no port {self.port}: {last}")
        if "raw repl" in said:
            return LinkError(
                f"{self.port} does not come to a MicroPython prompt",
                next="docs/deploy.md, section 'A board that does not answer'",
            )
        return LinkError(f"mpremote on {self.port}: {last}")
