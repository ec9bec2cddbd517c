"""Time and faults of the emulated board: `--control`, `--hold`, `--fault`.

The commands are those of the simulated board as far as they concern what is wired to the chip's
pins, its power and the clock. What would need a look or a hand inside the chip is refused by name:
there the firmware is left alone. Used by server.
"""

from __future__ import annotations

import heapq
import select
from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from doseloop.errors import UsageError
from doseloop.sim import control
from doseloop.sim.emulated.bench import ENDS, Bench
from doseloop.sim.emulated.faults import POWER_CUT, begin, check, end
from doseloop.sim.faults import Fault

_PRESS_NS = 500_000_000  # how long a person keeps a button pressed


class Control:
    """The clock of one emulated board and the socket at `path`, if there is one.

    `cut_power` is called for a power cut, between two batches of the chip.
    """

    def __init__(
        self,
        path: Path | None,
        faults: Iterable[Fault],
        hold: bool,
        cut_power: Callable[[], None],
    ) -> None:
        self._cut_power = cut_power
        self._hold = hold
        self._server = None if path is None else control.Server(path)
        self._clients: list[control.Client] = []
        self._due: list[tuple[int, int, Callable[[Bench], None]]] = []
        self._count = 0
        self._active: set[str] = set()
        self._advance: tuple[int, control.Client] | None = None
        self.held = False
        for fault in faults:
            self._at(fault.at_ns, partial(self._begin, fault=check(fault)))

    def booted(self) -> None:
        """The pump has booted: from now on the clock may be held."""
        self.held = self._hold

    def run(self, bench: Bench, duration_ns: int) -> None:
        """Let at most `duration_ns` pass, none while held; what falls due happens at its time."""
        if self.held:
            return
        start = bench.ns
        until = start + duration_ns
        if self._due:
            until = min(until, self._due[0][0])
        if self._advance is not None:
            until = min(until, self._advance[0])
        if until > start:
            bench.chip.run(until - start)
        while self._due and self._due[0][0] <= bench.ns:
            heapq.heappop(self._due)[2](bench)
        if self._advance is not None and self._advance[0] <= bench.ns:
            self._end_advance({"ok": True, "now_ns": bench.ns})

    def filenos(self) -> list[int]:
        """Return the descriptors on which a command may come."""
        if self._server is None:
            return []
        return [self._server.fileno(), *(c.fileno() for c in self._clients if not c.ended)]

    def ready(self) -> bool:
        """Whether somebody has something to say."""
        if self._server is None:
            return False
        poll = select.poll()
        for fd in self.filenos():
            poll.register(fd, select.POLLIN)
        return bool(poll.poll(0))

    def serve(self, bench: Bench) -> None:
        """Act on the commands that have come."""
        if self._server is None:
            return
        client = self._server.accept()
        if client is not None:
            self._clients.append(client)
        for client in list(self._clients):
            for line in [] if client.ended else client.lines():
                self._command(bench, client, line)
            if client.ended and not client.waiting:
                self._clients.remove(client)
                client.close()

    def close(self) -> None:
        """Remove the socket."""
        for client in self._clients:
            client.close()
        if self._server is not None:
            self._server.close()

    # -- commands -------------------------------------------------------------------------------

    def _command(self, bench: Bench, client: control.Client, line: str) -> None:
        try:
            answer = self._do(bench, client, control.parse(line))
        except UsageError as error:
            answer = {"ok": False, "error": error.message}
        if answer is not None:
            client.answer(answer)

    def _do(
        self, bench: Bench, client: control.Client, request: dict[str, Any]
    ) -> dict[str, Any] | None:
        match request["do"]:
            case "advance":
                self._end_advance({"ok": False, "error": "another advance took its place"})
                due_ns = bench.ns + int(Decimal(request["seconds"]).scaleb(9))
                self._advance = (due_ns, client)
                self.held = False
                client.waiting += 1
                return None
            case "hold" | "go" as word:
                self.held = word == "hold"
                if self.held:
                    self._end_advance({"ok": False, "error": "held on the way"})
            case "fault":
                self._begin(bench, check(Fault(request["name"], bench.ns, request["value"])))
            case "clear":
                name = check(Fault(request["name"], bench.ns, None)).name
                end(bench, name)
                self._active.discard(name)
            case "press":
                self._press(bench, request["what"])
            case "break":
                bench.chip.send_break()
            case "power":
                self._cut_power()
            case "status":
                return {"ok": True, **self._status(bench)}
            case what:
                raise UsageError(
                    f"{what}: the emulated board's events stay inside the chip; follow them"
                    " through the port (doseloop logs)"
                )
        return {"ok": True, "now_ns": bench.ns}

    def _press(self, bench: Bench, what: str) -> None:
        if what == "stop":
            bench.press_stop()
            self._at(bench.ns + _PRESS_NS, lambda bench: bench.release_stop())
        else:
            bench.press_bolus()
            self._at(bench.ns + _PRESS_NS, lambda bench: bench.press_bolus(False))

    def _status(self, bench: Bench) -> dict[str, Any]:
        bench.flush()
        return {
            "now_ns": bench.ns,
            "held": self.held,
            "position": bench.position,
            "plunger": bench.plunger,
            "edges": bench.edges,
            "last_edge_ns": bench.last_edge_ns,
            "lost": bench.lost,
            "faults": sorted(self._active),
            "enabled": bench.enabled,
            "ends": [name for name in ENDS if bench.at_end(name)],
        }

    def _begin(self, bench: Bench, fault: Fault) -> None:
        if fault.name == POWER_CUT:
            self._cut_power()
        else:
            begin(bench, fault)
            self._active.add(fault.name)

    def _end_advance(self, answer: dict[str, Any]) -> None:
        if self._advance is None:
            return
        _, client = self._advance
        self._advance = None
        self.held = True
        client.waiting -= 1
        client.answer(answer)

    def _at(self, ns: int, action: Callable[[Bench], None]) -> None:
        self._count += 1  # keeps the order of those due at the same time
        heapq.heappush(self._due, (ns, self._count, action))
