"""The rules that every path must keep, told from outside: by steps, pins, and who did what.

They do not ask the firmware whether it may move; they keep their own account of that.
"""

from __future__ import annotations

from unit.firmware.modes.world import AL, CONFIG, EVENTS, FILL, LOCKOUT_MS, MS, PERSON, S, World

from doseloop import resources

states = resources.firmware_module("states")

_TICK_HZ = 10**6
_RATE_MAX = CONFIG["limits"]["rate_max_al_per_h"]
_LEAST_GAP = AL * 3600 * _TICK_HZ // _RATE_MAX - 1  # ticks between steps at the fastest rate
_HOLD_MS = 300
_RESTARTS = 1  # in any 10 min, by the board file


class Broken(Exception):  # noqa: N818 - it is a finding, not an error
    """A rule does not hold."""


class Watch:
    """Makes events happen to a world and looks at the rules after each."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.may_move = False  # a person has begun something, and nothing has ended it
        self._ended_by = ""
        self._edges = 0
        self._restarts: list[int] = []
        self._held: int | None = None  # when a held bolus was last asked for
        self._doses: list[int] = []  # when demands were granted
        self._loaded = FILL if world.configured else None  # remaining steps, at ...
        self._loaded_at = world.plunger()

    def do(self, name: str) -> None:
        """Let an event happen and look at the rules. Raise Broken."""
        world = self.world
        before, boots = world.bench, world.boots
        c = before.controller
        began, last_event = before.clock.now, before.events.last
        may, state, rate = self.may_move, c.state, self._rate()
        moving = before.dose.active
        backing = c.sensing is not None and c.sensing._backing is not None
        order = c.order
        try:
            refused = world.do(name)
        except Exception as error:
            raise Broken(f"{name} raises {error!r}") from error
        accepted = refused is None
        reset = world.boots != boots
        if name in ("start another", "confirm another", "load too much", "both") and accepted:
            raise Broken(f"{name} is accepted")
        told = [] if reset else [e["e"] for e in world.bench.events.since(last_event, 10**6)]
        if accepted and name in PERSON and name != "press":
            may = True
        if name == "press" and ("bolus" in told or self._granted(told)):
            may = True
        restarts = told.count("restart")
        if restarts:
            self._restarted(restarts)
            may = True
        self._edges_of(name, may or self.may_move, moving, backing or "backoff" in told)
        self._hold_rule(name, accepted)
        self._demand_rule(name, accepted, told, began)
        self._ends(name, accepted, told, reset, may)
        self._now(name, state, rate, accepted, reset, order)

    # -- one rule each ------------------------------------------------------------------------

    def _edges_of(self, name: str, may: bool, moving: bool, backs: bool) -> None:
        dose, edges = self.world.bench.dose, self._all_edges()
        new = edges[self._edges :]
        self._edges = len(edges)
        if any(way > 0 for _, way in new) and not may:
            raise Broken(f"steps after {self._ended_by or 'power-on'}, begun by nobody")
        if any(way < 0 for _, way in new) and not backs and not self._backing():
            raise Broken("the plunger is drawn back, and no order says so")
        gaps = [b - a for (a, one), (b, two) in zip(new, new[1:], strict=False) if one == two]
        if any(0 < gap < _LEAST_GAP for gap in gaps):
            raise Broken(f"faster than the limit: {min(gaps)} ticks between two steps")
        del dose, name, moving

    def _hold_rule(self, name: str, accepted: bool) -> None:
        c, now = self.world.bench.controller, self.world.bench.clock.now
        if name == "hold" and accepted:
            self._held = now
        elif c.state != "bolus" or name == "start":
            self._held = None
        elif self._held is not None:
            late = now - self._held > (_HOLD_MS + 20) * MS
            if late and c.state == "bolus" and self.world.bench.dose.active:
                raise Broken("a held bolus goes on without being held")

    def _demand_rule(self, name: str, accepted: bool, told: list[str], began: int) -> None:
        given = "bolus" in told and name in ("demand", "press")
        if not given:
            return
        if self._doses and began - self._doses[-1] < LOCKOUT_MS * MS - 200 * MS:
            raise Broken("a dose within the lockout")
        self._doses.append(began)
        del accepted

    def _ends(self, name: str, accepted: bool, told: list[str], reset: bool, may: bool) -> None:
        c = self.world.bench.controller
        self.may_move = may
        ended = None
        if reset:
            ended, self._doses, self._held = name, [], None
            self._restarts = []
        elif name in ("pause", "stop") and accepted:
            ended = name
        elif c.state == "alarm":
            ended = "an alarm that stops"
        elif told and told[-1] in ("end", "stop") and not c.motor.moving:
            ended = "the end of the run"
        elif c.state in ("idle", "ready"):
            ended = "its end"
        if ended is not None:
            self.may_move, self._ended_by = False, ended
        if self._restart_waits():
            self.may_move = self.may_move  # by itself: looked at where it begins

    def _now(self, name: str, state: str, rate: int | None, accepted: bool, reset: bool, order: object) -> None:
        bench = self.world.bench
        c, pins, dose = bench.controller, bench.pins, bench.dose
        if dose.active and not states.moving(c.state) and not self._backing():
            raise Broken(f"the motor turns while {c.state}")
        if dose.active and c.state in ("alarm", "idle", "ready", "paused", "interrupted") and not self._backing():
            raise Broken(f"the motor turns while {c.state}")
        if c.state in ("alarm", "idle") and not dose.active and pins.on:
            raise Broken(f"the driver is on while {c.state}")
        if bench.alarms.stopping() and c.state != "alarm":
            raise Broken(f"{bench.alarms.stopping()} stands while {c.state}")
        if c.state == "ready" and c.run is not None and not c.run.ended:
            raise Broken("an order waits while another run is under way")
        if name == "maintenance" and accepted and (dose.active or (c.run and not c.run.ended)):
            raise Broken("handed over in a run")
        if name != "confirm" and not reset and state == c.state and rate != self._rate() is not None:
            raise Broken("another rate, and nobody has confirmed it")
        self._doses_in_flight()
        self._account(name, accepted)
        del order

    def _doses_in_flight(self) -> None:
        c = self.world.bench.controller
        if c.run is None:
            return
        items = [item for item in c.run.ahead() if item is not None and item.dose_al and item.left()]
        square = [item for item in items if item is c._bolus.square]
        if len(items) - len(square) > 1 or len(square) > 1 or len(items) > 2:
            raise Broken(f"{len(items)} doses in flight")
        if items and c.state in ("alarm", "idle", "ready"):
            raise Broken(f"a dose waits while {c.state}")

    def _account(self, name: str, accepted: bool) -> None:
        bench = self.world.bench
        if self._loaded is None or bench.motor is None:
            return
        # A power cut may have kept steps from the books: test_recovery.py has how many.
        if (name == "load" and accepted) or name == "power cut" or not bench.motor._loaded:
            self._loaded = bench.motor.remaining_steps()
            self._loaded_at = self.world.plunger()
            if name == "load" and accepted and self._loaded != FILL:
                raise Broken("a syringe is not what was loaded")
        if not bench.dose.active:
            if bench.motor.remaining_steps() != self._loaded - (self.world.plunger() - self._loaded_at):
                raise Broken("the plunger is not where the pump thinks")
            run = c_run(bench)
            if run is not None and run.commanded != run.witnessed:
                raise Broken("commanded and witnessed steps differ at standstill")
        run = c_run(bench)
        if run is not None and run.booked_in > run.ordered:
            raise Broken("more than was ordered")

    def _restarted(self, count: int) -> None:
        now = self.world.bench.clock.now
        self._restarts = [at for at in self._restarts if now - at < 600 * S] + [now] * count
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

    def _rate(self) -> int | None:
        c = self.world.bench.controller
        item = c.run.item() if c.run and not c.run.ended else None
        return item.rate if item is not None and item.kind in ("infuse", "basal") else None

    def _backing(self) -> bool:
        sensing = self.world.bench.controller.sensing
        return sensing is not None and sensing._backing is not None

    def _restart_waits(self) -> bool:
        sensing = self.world.bench.controller.sensing
        return sensing is not None and sensing._restart.due_ms is not None

    @staticmethod
    def _granted(told: list[str]) -> bool:
        return "bolus" in told

    def _all_edges(self) -> list[tuple[int, int]]:
        bench = self.world.bench
        edges: list[tuple[int, int]] = list(bench.dose.edges)
        if bench.dose.active:
            bench.dose._count()
            edges += [(at, bench.pins.way) for at in bench.dose._plan[: bench.dose.seen]]
        return edges


def c_run(bench: object) -> object:
    return bench.controller.run


_ = EVENTS
