"""Plain words from and to a person at a terminal: short lines, quantities with units.

Borrowed (borrow.py) for a line, with quantity.py: few are typed, and a program types none.
"""

from pump import commands, quantity
from pump.errors import Refused
from pump.shown import event_line, fact, format

# What each of commands.TABLE is for.
HELP = {
    "hello": "who this is; opens a session",
    "commands": "this table, a few at a time",
    "status": "state, run, syringe, alarms",
    "put": "send a part of a config, an order or a library",
    "config": "propose the sent configuration: old, new, digest",
    "confirm": "put the proposed rate, configuration or library in effect",
    "config_get": "a part of the configuration in force",
    "order": "plan the sent order",
    "plan": "the plan that waits for start",
    "infuse": "plan an infusion: any two of three",
    "withdraw": "plan a withdrawal: any two of three",
    "bolus": "plan a single bolus: any two of three",
    "prime": "plan to fill the line while it is held: any two of three",
    "bolus_now": "give a dose on top of the run, now: at a rate, or spread over a duration",
    "demand": "the patient asks for a dose",
    "pca": "demands, doses, lockout and limits of the patient-controlled run",
    "hold": "start the planned bolus or prime, or keep it going for 0.3 s more",
    "start": "begin what was planned",
    "pause": "stand still, keep the order",
    "resume": "go on with the exact remainder",
    "stop": "stop and end the run",
    "rate": "propose a new rate for the same volume: old, new, digest",
    "library": "propose the sent drug library, or show it or the plan's limits",
    "occlusion": "threshold and pressure, or propose a new threshold: old, new, digest",
    "load": "a syringe with this volume is mounted",
    "clear": "clear alarms whose cause is gone",
    "alarms": "those that stand, a few at a time",
    "silence": "no sound for 2 min; lamps and texts stay",
    "alarm_test": "every alarm signal once; then 1: noticed, 0: not",
    "events": "events again",
    "watch": "status every so many ms; 0 ends it",
    "bye": "end the session: events as plain lines again",
    "maintenance": "hand the board to a person at the REPL",
    "help": "this list",
}

# What each of states.TABLE means.
STATES = {
    "selftest": "testing itself after power-on",
    "idle": "no order",
    "ready": "an order is planned and waits for start",
    "infusing": "delivering",
    "withdrawing": "filling the syringe",
    "bolus": "delivering a bolus",
    "priming": "filling the line while it is held; none of it counts as delivered",
    "kvo": "keeping the vein open: between doses, or after the order",
    "paused": "an order is under way and stands",
    "alarm": "an alarm has stopped the pump",
    "interrupted": "a reset cut an order short; a person resumes or stops it",
    "maintenance": "at the REPL; nothing can move",
    "fault": "the self-test failed; nothing can move",
}

# Not for people.
_PROGRAMS = ("put", "config", "order", "library", "config_get", "commands")


def parse(line):
    """Return (command, args) of a line such as ``infuse 2.5 mL 5 mL/h``, or raise Refused."""
    words = line.split(" ")
    name = words[0]
    if name not in commands.TABLE or name in _PROGRAMS:
        raise Refused("E_COMMAND", "no command " + name[:32])
    spec = commands.TABLE[name]
    args = {}
    rest = words[1:]
    while rest:
        key, value, used = _argument(spec, rest)
        if key in args:
            raise Refused("E_ARG", "%s is given twice" % key)
        args[key] = value
        rest = rest[used:]
    return name, args


def _argument(spec, words):
    pair = " ".join(words[:2])
    unit = None
    for key, kind, _ in spec:
        if kind == "whole":
            if words[0].isdigit() and len(words[0]) < 10:
                return key, int(words[0]), 1
        elif kind == "text":
            return key, words[0], 1
        else:
            try:
                return key, quantity.parse(pair, kind), 2
            except quantity.QuantityError as error:
                if error.code != "E_UNIT":
                    raise Refused(error.code, error.message, nearest=error.nearest)
                unit = error
    if unit is None:
        raise Refused("E_ARG", "not understood: " + words[0][:32])
    raise Refused("E_UNIT", "%s: %s" % (pair[:40], unit.message))


def reply_lines(name, reply):
    """Return the text that answers a command typed by a person."""
    if name == "help":
        shown = [command for command in reply["commands"] if command not in _PROGRAMS]
        return "".join("%-12s %s\n" % (command, HELP[command]) for command in shown)
    if "stretches" in reply:
        return _plan(reply)
    if "digest" in reply:
        text = "another proposal is dropped\n" if reply["replaces"] else ""
        return text + "%s now: %s; proposed: %s\ntype confirm %s to change it\n" % (
            name, reply["old"], reply["new"], reply["digest"])  # fmt: skip
    if name == "confirm" and "rate_al_per_h" in reply:
        return "ok, rate %s\n" % format(reply["rate_al_per_h"], "rate")
    if name == "status":
        return _status(reply)
    if name == "events":
        return "".join(event_line(event) for event in reply["events"])
    return "ok" + "".join(fact(key, reply[key]) for key in sorted(reply)) + "\n"


def _plan(plan):
    out = "plan: %d steps in %s\n" % (
        plan["ordered_steps"], format(plan["duration_ms"], "duration"))  # fmt: skip
    for stretch in plan["stretches"]:
        out += "  %s" % stretch["mode"]
        if stretch["rate_al_per_h"]:
            out += " at %s, %d steps" % (
                format(stretch["rate_al_per_h"], "rate"), stretch["steps"])  # fmt: skip
        out += ", %s\n" % format(stretch["duration_ms"], "duration")
    if plan["syringe_changes"]:
        out += "  needs %d syringe change(s)\n" % plan["syringe_changes"]
    at_most = -(-plan["fault_al"] // 10**12) * 10**12
    out += "  a single fault delivers at most %s\n" % format(at_most, "volume")
    return out + "type start to begin; start %s to begin this plan or none\n" % plan["order_crc"]


def _status(status):
    run = status["run"]
    out = "state %s" % status["state"]
    if run:
        out += ", run %s: %s delivered, %s left, %s" % (
            run["id"], format(run["delivered_nl"] * 10**9, "volume"),
            format(run["remaining_nl"] * 10**9, "volume"),
            format(run["remaining_ms"], "duration"))  # fmt: skip
    out += "\n"
    if run:  # whether it is held against the drug library (I2, I5)
        out += "  drug library: %s\n" % (run["library"] or "none")
        if "override" in run:
            out += "  soft limits overridden by %s\n" % run["override"]
    for alarm in status["alarms"]:
        out += "  alarm %s (%s)\n" % (alarm["code"], alarm["priority"])
    return out
