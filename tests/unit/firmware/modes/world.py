"""The pump as the model checker sees it: real firmware, a small syringe, and all that can happen.

An event is what a person, a host, the hardware or time does; names are in EVENTS. The firmware is
the one that ships, on CPython, over ``bench.PlayedDose``; nothing of its behaviour is modelled
here but its surroundings: inputs, a line that may be blocked, a guard that may see a fault.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from unit.firmware.bench import Bench, Button, compiled, configuration, errors, tick

from doseloop import resources

# Held, so that what is borrowed is not read anew each time.
for _name in ("starting", "changes", "checks", "backoff", "attended", "threshold", "restart",
              "pending", "next_steps"):  # fmt: skip
    resources.firmware_module(_name)
occlusion = resources.firmware_module("occlusion")
states = resources.firmware_module("states")

ML, MS, S = 10**15, 1_000, 1_000_000
CONFIG = configuration(backlash_steps=0)
CONFIG["force"].update(occlusion_pa=60_000, auto_restart=1)
CONFIG["motion"].update(pull_in_hz=150, accel_hz_per_s=2_000)
AL = CONFIG["motion"]["al_per_step"]
RATE = 100 * 3600 * AL  # 100 steps/s
CONFIG["limits"]["rate_max_al_per_h"] = 8 * RATE
THRESHOLD = CONFIG["force"]["occlusion_pa"]
FILL = 4000  # steps in the syringe
LOCKOUT_MS = 1_500
HOUR_AL = 100 * AL  # what the doses of a patient's order may come to in an hour
_BASAL = RATE // 500


def _infuse(steps: int, rate: int = RATE, mode: str = "infuse") -> dict[str, Any]:
    return {"mode": mode, "volume_al": steps * AL, "rate_al_per_h": rate}


_ORDERS = {
    "infusion": compiled([_infuse(200)], CONFIG, kvo=RATE // 10, stop_ms=5_000),
    "fast": compiled([_infuse(900, 3 * RATE)], CONFIG),
    "long": compiled([_infuse(2_600, RATE // 5)], CONFIG),
    "pauses": compiled(
        [_infuse(40), {"mode": "pause", "duration_ms": 1_000}, _infuse(40)], CONFIG
    ),
    "held": compiled([_infuse(150, mode="bolus")], CONFIG),
    "prime": compiled([_infuse(150, mode="prime")], CONFIG, kvo=RATE // 10),
    "pca": compiled(
        [
            {
                "mode": "pca", "basal_al_per_h": _BASAL, "dose_al": 40 * AL,
                "dose_rate_al_per_h": RATE, "lockout_ms": LOCKOUT_MS,
                "limit_1h_al": _BASAL + HOUR_AL, "limit_4h_al": 10**7 * AL,
                "duration_ms": 3_600_000,
            }
        ],
        CONFIG,
    ),
}  # fmt: skip


class Line:
    """The force sensor: nothing is felt until the line is blocked; then each step adds to it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.blocked_at: int | None = None

    def read(self) -> int:
        force, pa, way = CONFIG["force"], 0, 0
        if self._world.bench.dose.active:
            way = self._world.bench.pins.way
        if self.blocked_at is not None:
            pa = max(0, self._world.plunger() - self.blocked_at) * THRESHOLD // 100
        force_mn = pa * force["area_um2"] // 10**9 + way * force["friction_mn"]
        return force["zero"] + force_mn * force["gain_num"] // (1000 * force["gain_den"])


class Guard:
    """guard.Guard as the controller has it; ``codes`` are set by an event."""

    codes: tuple[str, ...] = ()
    why = None

    def look(self, motor: Any) -> tuple[str, ...]:
        return self.codes

    def ready(self) -> tuple[str | None, str | None]:
        return (self.codes[0] if self.codes else None), None

    def stalled(self) -> str:
        return "A_STALL"


class World:
    """One pump and its surroundings, from the first power-on."""

    def __init__(self, configured: bool = True) -> None:
        self.bench = Bench(CONFIG if configured else None)
        self.configured = configured
        self.line = Line(self)
        self.guard = Guard()
        self.boots = 1
        self.proposed: str | None = None
        self._furnish(False)
        if configured:
            self.bench.controller.load(FILL * AL)

    def _furnish(self, down: bool) -> None:
        bench = self.bench
        c = bench.controller
        c.guard = self.guard
        c.button = Button(bench.clock, down)
        if self.configured:
            c.sensing = occlusion.Sensing(
                bench.clock, bench.events, bench.alarms, self.line, CONFIG
            )

    def plunger(self) -> int:
        """Return where the plunger is, by the steps that were really made."""
        dose = self.bench.dose
        if dose.active:
            dose._count()
        made = sum(way for _, way in dose.edges)
        return made + (dose.seen * self.bench.pins.way if dose.active else 0)

    # -- what happens -------------------------------------------------------------------------

    def do(self, name: str) -> str | None:
        """Let an event happen; return the code of a refusal. All else it raises is a fault."""
        code = None
        try:
            EVENTS[name](self)
        except errors.Refused as refused:
            code = refused.code
        self.bench.controller.service()  # as in every pass of the main loop
        return code

    def run(self, us: int) -> None:
        self.bench.run_to(self.bench.clock.now + us)

    def hit(self, flag: int, bits: int = 1) -> None:
        """An input ends the motion, as the hardware does, before any software knows."""
        dose = self.bench.dose
        if dose.active:
            dose._count()
            dose._plan = dose._plan[: dose.seen]
            dose.made = dose.seen
            dose.flags |= flag
            dose.bits = bits

    def reset(self, power_lost: bool) -> None:
        if not self.configured:
            return
        old = self.bench
        self.boots += 1
        self.bench = old.reboot(power_lost, CONFIG)
        for name in ("stop", "ends", "clamped"):
            setattr(self.bench.pins, name, getattr(old.pins, name))
        self._furnish(old.controller.button.down)
        self.proposed = None


def _plan(name: str) -> Callable[[World], None]:
    return lambda w: w.bench.controller.plan(copy.copy(_ORDERS[name]), name in ("held", "prime"))


def _propose(w: World) -> None:
    w.proposed = w.bench.controller.propose_rate(RATE * 2)["digest"]


def _reconfigure(w: World) -> None:
    w.bench.controller.may_plan()
    w.bench.build(CONFIG)


def _press(w: World) -> None:
    w.bench.controller.button.set(True)
    w.run(100 * MS)
    w.bench.controller.button.set(False)
    w.run(100 * MS)


def _maintenance(w: World) -> None:
    # As root.App.maintenance().
    if not states.answers(w.bench.controller.state, "maintenance"):
        raise errors.Refused("E_STATE", "")


def _set(attribute: str, value: Any, flag: int = 0, bits: int = 1) -> Callable[[World], None]:
    def act(w: World) -> None:
        setattr(w.bench.pins, attribute, value)
        if flag:
            w.hit(flag, bits)
        w.run(50 * MS)

    return act


def _flag(flag: int) -> Callable[[World], None]:
    def act(w: World) -> None:
        w.hit(flag)
        w.run(50 * MS)

    return act


def _damaged(w: World) -> None:
    """The record of what the patient was given can't be read, and a reset."""
    files = w.bench.storage.files
    for name in files:
        if name.startswith("pca"):
            files[name] = "x"
    w.reset(False)


def _silent(w: World) -> None:
    if w.bench.controller.silent_since_matters():
        w.bench.controller.link_lost(10**7)
    w.run(50 * MS)


def _block(w: World) -> None:
    w.line.blocked_at = w.plunger()
    w.run(50 * MS)


def _free(w: World) -> None:
    w.line.blocked_at = None
    w.run(10 * MS)


def _guard(codes: tuple[str, ...]) -> Callable[[World], None]:
    def act(w: World) -> None:
        w.guard.codes = codes
        w.run(50 * MS)

    return act


PERSON = ("start", "resume", "hold", "bolus_now", "square", "demand", "press")  # may begin motion

EVENTS: dict[str, Callable[[World], Any]] = {
    **{f"plan {name}": _plan(name) for name in _ORDERS},
    "plan": lambda w: w.bench.controller.plan_view(),
    "configure": _reconfigure,
    "start": lambda w: w.bench.controller.start(),
    "start another": lambda w: w.bench.controller.start("00000000"),
    "pause": lambda w: w.bench.controller.pause(),
    "resume": lambda w: w.bench.controller.resume(),
    "stop": lambda w: w.bench.controller.stop(),
    "rate": _propose,
    "confirm": lambda w: w.bench.controller.pending.confirm(w.proposed or "00000000"),
    "confirm another": lambda w: w.bench.controller.pending.confirm("11111111"),
    "hold": lambda w: w.bench.controller.hold(),
    "bolus_now": lambda w: w.bench.controller.bolus_now(30 * AL, RATE),
    "square": lambda w: w.bench.controller.bolus_now(60 * AL, None, 60_000),
    "both": lambda w: w.bench.controller.bolus_now(60 * AL, RATE, 60_000),
    "demand": lambda w: w.bench.controller.demand(),
    "pca": lambda w: w.bench.controller.pca(),
    "load": lambda w: w.bench.controller.load(FILL * AL),
    "load too much": lambda w: w.bench.controller.load(10**20),
    "clear": lambda w: w.bench.controller.clear(),
    "occlusion": lambda w: w.bench.controller.occlusion(None),
    "maintenance": _maintenance,
    "press": _press,
    "50 ms": lambda w: w.run(50 * MS),
    "0.2 s": lambda w: w.run(200 * MS),
    "3 s": lambda w: w.run(3 * S),
    "host silent": _silent,
    "break": lambda w: (w.bench.dose.send_break(), w.run(50 * MS)),
    "stop opens": _set("stop", True, tick.F_STOP),
    "stop closes": _set("stop", False),
    "end hit": _set("ends", {1}, tick.F_END),
    "end left": _set("ends", set()),
    "clamp opens": _set("clamped", False, tick.F_END, 2),
    "clamp closes": _set("clamped", True),
    "stall": lambda w: (w.hit(tick.F_END, 4), w.run(50 * MS)),
    "steps drift": _flag(tick.F_DRIFT),
    "lease ends": _flag(tick.F_LEASE),
    "line blocked": _block,
    "line free": _free,
    "driver fails": _guard(("A_DRIVER",)),
    "driver well": _guard(()),
    "another board": lambda w: setattr(w.bench.controller, "reset_due", True),
    "library damaged": lambda w: setattr(w.bench.controller, "library_fault", "damaged"),
    "history damaged": _damaged,
    "exception": lambda w: w.bench.controller.fault(),
    "reset": lambda w: w.reset(False),
    "power cut": lambda w: w.reset(True),
}
