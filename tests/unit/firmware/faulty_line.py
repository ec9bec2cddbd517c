"""A line that drops, doubles, reorders, delays, damages, splits, stalls and goes away, with the
firmware's own link at its other end.

A seed says what goes wrong when, as far as that lies in the line: which try of the host it meets
also depends on the computer's clock, so a test judges what came of it, not how.
"""

from __future__ import annotations

import random
import threading
import time

from unit.firmware.bench import Bench

from doseloop.errors import LinkError

_PASS_US = 20_000  # of the pump's time, a pass of its main loop
_STALL = 40  # passes


class Way:
    """One direction. ``faults``: share of pieces that meet one; ``met`` counts them by name."""

    def __init__(self, rng: random.Random, met: dict[str, int]) -> None:
        self._rng = rng
        self._met = met
        self._held: list[bytes] = []
        self.faults = 0.3

    def carry(self, piece: bytes) -> bytes:
        """Return what comes out at the other end when a piece goes in."""
        rng = self._rng
        held, self._held = self._held, []
        if rng.random() >= self.faults:
            return piece + b"".join(held)
        what = rng.choice(
            ("drop", "double", "reorder", "delay", "damage", "cut", "split", "insert")
        )
        self._met[what] = self._met.get(what, 0) + 1
        at = rng.randrange(len(piece))
        if what == "drop":
            piece = b""
        elif what == "double":
            piece += piece
        elif what == "reorder":  # behind the next
            self._held, piece = [piece], b""
        elif what == "delay":  # and once more when the next has gone
            self._held = [piece]
        elif what == "damage":
            piece = piece[:at] + bytes([piece[at] ^ 1 << rng.randrange(8)]) + piece[at + 1 :]
        elif what == "cut":
            piece = piece[:at]
        elif what == "insert":
            piece = piece[:at] + rng.randbytes(rng.randrange(1, 9)) + piece[at:]
        else:
            self._held, piece = [piece[at:]], piece[:at]
        return b"".join(held) + piece


class Line:
    """The pump and the wire; it outlives a session. ``transport`` plugs a host in."""

    def __init__(self, bench: Bench, seed: int) -> None:
        self.bench = bench
        self.rng = random.Random(seed)
        self.met: dict[str, int] = {}
        self.lock = threading.Lock()
        self.there = Way(self.rng, self.met)
        self.back = Way(self.rng, self.met)
        self.stalled = 0  # passes during which nothing travels

    def heal(self) -> None:
        """Make it a good line from here on."""
        self.there.faults = self.back.faults = 0.0
        self.stalled = 0

    def transport(self) -> Plugged:
        """Return what a session needs."""
        return Plugged(self)

    def turn(self) -> bytes:
        """Let the pump make a pass; return what the host hears of it."""
        bench = self.bench
        bench.clock.now += _PASS_US
        bench.link.poll()
        bench.controller.service()
        bench.link.flush()
        said, bench.serial.from_pump = bytes(bench.serial.from_pump), bytearray()
        if self.stalled:
            self.stalled -= 1
            return b""
        return self.back.carry(said) if said else b""


class Plugged:
    """A Transport."""

    port = "faulty"

    def __init__(self, line: Line) -> None:
        self._line = line
        self._over = False
        self._gone = False

    def write(self, data: bytes) -> None:
        line = self._line
        with line.lock:
            if self._gone:
                raise LinkError("faulty went away")
            chance = line.rng.random() if line.there.faults else 1.0
            if chance < 0.02:
                line.met["stall"] = line.met.get("stall", 0) + 1
                line.stalled = _STALL
            elif chance < 0.04:
                line.met["unplug"] = line.met.get("unplug", 0) + 1
                self._gone = True  # the request may have gone through, or not
            line.bench.serial.to_pump += line.there.carry(data)

    def read(self) -> bytes:
        while not self._over:
            with self._line.lock:
                if self._gone:
                    raise LinkError("faulty went away")
                heard = self._line.turn()
            if heard:
                return heard
            time.sleep(0.0002)  # let the other thread have the lock
        return b""

    def send_break(self) -> None:
        pass  # a pseudo-terminal has none

    def cancel(self) -> None:
        self._over = True

    def close(self) -> None:
        self._over = True
