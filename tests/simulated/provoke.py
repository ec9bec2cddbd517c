"""How each alarm is provoked on the simulated board: one row a code, used by test_alarms.py.

A row is called with a held bench whose syringe was loaded; when it returns, its alarm stands and
is the highest. It may let time pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench import Bench, seal_order
from oracle import ML

SECOND = 1_000_000
MINUTE = 60 * SECOND


def _run(bench: Bench) -> None:
    """Infuse 5 mL/h, for hours."""
    bench.pump.infuse(volume_al=20 * ML, rate_al_per_h=5 * ML)
    bench.pump.start()
    bench.advance(3 * SECOND)


def _fault(name: str, seconds: float = 2) -> Callable[[Bench], None]:
    def provoke(bench: Bench) -> None:
        _run(bench)
        bench.control(f"fault {name}")
        bench.advance(int(seconds * SECOND))

    return provoke


def _order(bench: Bench, steps: list[dict[str, Any]], **top: Any) -> None:
    bench.pump.order(seal_order(steps, **top))
    bench.pump.start()


def _empty(bench: Bench) -> None:
    step = {"mode": "infuse", "volume_al": ML, "rate_al_per_h": 600 * ML}
    _order(bench, [step], fill_al=ML // 10)
    bench.advance(3 * SECOND)


def _full(bench: Bench) -> None:
    step = {"mode": "withdraw", "volume_al": 12 * ML, "rate_al_per_h": 600 * ML}
    _order(bench, [step], fill_al=50 * ML - ML // 10)
    bench.advance(5 * SECOND)


def _near_empty(bench: Bench) -> None:
    bench.pump.load(ML // 2)
    bench.pump.infuse(volume_al=ML // 2 - ML // 100, rate_al_per_h=5 * ML)
    bench.pump.start()
    bench.advance(3 * SECOND)


def _link(bench: Bench) -> None:
    step = {"mode": "infuse", "volume_al": ML, "rate_al_per_h": ML}
    _order(bench, [step], fill_al=40 * ML, on_link_loss={"stop_ms": 2000})
    bench.advance(4 * SECOND)


def _reset(bench: Bench) -> None:
    _run(bench)
    bench.control("power cut")
    bench.advance(SECOND)


def _limit(bench: Bench) -> None:
    step = {
        "mode": "pca", "basal_al_per_h": ML, "dose_al": ML, "dose_rate_al_per_h": 60 * ML,
        "lockout_ms": 360_000, "limit_1h_al": 2 * ML, "duration_ms": 8 * 3_600_000,
    }  # fmt: skip
    _order(bench, [step], fill_al=40 * ML)
    bench.advance(SECOND)
    for _ in range(2):
        bench.pump.demand()
        bench.advance(7 * MINUTE)


def _paused(bench: Bench) -> None:
    _run(bench)
    bench.pump.pause()
    bench.advance(2 * MINUTE + 5 * SECOND)


def _planned(minutes: int) -> Callable[[Bench], None]:
    def provoke(bench: Bench) -> None:
        bench.pump.infuse(volume_al=ML, rate_al_per_h=ML)
        bench.advance(minutes * MINUTE + 5 * SECOND)

    return provoke


def _change(minutes: int) -> Callable[[Bench], None]:
    def provoke(bench: Bench) -> None:
        _run(bench)
        bench.pump.propose_rate(6 * ML)
        bench.advance(minutes * MINUTE + 5 * SECOND)

    return provoke


def _button(bench: Bench) -> None:
    bench.control("fault button_stuck")
    bench.advance(63 * SECOND)


def _stop_held(bench: Bench) -> None:
    bench.control("fault open_wire")
    bench.advance(66 * SECOND)


def _signal(bench: Bench) -> None:
    bench.pump.alarm_test()
    bench.advance(7 * SECOND)
    bench.pump.alarm_noticed(sound=True, lamp=False)
    bench.advance(SECOND)


def _stall(bench: Bench) -> None:
    bench.infuse(200_000, 10_000)  # so fast that the driver sees it
    bench.advance(2 * SECOND)
    bench.control("fault stall")
    bench.advance(SECOND)


def _closed(bench: Bench) -> None:
    bench.pump.infuse(volume_al=20 * ML, rate_al_per_h=60 * ML)
    bench.pump.start()
    bench.advance(20 * SECOND)
    bench.control("fault occlusion")


def _occlusion(bench: Bench) -> None:
    _closed(bench)
    bench.advance(3 * MINUTE)  # 16 uL/kPa, 60 kPa: a minute; and it has backed off


def _repeated(bench: Bench) -> None:
    _closed(bench)
    for nth in range(3):
        if nth:
            bench.pump.clear()
            bench.pump.resume()
        bench.advance(3 * MINUTE)


def _disconnect(bench: Bench) -> None:
    bench.control("line back_pressure_pa 13332")
    _run(bench)
    bench.advance(10 * MINUTE)
    bench.control("fault disconnect")
    bench.advance(5 * SECOND)


def _force(bench: Bench) -> None:
    bench.control("line back_pressure_pa -50000")  # the plunger hangs on its pusher
    _run(bench)
    bench.advance(5 * SECOND)


def _leap(bench: Bench) -> None:
    _run(bench)
    bench.advance(MINUTE)
    bench.control("line back_pressure_pa 30000")
    bench.advance(5 * SECOND)


ROWS: dict[str, Callable[[Bench], None]] = {
    "A_DRIFT": _fault("step_lost 20", 20),
    "A_UNDERRUN": _fault("irq_off 0.9"),
    "A_TICK": _fault("tick_dead"),
    "A_LEASE": _fault("main_hang 5", 8),
    "A_FAULT": _fault("main_exception"),
    "A_STOP_INPUT": _fault("open_wire"),
    "A_END_SWITCH": _fault("end_switch front"),
    "A_OCCLUSION": _occlusion,
    "A_REPEATED": _repeated,
    "A_DISCONNECT": _disconnect,
    "A_FORCE": _force,
    "A_LEAP": _leap,
    "A_ENDS": _fault("end_switch"),
    "A_SYRINGE_OUT": _fault("syringe_out"),
    "A_STALL": _stall,
    "A_DRIVER": _fault("driver silent", 15),
    "A_HOT": _fault("overtemp", 60),
    "A_SUPPLY": _fault("supply 8400", 40),
    "A_BATTERY_END": _fault("battery 6", 120),
    "A_BATTERY": _fault("battery 33", 120),
    "A_EMPTY": _empty,
    "A_FULL": _full,
    "A_LINK": _link,
    "A_RESET": _reset,
    "A_BUTTON": _button,
    "A_STOP_HELD": _stop_held,
    "A_STANDBY": _planned(60),
    "A_WAITING": _planned(15),
    "A_PAUSED": _paused,
    "A_CHANGE": _change(5),
    "A_CHANGE_LOST": _change(10),
    "A_SIGNAL": _signal,
    "A_STORE": _fault("flash_fail", 130),
    "A_LIMIT": _limit,
    "A_NEAR_EMPTY": _near_empty,
}

# What ends the cause, where clearing takes more than `clear`.
END_CAUSE: dict[str, str] = {
    "A_STOP_INPUT": "clear open_wire",
    "A_STOP_HELD": "clear open_wire",
    "A_BUTTON": "clear button_stuck",
    "A_END_SWITCH": "clear end_switch",
    "A_STORE": "clear flash_fail",
    "A_OCCLUSION": "clear occlusion",
    "A_REPEATED": "clear occlusion",
    "A_DISCONNECT": "clear disconnect",
    "A_FORCE": "line back_pressure_pa 0",
    "A_ENDS": "clear end_switch",
    "A_SYRINGE_OUT": "clear syringe_out",
    "A_STALL": "clear stall",
    "A_DRIVER": "clear driver",
    "A_HOT": "clear overtemp",
    "A_SUPPLY": "clear supply",
    "A_BATTERY_END": "clear battery",
    "A_BATTERY": "clear battery",
}
