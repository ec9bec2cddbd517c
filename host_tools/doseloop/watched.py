"""What a board file says of the things that are watched: driver chip, its heat, the supply.

Each has a section of settings and the pins that go with it. Used by `boards.py`; compiled as it
stands (`config.py`), for firmware/pump/guard.py and supply.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from doseloop.strict import Field, Fields, TomlFile

# RP2040 datasheet, 1.4.3: UART functions of the GPIOs; GPIO 26 … 29 are the ADC's.
UART_TX = (0, 4, 8, 12, 16, 20, 24, 28)
ADC = (26, 27, 28, 29)
TMC2209_HZ = 12_000_000  # its clock (datasheet, 14): TSTEP and TCOOLTHRS count it

_TMC2209: Fields = {
    "address": Field("int", "UART address: MS1 is worth 1, MS2 is worth 2", most=3),
    "run_current": Field("int", "current in motion, 32nds of full scale", least=1, most=32),
    "hold_current": Field("int", "current at rest, 32nds of full scale", least=1, most=32),
    "stall_threshold": Field("int", "SGTHRS: DIAG rises at twice that; 0 for never", most=255),
    "stall_from": Field("speed", 'microsteps/s below which no stall is seen, e.g. "6400 Hz"'),
}
_HEAT: Fields = {
    "pull_up_ohm": Field("int", "resistor to 3.3 V", least=100, most=10**6),
    "ntc_ohm_at_55": Field("int", "the NTC's resistance at 55 °C", least=10, most=10**6),
    "source": Field("text", "where that comes from"),
}
_SUPPLY: Fields = {
    "full_mv": Field("int", "supply voltage at which the ADC is full", least=1000, most=60_000),
    "low_mv": Field("int", "below it: out of range", least=1000, most=60_000),
    "external_mv": Field("int", "from here on it is external", least=1000, most=60_000),
    "high_mv": Field("int", "above it: out of range", least=1000, most=60_000),
    "source": Field("text", "where range and curve come from"),
    "curve": Field("tables", "[[supply.curve]] mv and left, falling"),
}
_POINT: Fields = {
    "mv": Field("int", "battery voltage in motion", least=1, most=60_000),
    "left": Field(
        "duration", 'how long the pump runs on, whole minutes, e.g. "30 min"', zero=True
    ),
}


@dataclass(frozen=True)
class Watched:
    """What the board has to be watched beside its pins (firmware/pump/guard.py); as compiled."""

    tmc2209: dict[str, int] | None = None
    hot_counts: int | None = None
    supply: dict[str, Any] | None = None


def read_watched(
    file: TomlFile, top: dict[str, Any], driver: dict[str, Any], gpios: dict[str, int]
) -> Watched:
    """Return the settings of what is watched; each goes with its pins."""
    for section, signals in (
        ("tmc2209", ("uart_tx", "uart_rx")),
        ("heat", ("temperature",)),
        ("supply", ("battery",)),
    ):
        for signal in signals:
            if (signal in gpios) != (top[section] is not None):
                file.fail(
                    ("pins", signal) if signal in gpios else (section,),
                    f"[{section}] and [pins.{signal}] go together",
                    next="give both or neither",
                )
    if "diag" in gpios and top["tmc2209"] is None:
        file.fail(("pins", "diag"), "DIAG needs [tmc2209]", next="add it with its UART pins")
    for signal in ("battery", "temperature"):
        if gpios.get(signal, ADC[0]) not in ADC:
            file.fail(("pins", signal, "gpio"), "no ADC input", next="GPIO 26 … 29")
    return Watched(_tmc2209(file, top, driver, gpios), _hot_counts(file, top), _supply(file, top))


def _tmc2209(
    file: TomlFile, top: dict[str, Any], driver: dict[str, Any], gpios: dict[str, int]
) -> dict[str, int] | None:
    if top["tmc2209"] is None:
        return None
    if driver["model"] != "tmc2209":
        file.fail(("tmc2209",), f"but the driver is a {driver['model']}")
    if gpios["uart_tx"] not in UART_TX:
        free = ", ".join(map(str, UART_TX))
        file.fail(("pins", "uart_tx", "gpio"), "no UART transmitter", next=f"one of GPIO {free}")
    if gpios["uart_rx"] != gpios["uart_tx"] + 1:
        number = gpios["uart_tx"] + 1
        file.fail(("pins", "uart_rx", "gpio"), "of another UART", next=f"GPIO {number}")
    row = file.table(("tmc2209",), top["tmc2209"], _TMC2209)
    microsteps: int = driver["microsteps"]
    # TSTEP is the time of 1/256 step in clocks; it must be at most TCOOLTHRS for a stall to be
    # told (datasheet, 5.3 and 11.2). A step of this rate may last 1 us longer: a tick.
    hz: int = row["stall_from"]
    clocks = -(-TMC2209_HZ * microsteps * (10**6 + hz) // (10**6 * hz * 256))
    if not 1 <= clocks < 2**20:
        file.fail(("tmc2209", "stall_from"), "beyond what TCOOLTHRS can hold")
    return {
        "address": row["address"],
        "mres": 8 - (microsteps.bit_length() - 1),  # 256 >> MRES microsteps
        "irun": row["run_current"] - 1,  # the chip's 0 is one 32nd
        "ihold": row["hold_current"] - 1,
        "tcoolthrs": clocks,
        "sgthrs": row["stall_threshold"],
    }


def _hot_counts(file: TomlFile, top: dict[str, Any]) -> int | None:
    if top["heat"] is None:
        return None
    row = file.table(("heat",), top["heat"], _HEAT)
    ntc, pull_up = row["ntc_ohm_at_55"], row["pull_up_ohm"]
    # The hotter, the lower the reading: rounded up, so that 55 °C itself is hot.
    counts = -(-65535 * ntc // (ntc + pull_up))
    if not 3_000 <= counts <= 60_000:
        file.fail(
            ("heat", "pull_up_ohm"), "too far from the NTC's resistance", next=f"about {ntc} ohm"
        )
    return counts


def _supply(file: TomlFile, top: dict[str, Any]) -> dict[str, Any] | None:
    if top["supply"] is None:
        return None
    row = file.table(("supply",), top["supply"], _SUPPLY)
    names = ("low_mv", "external_mv", "high_mv", "full_mv")
    for below, above in pairwise(names):
        if row[below] >= row[above]:
            file.fail(("supply", below), f"not below {above}")
    curve: list[list[int]] = []
    for i, raw in enumerate(row["curve"]):
        point = file.table(("supply", "curve", i), raw, _POINT)
        if point["left"] % 60_000:
            file.fail(("supply", "curve", i, "left"), "not in whole minutes")
        curve.append([point["mv"], point["left"] // 60_000])
        if i and not all(new < old for new, old in zip(curve[-1], curve[-2], strict=True)):
            file.fail(("supply", "curve", i), "must fall in mv and left")
    if not 2 <= len(curve) <= 20 or curve[-1][1] != 0:
        file.fail(("supply", "curve"), "needs 2 … 20 points, the last with 0 min left")
    if not row["low_mv"] <= curve[-1][0] <= curve[0][0] < row["external_mv"]:
        file.fail(("supply", "curve"), "must lie between low_mv and external_mv")
    return {**{name: row[name] for name in names}, "curve": curve}
