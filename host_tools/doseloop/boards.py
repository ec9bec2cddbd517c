"""Board files: which GPIO goes where, which driver, which mechanism (boards/*.toml).

Strict: a typing error, a pin used twice or a mechanism that can't work is a `FileError` that
names file, line, key and remedy. Compiled together with a syringe by `config.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

from doseloop import force_sensor, quantities, resources
from doseloop.errors import UsageError
from doseloop.strict import Field, Fields, TomlFile
from doseloop.watched import Watched, read_watched

CODE = "E_CONFIG"

# What the step program makes (firmware/pump/hal/step_generator.py) and the device accepts
# (firmware/pump/config.py): STEP is high for 2 µs, at most 200,000 times a second.
STEP_HIGH_NS = 2_000
MAX_HZ = 200_000

# GPIOs a user can wire. On a Pico 23, 24, 25 and 29 serve the board itself (regulator mode,
# VBUS sense, LED, VSYS measurement): Pico datasheet, "Pico pinout and design files".
CONTROLLERS = {
    "pico": frozenset({*range(23), 26, 27, 28}),
    "rp2040": frozenset(range(30)),
}


@dataclass(frozen=True)
class Driver:
    """What a step/direction driver can do with its pins alone (no UART or SPI set-up)."""

    microsteps: tuple[int, ...]
    step_high_ns: int  # shortest STEP pulse of its datasheet
    source: str


DRIVERS = {
    "tmc2209": Driver((8, 16, 32, 64), 100, "TMC2209 datasheet, MS1/MS2 table and STEP timing"),
    "a4988": Driver((1, 2, 4, 8, 16), 1_000, "A4988 datasheet, MS1/MS2/MS3 table and STEP timing"),
}

_TOP: Fields = {
    "schema": Field("int", "schema = 1", least=1, most=1),
    "name": Field("text", "the file's name without .toml"),
    "title": Field("text", "what it is, for people"),
    "source": Field("text", "where pin numbers and mechanism come from"),
    "controller": Field("word", "pico or rp2040", words=tuple(CONTROLLERS)),
    "driver": Field("table", "[driver]"),
    "mechanism": Field("table", "[mechanism]"),
    "inputs": Field("table", "[inputs]"),
    "alarms": Field("table", "[alarms]"),
    "tmc2209": Field("table", "[tmc2209]: settings by UART", required=False),
    "heat": Field("table", "[heat]: the driver's temperature sensor", required=False),
    "supply": Field("table", "[supply]: battery and external supply", required=False),
    "force": Field("table", "[force]: a sensor behind the plunger", required=False),
    "pins": Field("table", "[pins.step], [pins.dir] …"),
    "reserved": Field("table", "[reserved]: pins the board itself needs", required=False),
}
_DRIVER: Fields = {
    "model": Field("word", "the driver chip", words=tuple(DRIVERS)),
    "microsteps": Field("int", "microsteps a full step, as its pins select", least=1, most=256),
    "step_high": Field("pulse", 'shortest STEP pulse it accepts, e.g. "100 ns"'),
    "enable_active": Field("word", "level that powers the motor", words=("low", "high")),
    "dir_infuse": Field("word", "DIR level that infuses", words=("low", "high")),
}
_MECHANISM: Fields = {
    "full_steps": Field("int", "full steps a motor turn", least=4, most=1000),
    "gear": Field("text", 'motor turns : screw turns, e.g. "1:1"'),
    "lead": Field("length", 'plunger travel a screw turn, e.g. "2 mm"'),
    "backlash": Field("length", 'lost travel on reversal, e.g. "20 um"', zero=True),
    "pull_in": Field("speed", 'rate the motor starts at from rest, e.g. "1000 Hz"'),
    "max_rate": Field("speed", 'fastest step rate, e.g. "20000 Hz"'),
    "acceleration": Field("acceleration", 'ramp, e.g. "20000 Hz/s"', zero=True),
    "take_up": Field("speed", 'rate of the backlash take-up, e.g. "500 Hz"'),
}
_INPUTS: Fields = {
    "stop_pull": Field("word", "pull resistor of the stop input", words=("up",)),
    "end_open": Field("word", "level of a hit or cut end switch", words=("low", "high")),
    "bolus_pressed": Field(
        "word",
        "level while the bolus button is down: low if it is normally open to ground",
        words=("low", "high"),
        required=False,
    ),
}
_ALARMS: Fields = {
    "near_empty": Field("duration", 'warning time, e.g. "10 min"'),
    "paused": Field("duration", 'reminder of a paused run, "2 min" unless set', required=False),
    "waiting": Field("duration", 'reminder of a planned order, "15 min"', required=False),
    "standby": Field("duration", 'alarm of either, "1 h" unless set', required=False),
}
# What firmware/pump/config.py takes; the upper ones are GIP 2.2.1 and IEC 60601-2-24 51.108.
_REMINDERS_MS = {
    "paused": (1_000, 900_000),
    "waiting": (1_000, 900_000),
    "standby": (1_000, 3_600_000),
}
_PIN: Fields = {
    "gpio": Field("int", "GPIO number", most=29),
    "to": Field("text", "what the wire goes to"),
    "note": Field("text", "what to mind", required=False),
}
_SIGNALS: Fields = {
    "step": Field("table", "STEP of the driver"),
    "dir": Field("table", "DIR of the driver"),
    "enable": Field("table", "enable of the driver", required=False),
    "witness": Field("table", "counts the edges on STEP: a wire from the step pin"),
    "stop": Field("table", "normally closed stop button to ground"),
    "end_front": Field("table", "normally closed end switch, syringe empty", required=False),
    "end_back": Field("table", "normally closed end switch, fully drawn", required=False),
    "bolus": Field("table", "the patient's bolus button", required=False),
    "clamp": Field("table", "normally closed contact of the syringe clamp", required=False),
    "diag": Field("table", "DIAG of a TMC2209", required=False),
    "uart_tx": Field("table", "UART of a TMC2209, transmit", required=False),
    "uart_rx": Field("table", "UART of a TMC2209, receive", required=False),
    "battery": Field("table", "supply voltage behind a divider (ADC)", required=False),
    "temperature": Field("table", "NTC at the driver, to ground (ADC)", required=False),
    "buzzer": Field("table", "buzzer without a tone of its own", required=False),
    "lamp_red": Field("table", "red lamp: high-priority alarms", required=False),
    "lamp_yellow": Field("table", "yellow lamp, on the GPIO after the red one's", required=False),
    "force": Field("table", "the force sensor's amplifier", required=False),
}


@dataclass(frozen=True)
class Pin:
    """One wire: signal name, GPIO number, where it goes, what to mind."""

    signal: str
    gpio: int
    to: str
    note: str | None


@dataclass(frozen=True)
class Board:
    """A checked board. Lengths in nm, rates in Hz (microsteps/s), times in ms."""

    name: str
    title: str
    source: str
    controller: str
    driver: str
    microsteps: int
    enable_active: int
    dir_infuse: int
    full_steps: int
    gear: Fraction
    lead_nm: int
    backlash_nm: int
    pull_in_hz: int
    max_hz: int
    accel_hz_per_s: int
    take_up_hz: int
    stop_pull: str
    end_open: int
    bolus_pressed: int | None  # None: no bolus button
    near_empty_ms: int
    reminders_ms: dict[str, int]  # paused, waiting, standby, as far as the file sets them
    pins: tuple[Pin, ...]
    reserved: tuple[tuple[int, str], ...]
    watched: Watched
    force: force_sensor.Force | None = None

    @property
    def microstep_nm(self) -> Fraction:
        """Plunger travel of one microstep, nm, exact."""
        return Fraction(self.lead_nm) / (self.full_steps * self.microsteps * self.gear)

    @property
    def backlash_steps(self) -> int:
        """Microsteps that take up the backlash, rounded up: too few would book lost travel."""
        return -(-self.backlash_nm // self.microstep_nm)

    def gpio(self, signal: str) -> int | None:
        """Return the GPIO number of `signal`, None if this board has no such wire."""
        return next((pin.gpio for pin in self.pins if pin.signal == signal), None)


def board_names() -> list[str]:
    """Return the names of the boards that come with Doseloop."""
    names = (path.stem for path in resources.boards_root().glob("*.toml"))
    return sorted(name for name in names if name != "syringes")


def find_board(name: str) -> Board:
    """Return the board called `name`, or the one in the file `name` if it ends in .toml.

    Raises `UsageError` for a name nobody knows, `FileError` for a bad file.
    """
    if name.endswith(".toml"):
        return load_board(Path(name))
    if name not in board_names():
        raise UsageError(
            f"no board is called '{name}'; known: {', '.join(board_names())}",
            code="E_BOARD",
            next="name one of them, or a file: --board path/to/board.toml",
        )
    return load_board(resources.boards_root() / f"{name}.toml")


def load_board(path: Path) -> Board:
    """Return the checked board in `path`. Raises `FileError`."""
    file = TomlFile(path, CODE)
    top = file.table((), file.data, _TOP)
    if top["name"] != path.stem:
        file.fail(
            ("name",), f"'{top['name']}' in a file called {path.name}", next="make them equal"
        )
    driver = file.table(("driver",), top["driver"], _DRIVER)
    mechanism = file.table(("mechanism",), top["mechanism"], _MECHANISM)
    inputs = file.table(("inputs",), top["inputs"], _INPUTS)
    alarms = file.table(("alarms",), top["alarms"], _ALARMS)
    pins, reserved = _wires(file, top)
    _check_button(file, inputs, pins)
    _check_signals(file, pins)
    _check_driver(file, driver)
    gear = _ratio(file, mechanism["gear"])
    force_pin = next((pin.gpio for pin in pins if pin.signal == "force"), None)
    _check_mechanism(file, mechanism)
    return Board(
        name=top["name"],
        title=top["title"],
        source=top["source"],
        controller=top["controller"],
        driver=driver["model"],
        microsteps=driver["microsteps"],
        enable_active=int(driver["enable_active"] == "high"),
        dir_infuse=int(driver["dir_infuse"] == "high"),
        full_steps=mechanism["full_steps"],
        gear=gear,
        lead_nm=mechanism["lead"],
        backlash_nm=mechanism["backlash"],
        pull_in_hz=mechanism["pull_in"],
        max_hz=mechanism["max_rate"],
        accel_hz_per_s=mechanism["acceleration"],
        take_up_hz=mechanism["take_up"],
        stop_pull=inputs["stop_pull"],
        end_open=int(inputs["end_open"] == "high"),
        bolus_pressed=_level(inputs["bolus_pressed"]),
        near_empty_ms=alarms["near_empty"],
        reminders_ms=_reminders(file, alarms),
        pins=pins,
        reserved=reserved,
        watched=read_watched(file, top, driver, {pin.signal: pin.gpio for pin in pins}),
        force=force_sensor.read(file, top["force"], force_pin),
    )


def _wires(
    file: TomlFile, top: dict[str, Any]
) -> tuple[tuple[Pin, ...], tuple[tuple[int, str], ...]]:
    """Return the pins and the reserved GPIOs; no GPIO twice, none that does not exist."""
    exist = CONTROLLERS[top["controller"]]
    used: dict[int, str] = {}
    reserved: list[tuple[int, str]] = []
    for name, use in cast("dict[str, Any]", top["reserved"] or {}).items():
        key = ("reserved", name)
        if not re.fullmatch(r"gpio([0-9]|[12][0-9])", name) or not isinstance(use, str):
            file.fail(key, 'must read like gpio8 = "what uses it"', next="GPIO 0 … 29")
        used[int(name[4:])] = f"reserved: {use}"
        reserved.append((int(name[4:]), use))
    signals = file.table(("pins",), top["pins"], _SIGNALS)
    pins: list[Pin] = []
    for signal, raw in signals.items():
        if raw is None:
            continue
        pin = file.table(("pins", signal), raw, _PIN)
        gpio: int = pin["gpio"]
        key = ("pins", signal, "gpio")
        if gpio not in exist:
            free = ", ".join(str(number) for number in sorted(exist - set(used)))
            file.fail(
                key, f"a {top['controller']} has no GPIO {gpio} to wire", next=f"free: {free}"
            )
        if gpio in used:
            file.fail(key, f"GPIO {gpio} is used twice: {used[gpio]}", next="choose another pin")
        used[gpio] = f"pins, {signal}"
        pins.append(Pin(signal, gpio, pin["to"], pin["note"]))
    return tuple(pins), tuple(sorted(reserved))


def _level(word: str | None) -> int | None:
    return None if word is None else int(word == "high")


def _check_button(file: TomlFile, inputs: dict[str, Any], pins: tuple[Pin, ...]) -> None:
    wired = any(pin.signal == "bolus" for pin in pins)
    if wired and inputs["bolus_pressed"] is None:
        file.fail(
            ("inputs", "bolus_pressed"),
            "missing, but there is a bolus button",
            next='"low" if it is normally open to ground',
        )
    if not wired and inputs["bolus_pressed"] is not None:
        file.fail(
            ("inputs", "bolus_pressed"),
            "given, but no pin is called bolus",
            next="add [pins.bolus], or leave it out",
        )


def _check_signals(file: TomlFile, pins: tuple[Pin, ...]) -> None:
    """Refuse a part of buzzer and lamps: one PIO program makes all three, the lamps in a row."""
    gpio = {pin.signal: pin.gpio for pin in pins}
    names = ("buzzer", "lamp_red", "lamp_yellow")
    missing = [name for name in names if name not in gpio]
    if 0 < len(missing) < len(names):
        file.fail(
            ("pins", missing[0]), "is missing", next="wire buzzer and both lamps, or none of them"
        )
    if not missing and gpio["lamp_yellow"] != gpio["lamp_red"] + 1:
        file.fail(
            ("pins", "lamp_yellow", "gpio"),
            "is not the GPIO after lamp_red's",
            nearest=str(gpio["lamp_red"] + 1),
            next="one PIO program drives both, and it needs them in a row",
        )


def _reminders(file: TomlFile, alarms: dict[str, Any]) -> dict[str, int]:
    """Return what the file sets of the reminders, in ms."""
    given = {name: alarms[name] for name in _REMINDERS_MS if alarms[name] is not None}
    for name, ms in given.items():
        least, most = _REMINDERS_MS[name]
        if not least <= ms <= most:
            nearest = quantities.show(min(max(ms, least), most), "duration")
            file.fail(
                ("alarms", name),
                f"{quantities.show(ms, 'duration')} is out of range",
                nearest=nearest,
                next="a person waited for is reminded in time",
            )
    return given


def _check_driver(file: TomlFile, driver: dict[str, Any]) -> None:
    known = DRIVERS[driver["model"]]
    if driver["microsteps"] not in known.microsteps:
        choice = ", ".join(str(number) for number in known.microsteps)
        file.fail(
            ("driver", "microsteps"),
            f"a {driver['model']} can't be strapped to {driver['microsteps']} microsteps",
            next=f"one of {choice} ({known.source})",
        )
    if driver["step_high"] < known.step_high_ns:
        file.fail(
            ("driver", "step_high"),
            f"shorter than a {driver['model']} can see",
            nearest=quantities.show(known.step_high_ns, "pulse"),
            next=known.source,
        )
    if driver["step_high"] > STEP_HIGH_NS:
        file.fail(
            ("driver", "step_high"),
            f"the firmware's STEP pulse of {STEP_HIGH_NS} ns is too short for this driver",
            nearest=quantities.show(STEP_HIGH_NS, "pulse"),
            next="use a faster driver",
        )


def _ratio(file: TomlFile, text: str) -> Fraction:
    match = re.fullmatch(r"([1-9][0-9]{0,4}):([1-9][0-9]{0,4})", text)
    if not match:
        file.fail(("mechanism", "gear"), f"'{text}' is not a ratio", next='e.g. "1:1" or "5:1"')
    return Fraction(int(match[1]), int(match[2]))


def _check_mechanism(file: TomlFile, mechanism: dict[str, Any]) -> None:
    """Refuse what no motor can do: start above its top rate, ramp without acceleration."""
    top, pull_in = mechanism["max_rate"], mechanism["pull_in"]
    for name in ("pull_in", "take_up"):
        limit_name, limit = ("max_rate", top) if name == "pull_in" else ("pull_in", pull_in)
        if mechanism[name] > limit:
            file.fail(
                ("mechanism", name),
                f"{mechanism[name]} Hz is above {limit_name} ({limit} Hz)",
                nearest=quantities.show(limit, "speed"),
                next=f"lower {name} or raise {limit_name}",
            )
    if top > pull_in and mechanism["acceleration"] == 0:
        file.fail(
            ("mechanism", "acceleration"),
            "zero, but max_rate is above pull_in: it would never be reached",
            next="give an acceleration, or set max_rate to pull_in",
        )
    if top > MAX_HZ:
        file.fail(
            ("mechanism", "max_rate"),
            f"{top} Hz is more than the step generator makes",
            nearest=quantities.show(MAX_HZ, "speed"),
            next="lower max_rate",
        )
