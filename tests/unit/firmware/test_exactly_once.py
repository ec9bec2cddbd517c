"""A dose that is asked for once is given once, or told not to be known of: over any line.

The host's own session, the firmware's own link, and between them a line on which everything goes
wrong that can. More sessions, or another beginning: DOSELOOP_SESSIONS=1000, DOSELOOP_SEED=7.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest
from unit.firmware.bench import Bench
from unit.firmware.faulty_line import Line
from unit.firmware.test_therapy import AL, ML, SLOW

from doseloop.errors import LinkError, Refused
from doseloop.session import Session

SESSIONS = int(os.environ.get("DOSELOOP_SESSIONS", "30"))
SEED = int(os.environ.get("DOSELOOP_SEED", "1"))
SHORT_S = 0.02  # for a try: no answer is any more likely later
ASKED = 8  # doses in a session


class Host:
    """A program that asks for doses, each of another volume, and plugs in again when it must."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.told: dict[int, str] = {}  # what it was told of each volume
        self._session: Session | None = None

    def ask(self, command: str, **args: int) -> str:
        """Ask once; return "ok", "refused", or "unknown" when the line failed."""
        if self._session is None and not self._plug_in():
            return "refused"  # nothing was sent
        assert self._session is not None
        try:
            self._session.request(command, args)
        except Refused:
            return "refused"
        except LinkError as error:
            # E_SESSION: a late hello began another one, and an earlier try may have been heard.
            assert error.code in ("E_NO_REPLY", "E_LINK", "E_SESSION")
            self.unplug()
            return "unknown"
        return "ok"

    def dose(self, volume_al: int) -> None:
        """Ask for a dose on top, once."""
        self.told[volume_al] = self.ask(
            "bolus_now", volume_al=volume_al, rate_al_per_h=1000 * 3600 * AL
        )

    def _plug_in(self) -> bool:
        for _ in range(10):
            session = Session(self.line.transport(), deadline_s=SHORT_S)
            try:
                session.hello()
            except (LinkError, Refused):
                session.close()
                continue
            self._session = session
            return True
        return False

    def unplug(self) -> None:
        """Give the port back, without a word."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def doses_seen(self) -> Counter[int]:
        """Return how often each volume was given, by the events that the pump still tells."""
        assert self._session is not None or self._plug_in()
        assert self._session is not None
        since, seen = 0, Counter[int]()
        while True:
            page = self._session.request("events", {"since": since, "max": 8})
            for event in page["events"]:
                if event["e"] == "bolus":
                    seen[event["volume_al"]] += 1
            if not page["events"]:
                return seen
            since = page["events"][-1]["n"]


class Forgetful(list):
    """A memory of replies that keeps none."""

    def append(self, reply) -> None:
        pass


def session_of(seed: int, forgets: bool = False) -> Line:
    """Let one host have its doses over one bad line, and judge what came of it."""
    bench = Bench(SLOW)
    if forgets:
        bench.link._replies = Forgetful()
        bench.link._check_order = lambda name, seq, session: None
    bench.controller.load(50 * ML)
    bench.table.run("infuse", {"volume_al": 20 * ML, "rate_al_per_h": ML})
    bench.controller.start()
    line = Line(bench, seed)
    host = Host(line)
    try:
        for nth in range(1, ASKED + 1):
            host.dose((10 + nth) * AL)
            for other in line.rng.sample(("status", "events", "rate"), line.rng.randrange(3)):
                args = {"since": 0} if other == "events" else {}
                host.ask(other, **args, **({"rate_al_per_h": ML + nth} if other == "rate" else {}))
        line.heal()
        with line.lock:
            bench.run_to(bench.clock.now + 10**6)  # what was accepted has begun
        given = Counter[int]()
        for event in bench.events.since(0, 10**6):
            if event["e"] == "bolus":
                given[event["volume_al"]] += 1
        for volume, told in host.told.items():
            times = given.pop(volume, 0)
            assert times == {"ok": 1, "refused": 0}.get(told, min(times, 1)), (seed, volume, told)
        assert not given, "nobody has asked for these"
        host.unplug()  # what was unknown is known once the line is good again
        seen = host.doses_seen()
        assert all(seen[volume] <= 1 for volume in host.told)
        for volume, told in host.told.items():
            assert told == "unknown" or seen[volume] == (told == "ok"), (seed, volume)
    finally:
        host.unplug()
    return line


@pytest.mark.requirement("J3")
def test_a_dose_is_given_once_or_told_not_to_be_known_of() -> None:
    met = Counter[str]()
    for seed in range(SEED, SEED + SESSIONS):
        met.update(session_of(seed).met)
    every = "drop double reorder delay damage cut split insert stall unplug".split()
    assert set(met) == set(every), "a line on which everything goes wrong"


def test_a_pump_that_remembers_no_request_is_found_out() -> None:
    for seed in range(1, 50):
        try:
            session_of(seed, forgets=True)
        except AssertionError:
            return
    pytest.fail("a dose given twice was not noticed")
