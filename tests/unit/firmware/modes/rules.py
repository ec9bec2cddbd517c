"""The rules that every path must keep, told from outside: by steps, pins, and who did what.

They do not ask the firmware whether it may move; they keep their own account of that.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from unit.firmware.modes.world import AL, CONFIG, FILL, HOUR_AL, LOCKOUT_MS, MS, PERSON, S, World

from doseloop import resources

states = resources.firmware_module("states")

# Ticks between two steps at the fastest rate allowed, less one for rounding.
_LEAST_GAP = AL * 3600 * S // CONFIG["limits"]["rate_max_al_per_h"] - 1
_HOLD_US = 300 * MS + 20 * MS  # what a pass of the main loop may add
_RESTARTS = 1  # in any 10 min, by the board file
_UNDER_WAY = ("infusing", "withdrawing", "bolus", "priming", "paused", "interrupted")


class Broken(Exception):
    """A rule does not hold."""


class Watch:
    """Makes events happen to a world and looks at the rules after each."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.may_move = False  # a person has begun something, and nothing has ended it
        self._ended_by = "power-on"
        self._edges = 0
        self._restarts: list[int] = []
        self._held: int | None = None  # when a held bolus was last asked for
        self._doses = 0  # aL, of a patient's order; no path lasts an hour
        self._confirmed = False  # a change that may still come into effect
        self._asked: int | None = None  # when the patient got the last one, ms
        self._loaded = FILL if world.configured else 0  # steps left, with the plunger at ...
        self._loaded_at = world.plunger()

    def do(self, name: str) -> None:
        """Let an event happen and look at the rules. Raise Broken."""
        world = self.world
        bench, boots = world.bench, world.boots
        last_event, rate = bench.events.last, self._rate()
        against = self._against(name)
        backed = self._backing()
        try:
            refused = world.do(name)
        except Exception as error:
            raise Broken(f"{name} raises {error!r}") from error
        accepted = refused is None
        if accepted and against:
            raise Broken(f"{name} is accepted {against}")
        reset = world.boots != boots
        told = [] if reset else bench.events.since(last_event, 10**6)
        names = [event["e"] for event in told]
        if "restart" in names:
            self._restarted()
        may = "restart" in names or "bolus" in names or (accepted and name in PERSON)
        self._steps(may or self.may_move, backed or "backoff" in names)
        self._held_bolus(name, accepted)
        self._patient(name, told)
        self._who_may(name, accepted, names, reset, may)
        if name == "confirm" and accepted:
            self._confirmed = True  # in effect once the motor stands
        if not reset:
            self._same_rate(rate)
        self._shape()
        self._dose_count()
        self._account(name, accepted)

    def _against(self, name: str) -> str | None:
        """Return why a request must be refused now, None where it need not be."""
        bench = self.world.bench
        c = bench.controller
        moving, item = bench.dose.active, c.run.item() if c.run and not c.run.ended else None
        if name in ("start another", "confirm another", "load too much", "both"):
            return "though nothing fits"
        barred = self._barred()
        if name == "resume" and item is not None and not item.way and barred is bench.pins.ends:
            barred = False  # into a pause; what comes after it may lead away from the end
        if name in ("start", "resume", "bolus_now", "square") and barred and not moving:
            return "though an input forbids motion"
        if name == "hold" and c.state not in ("ready", "bolus", "priming"):
            return "though nothing to be held is planned"
        if name == "start" and c.order is not None and c.order.steps[0].mode == "prime":
            return "though a prime lasts while it is held"
        if name in ("pause", "rate", "bolus_now", "square") and c.state == "priming":
            return "in a prime"
        if name in ("load", "clear") and self._backing():
            return "while the plunger backs off"
        if name == "load" and moving:
            return "in motion"
        if name == "clear" and bench.pins.stop and bench.alarms.stands("A_STOP_INPUT"):
            return "while the stop input is open"
        if name.startswith("plan ") and (c.reset_due or c.library_fault):
            return "though this pump must not run it"
        if name == "maintenance" and (moving or item is not None):
            return "in a run"
        if name == "resume" and c._resume_at is not None:
            return "in a pause of the order's own"
        if name in ("bolus_now", "square") and c.state == "paused" and c._resume_at is None:
            return "while paused"
        if name == "rate" and (
            item is None or item.kind not in ("infuse", "basal") or c._then is not None
        ):
            return "while nothing is delivered at a rate of its own"
        if name in ("demand", "pca") and c._patient is not None and not c._patient.ready:
            return "though what was given is not known"
        return None

    # -- one rule each ------------------------------------------------------------------------

    def _steps(self, may: bool, backs: bool) -> None:
        bench = self.world.bench
        edges: list[tuple[int, int]] = list(bench.dose.edges)
        if bench.dose.active:
            bench.dose._count()
            edges += [(at, bench.pins.way) for at in bench.dose._plan[: bench.dose.seen]]
        new, self._edges = edges[self._edges :], len(edges)
        if any(way > 0 for _, way in new) and not may:
            raise Broken(f"steps after {self._ended_by}, begun by nobody")
        if any(way < 0 for _, way in new) and not backs and not self._backing():
            raise Broken("the plunger is drawn back, and no order says so")
        gaps = [b - a for (a, one), (b, two) in pairwise(new) if one == two]
        if any(0 < gap < _LEAST_GAP for gap in gaps):
            raise Broken(f"faster than the limit: {min(gaps)} ticks between two steps")

    def _held_bolus(self, name: str, accepted: bool) -> None:
        bench = self.world.bench
        c, now = bench.controller, bench.clock.now
        if name == "hold" and accepted:
            self._held = now
        elif c.state not in ("bolus", "priming") or name == "start":
            self._held = None
        elif self._held is not None and now - self._held > _HOLD_US and bench.dose.active:
            raise Broken("what is held goes on without being held")

    def _patient(self, name: str, told: list[dict[str, Any]]) -> None:
        """Doses of a patient's order: lockout, the hour's limit, every demand counted once."""
        names = [event["e"] for event in told]
        if names.count("denied") > 1:
            raise Broken("a demand is counted twice")
        c = self.world.bench.controller
        if not c._controlled():
            self._doses, self._asked = 0, None
            return
        for event in told:
            if event["e"] != "bolus":
                continue
            if name in ("demand", "press"):
                if self._asked is not None and event["ms"] - self._asked < LOCKOUT_MS:
                    raise Broken("a dose within the lockout")
                self._asked = event["ms"]
            self._doses += event["volume_al"]
        if self._doses > HOUR_AL:
            raise Broken("more doses than the hour's limit leaves room for")

    def _who_may(
        self, name: str, accepted: bool, names: list[str], reset: bool, may: bool
    ) -> None:
        """Take note of who has begun, or ended, what moves from here on."""
        bench = self.world.bench
        c = bench.controller
        self.may_move = may or self.may_move
        ended = None
        if reset:
            ended, self._asked, self._held, self._restarts = name, None, None, []
        elif name in ("pause", "stop") and accepted and not bench.dose.active:
            ended = name
        elif c.state in ("alarm", "idle", "ready", "interrupted"):
            ended = f"the run was {c.state}"
        if ended is not None:
            self.may_move, self._ended_by = False, ended

    def _same_rate(self, before: tuple[object, int] | None) -> None:
        now = self._rate()
        if before is not None and now is not None and before[0] is now[0] and before != now:
            if not self._confirmed:
                raise Broken("another rate, and nobody has confirmed it")
            self._confirmed = False

    def _shape(self) -> None:
        """What the states mean, and what pins say of them."""
        bench = self.world.bench
        c, pins, turns = bench.controller, bench.pins, bench.dose.active and not self._backing()
        under_way = c.run is not None and not c.run.ended
        if turns and not states.moving(c.state):
            raise Broken(f"the motor turns while {c.state}")
        if turns and self._barred():
            raise Broken("the motor turns, and an input forbids it")
        if c.state in ("alarm", "idle") and not bench.dose.active and pins.on:
            raise Broken(f"the driver is on while {c.state}")
        if bool(bench.alarms.stopping()) != (c.state == "alarm"):
            raise Broken(f"{bench.alarms.stopping()} stands while {c.state}")
        if c.state in _UNDER_WAY and not under_way:
            raise Broken(f"{c.state} without a run")
        if (c.state == "ready") != (c.order is not None and not under_way):
            raise Broken(f"{c.state}, and an order {'waits' if c.order else 'does not wait'}")

    def _dose_count(self) -> None:
        c = self.world.bench.controller
        if c.run is None:
            return
        doses = [item for item in c.run.ahead() if item is not None and item.dose_al]
        doses = [item for item in doses if item.left()]
        square = [item for item in doses if item is c._bolus.square]
        if len(square) > 1 or len(doses) - len(square) > 1:
            raise Broken(f"{len(doses)} doses in flight")
        if doses and c.state in ("alarm", "idle", "ready"):
            raise Broken(f"a dose waits while {c.state}")

    def _account(self, name: str, accepted: bool) -> None:
        """The plunger is where the pump thinks it is; nothing is lost and nothing is too much."""
        bench = self.world.bench
        motor, run, plunger = bench.motor, bench.controller.run, self.world.plunger()
        if motor is None:
            return
        # A power cut may have kept steps from the books: test_recovery.py has how many.
        if (name == "load" and accepted) or name == "power cut" or not motor._loaded:
            self._loaded, self._loaded_at = motor.remaining_steps(), plunger
            if name == "load" and accepted and self._loaded != FILL:
                raise Broken("a syringe is not what was loaded")
        if run is not None and run.booked_in > run.ordered:
            raise Broken("more than was ordered")
        if bench.dose.active:
            return
        if motor.remaining_steps() != self._loaded - (plunger - self._loaded_at):
            raise Broken("the plunger is not where the pump thinks")
        if run is not None and run.commanded != run.witnessed:
            raise Broken("commanded and witnessed steps differ at standstill")

    def _restarted(self) -> None:
        now = self.world.bench.clock.now
        self._restarts = [at for at in self._restarts if now - at < 600 * S] + [now]
        if len(self._restarts) > _RESTARTS:
            raise Broken("restarts by itself more often than allowed")

    def ends_safely(self) -> None:
        """From here `stop` ends all motion, and a fault inside does at once. Ends the world."""
        bench = self.world.bench
        c = bench.controller
        try:
            c.stop()
            self.world.run(1 * S)
            c = self.world.bench.controller
            if self.world.bench.dose.active or c.state not in ("idle", "alarm", "kvo"):
                raise Broken(f"`stop` leaves it {c.state}")
            c.fault()
        except Broken:
            raise
        except Exception as error:
            raise Broken(f"stop raises {error!r}") from error
        if bench.dose.active or bench.pins.on:
            raise Broken("a fault inside leaves the driver on")

    # -- help ---------------------------------------------------------------------------------

    def _rate(self) -> tuple[object, int] | None:
        """Return the item under way and its rate."""
        c = self.world.bench.controller
        item = c.run.item() if c.run and not c.run.ended else None
        return None if item is None else (item, item.rate)

    def _barred(self) -> object:
        """Return what forbids to infuse, something false when nothing does."""
        pins = self.world.bench.pins
        return pins.stop or not pins.clamped or self.world.guard.codes or pins.ends

    def _backing(self) -> bool:
        sensing = self.world.bench.controller.sensing
        return sensing is not None and sensing._backing is not None
