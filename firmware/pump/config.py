"""The configuration in force: board and syringe as the host compiled them, checked again here.

The host's compiler makes it from TOML (host_tools/doseloop/config.py); this file trusts nothing it
can check: seal, version, every key it will use, its type and its range.
"""

import json

from pump import arith, sealed
from pump.errors import Refused
from pump.planner import PERIOD_MAX

KIND = "config"
VERSION = 1
_GPIO_MAX = 29

# section: {key: (least, most)}; text where the range is None
_KEYS = {
    "motion": {
        "al_per_step": (1, 10**15),
        "pull_in_hz": (1, 200_000),
        "max_hz": (1, 200_000),
        "accel_hz_per_s": (0, 10**7),
        "backlash_steps": (0, 10**6),
        "takeup_hz": (1, 200_000),
    },
    "syringe": {"model": None, "capacity_al": (1, 10**18), "stroke_steps": (1, 10**9)},
    "limits": {"rate_max_al_per_h": (1, 10**21), "rate_min_al_per_h": (1, 10**21)},
    "alarms": {"near_empty_ms": (0, 24 * 3600 * 1000)},
}
_REMINDERS = {  # what a board file leaves out has its default in attention.py
    "paused_ms": (1000, 15 * 60 * 1000),  # GIP 2.2.1, 2.2.2
    "waiting_ms": (1000, 15 * 60 * 1000),
    "standby_ms": (1000, 3600 * 1000),  # IEC 60601-2-24 51.108
}
_PINS = ("step", "dir", "enable", "witness", "stop", "end_front", "end_back", "bolus",
         "clamp", "diag", "uart_tx", "uart_rx", "battery", "temperature",
         "buzzer", "lamp_red", "lamp_yellow", "force")  # fmt: skip
# Of [force], where there is one. Products stay below 2**90: Pa from counts, in pressure.py.
_FORCE = {
    "gain_num": (1, 10**7),
    "gain_den": (1, 10**7),
    "zero": (-(1 << 24), 1 << 24),
    "least": (-(1 << 24), 1 << 24),
    "most": (-(1 << 24), 1 << 24),
    "friction_mn": (0, 10**6),
    "area_um2": (10**4, 10**10),
    "occlusion_pa": (10_000, 137_895),  # D1: below 20 psi
    "auto_restart": (0, 9),
}
_SENSORS = {"adc": (26, 28)}  # the GPIOs that it can be read on
_TMC2209 = {
    "address": (0, 3),
    "mres": (0, 8),
    "irun": (0, 31),
    "ihold": (0, 31),
    "tcoolthrs": (0, 0xFFFFF),
    "sgthrs": (0, 255),
}
_SUPPLY = {name: (1, 60_000) for name in ("full_mv", "low_mv", "external_mv", "high_mv")}
_BOARD_FLAGS = ("enable_active", "dir_infuse", "end_open")


def check(text):
    """Return the configuration in a sealed text, or raise Refused(E_CRC or E_CONFIG)."""
    try:
        config = json.loads(sealed.unseal(KIND, VERSION, text))
    except sealed.SealError as error:
        raise Refused("E_CRC" if error.code in ("E_CRC", "E_SIZE") else "E_CONFIG", error.message)
    except ValueError:
        raise Refused("E_CONFIG", "configuration is not JSON")
    if not isinstance(config, dict) or config.get("schema") != VERSION:
        raise Refused("E_CONFIG", "configuration of schema %s expected" % VERSION)
    for section, keys in _KEYS.items():
        values = config.get(section)
        if not isinstance(values, dict):
            raise Refused("E_CONFIG", "no section " + section)
        for key, bounds in keys.items():
            _check_value(section + "." + key, values.get(key), bounds)
    for key, bounds in _REMINDERS.items():
        if key in config["alarms"]:
            _check_value("alarms." + key, config["alarms"][key], bounds)
    _check_board(config.get("board"))
    _check_force(config.get("force"), config["board"]["pins"].get("force"))
    motion, limits = config["motion"], config["limits"]
    if motion["pull_in_hz"] < motion["max_hz"] and motion["accel_hz_per_s"] == 0:
        raise Refused("E_CONFIG", "motion.accel_hz_per_s is 0 but max_hz is above pull_in_hz")
    if limits["rate_max_al_per_h"] > motion["al_per_step"] * 3600 * motion["max_hz"]:
        raise Refused("E_CONFIG", "limits.rate_max_al_per_h is above motion.max_hz")
    if limits["rate_min_al_per_h"] > limits["rate_max_al_per_h"]:
        raise Refused("E_CONFIG", "limits.rate_min_al_per_h is above rate_max_al_per_h")
    if motion["takeup_hz"] > motion["pull_in_hz"]:
        raise Refused("E_CONFIG", "motion.takeup_hz is above pull_in_hz")
    num, den = arith.period(motion["al_per_step"], limits["rate_min_al_per_h"])
    if num > PERIOD_MAX * den:
        raise Refused("E_CONFIG", "limits.rate_min_al_per_h is below a step in 17.9 minutes")
    config["crc"] = sealed.crc_of(text)
    return config


def _check_value(name, value, bounds):
    if bounds is None:
        good = isinstance(value, str) and 0 < len(value) <= 64
    else:
        good = type(value) is int and bounds[0] <= value <= bounds[1]
    if not good:
        raise Refused("E_CONFIG", "%s is missing or out of range" % name)


def _check_board(board):
    if not isinstance(board, dict) or not isinstance(board.get("pins"), dict):
        raise Refused("E_CONFIG", "no section board.pins")
    _check_value("board.name", board.get("name"), None)
    for flag in _BOARD_FLAGS:
        _check_value("board." + flag, board.get(flag), (0, 1))
    if board.get("stop_pull") not in ("up", "down"):
        raise Refused("E_CONFIG", "board.stop_pull is up or down")
    used = {}
    for name, number in board["pins"].items():
        if name not in _PINS:
            raise Refused("E_CONFIG", "no pin is called " + str(name)[:32])
        if number is None:
            continue
        _check_value("board.pins." + name, number, (0, _GPIO_MAX))
        if number in used:
            raise Refused("E_CONFIG", "pin %d is both %s and %s" % (number, used[number], name))
        used[number] = name
    for name in ("step", "dir", "enable", "witness", "stop"):
        if board["pins"].get(name) is None:
            raise Refused("E_CONFIG", "board.pins.%s is missing" % name)
    pins = board["pins"]
    signals = [pins.get(name) for name in ("buzzer", "lamp_red", "lamp_yellow")]
    if signals != [None] * 3 and (None in signals or signals[2] != signals[1] + 1):
        raise Refused("E_CONFIG", "buzzer, lamp_red and the pin after it as lamp_yellow, or none")
    if board["pins"].get("bolus") is not None:
        _check_value("board.bolus_pressed", board.get("bolus_pressed"), (0, 1))
    _check_watched(board, board["pins"])


def _check_watched(board, pins):
    """What the guard watches: each pin needs its settings, and they it."""
    for pin, section, keys in (
        ("uart_tx", "tmc2209", _TMC2209),
        ("uart_rx", "tmc2209", _TMC2209),
        ("battery", "supply", _SUPPLY),
    ):
        values = board.get(section)
        if (pins.get(pin) is None) != (values is None):
            raise Refused(
                "E_CONFIG", "board.pins.%s and board.%s need each other" % (pin, section)
            )
        if values is not None:
            if not isinstance(values, dict):
                raise Refused("E_CONFIG", "no section board." + section)
            for key, bounds in keys.items():
                _check_value("board.%s.%s" % (section, key), values.get(key), bounds)
    if (pins.get("temperature") is None) != (board.get("hot_counts") is None):
        raise Refused("E_CONFIG", "board.pins.temperature and board.hot_counts need each other")
    if board.get("hot_counts") is not None:
        _check_value("board.hot_counts", board["hot_counts"], (1, 60_000))
    if board.get("supply") is not None:
        _check_curve(board["supply"].get("curve"))


def _check_curve(curve):
    good = isinstance(curve, list) and 2 <= len(curve) <= 20
    before = (60_001, 100_001)
    for point in curve if good else ():
        good = good and isinstance(point, list) and [type(n) for n in point] == [int, int]
        good = good and 0 <= point[0] < before[0] and 0 <= point[1] < before[1]
        if not good:
            break
        before = point
    if not good:
        raise Refused("E_CONFIG", "board.supply.curve must fall in voltage and minutes")


def _check_force(force, pin):
    if (force is None) != (pin is None):
        raise Refused("E_CONFIG", "force and board.pins.force go together")
    if force is None:
        return
    if not isinstance(force, dict) or force.get("sensor") not in list(_SENSORS):
        raise Refused("E_CONFIG", "force.sensor is " + " or ".join(_SENSORS))
    for key, bounds in _FORCE.items():
        _check_value("force." + key, force.get(key), bounds)
    _check_value("board.pins.force", pin, _SENSORS[force["sensor"]])


def named(config):
    """Return board and syringe of a configuration, for people."""
    return "%s with %s" % (config["board"]["name"], config["syringe"]["model"])
