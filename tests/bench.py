"""A simulated pump under a test's hand: started, held, stepped through time, and judged.

Everything goes through what a user has: `doseloop sim`, its control socket, the library.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import oracle

from doseloop import Pump, boards, config, syringes

BOARD = "pico_tmc2209"
SYRINGE = "bd-plastipak-50"


class Bench:
    """`doseloop sim` at full speed, held, with a trace; ``pump`` is the library's."""

    def __init__(
        self, *arguments: str, board: str = BOARD, syringe: str = SYRINGE, speed: str = "max"
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="doseloop-test-")
        self.folder = Path(self._folder.name)
        self.trace_path = self.folder / "trace"
        self._log = (self.folder / "log").open("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "doseloop", "sim", "--board", board, "--syringe", syringe,
             "--speed", speed, "--control", str(self.folder / "control"),
             "--trace", str(self.trace_path), *arguments],
            stdout=subprocess.PIPE, stderr=self._log, text=True,
            env={**os.environ, "DOSELOOP_HOME": str(self.folder / "home")},
        )  # fmt: skip
        assert self.process.stdout is not None
        self.port = self.process.stdout.readline().strip()
        self._log.seek(0)
        assert self.port, self._log.read()
        self._control = socket.socket(socket.AF_UNIX)
        self._control.connect(str(self.folder / "control"))
        self._control.settimeout(110)
        self._reader = self._control.makefile("r")
        self.board, self.syringe = board, syringe
        self.al = oracle.al_per_step(board, syringe)
        self.control("hold")
        self.pump = Pump.open(self.port)

    def control(self, line: str) -> dict[str, Any]:
        """Send a control command; return its answer, which must not be an error."""
        self._control.sendall(line.encode() + b"\n")
        answer = json.loads(self._reader.readline())
        assert "error" not in answer, answer
        return answer

    def advance(self, us: int) -> None:
        """Let exactly so many microseconds pass."""
        self.control(f"advance {us // 10**6}.{us % 10**6:06d}")

    def use_syringe(self, name: str) -> None:
        """Push another syringe's configuration."""
        compiled = config.compile_config(
            boards.find_board(self.board), syringes.find_syringe(name)
        )
        self.pump.push_config(compiled.sealed)
        self.syringe = name
        self.al = oracle.al_per_step(self.board, name)

    def until_still(self) -> None:
        """Let time run until nothing moves and nothing is timed."""
        while True:
            self.advance(1_000_000_000)
            if self.pump.status().state not in ("infusing", "withdrawing"):
                return

    def edges(self) -> list[oracle.Edge]:
        """Return every edge so far."""
        self.control("status")  # flushes the trace
        return oracle.read_trace(self.trace_path)

    def events(self) -> list[dict[str, Any]]:
        """Return the events of this boot as plain dicts."""
        return [
            {"n": event.n, "e": event.name, "ms": event.ms, "run": event.run, **event.data}
            for event in self.pump.events()
        ]

    def names(self) -> list[str]:
        """Return the names of the events of this boot."""
        return [event["e"] for event in self.events()]

    def infuse(self, steps: int, hz: int) -> None:
        """Begin to infuse so many steps at so many a second."""
        self.pump.infuse(volume_al=steps * self.al, rate_al_per_h=hz * 3600 * self.al)
        self.pump.start()

    def judge_run(self, run: str, edges: list[oracle.Edge]) -> oracle.Judgement:
        """Hold edges against the stretches of one run."""
        own = [event for event in self.events() if event["run"] == run]
        wanted = [event for event in own if event["e"] in ("stretch", "stretch_end")]
        return oracle.judge(edges, wanted, self.al)

    def close(self) -> None:
        """End it."""
        self.pump.close()
        self._reader.close()
        self._control.close()
        self.process.terminate()
        assert self.process.stdout is not None
        self.process.wait(10)
        self.process.stdout.close()
        self._log.close()
        self._folder.cleanup()

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def coarse_board(folder: Path) -> str:
    """Write the file of a board for long days: no force sensor, whole steps; return its path.

    Virtual time costs by the second, twice as much with the sensor, and by the step.
    """
    path = folder / "coarse.toml"
    text = (oracle.ROOT / "boards" / "pico_a4988.toml").read_text(encoding="utf-8")
    for old, new in (('"pico_a4988"', '"coarse"'), ("microsteps = 16", "microsteps = 1")):
        assert text.count(old) == 1
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")
    return str(path)


def seal_order(steps: list[dict[str, Any]], **top: Any) -> str:
    """Return a sealed order of compiled steps."""
    from doseloop import resources

    data = {"schema": 1, "name": "test", "syringe": None, "fill_al": None,
            "on_link_loss": "continue", "steps": steps, "kvo_al_per_h": None, **top}  # fmt: skip
    sealed = resources.firmware_module("sealed")
    return sealed.seal("order", 1, json.dumps(data, separators=(",", ":"), sort_keys=True))


def steps_of(volume_al: Fraction | int, al: int) -> int:
    """Whole steps in a volume."""
    return int(Fraction(volume_al) / al)
