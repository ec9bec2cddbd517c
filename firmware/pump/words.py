"""Plain words back to a person at a terminal: short lines, quantities with units."""

from pump import commands, quantity


def reply_lines(name, reply):
    """Return the text that answers a command typed by a person."""
    if name == "help":
        out = []
        for command in reply["commands"]:
            spec, text = commands.TABLE[command]
            if command not in commands.NOT_TYPED:
                out.append("%-12s %s" % (command, text))
        return "\n".join(out) + "\n"
    if "stretches" in reply:
        return _plan(reply)
    if "digest" in reply:
        text = "another proposal is dropped\n" if reply["replaces"] else ""
        return text + "%s now: %s; proposed: %s\ntype confirm %s to change it\n" % (
            name, reply["old"], reply["new"], reply["digest"])  # fmt: skip
    if name == "confirm" and "rate_al_per_h" in reply:
        return "ok, rate %s\n" % quantity.format(reply["rate_al_per_h"], "rate")
    if name == "status":
        return _status(reply)
    if name == "events":
        return "".join(event_line(event) for event in reply["events"])
    return "ok" + "".join(fact(key, reply[key]) for key in sorted(reply)) + "\n"


def error_lines(error):
    """Return the text of a refusal: code, cause, nearest allowed value, next step."""
    text = "%s %s" % (error.code, error.message)
    if error.nearest:
        text += "; nearest: %s" % error.nearest
    if error.next:
        text += "\n  next: %s" % error.next
    return text + "\n"


def event_line(event):
    """Return one line for an event."""
    rest = "".join(
        fact(key, event[key]) for key in sorted(event) if key not in ("n", "boot", "ms", "e")
    )
    return "# %d ms %s%s\n" % (event["ms"], event["e"], rest)


def fact(key, value):
    """Return " key=value" with the unit that the key stands for; some names say theirs."""
    if type(value) is int:
        if key in ("rate", "old") or key[-9:] == "_al_per_h":
            value = quantity.format(value, "rate")
        elif key in ("t0", "at", "to", "ticks"):
            value = "%d us" % value  # arith.TICK_HZ is 1 MHz
        elif key[-3:] == "_al":
            value = quantity.format(value, "volume")
        elif key[-3:] == "_nl":
            value = quantity.format(value * 10**9, "volume")
        elif key[-3:] == "_ms" or key == "ms_long":
            value = quantity.format(value, "duration")
    return " %s=%s" % (key, value)


def _plan(plan):
    out = "plan: %d steps in %s\n" % (
        plan["ordered_steps"], quantity.format(plan["duration_ms"], "duration"))  # fmt: skip
    for stretch in plan["stretches"]:
        out += "  %s" % stretch["mode"]
        if stretch["rate_al_per_h"]:
            out += " at %s, %d steps" % (
                quantity.format(stretch["rate_al_per_h"], "rate"), stretch["steps"])  # fmt: skip
        out += ", %s\n" % quantity.format(stretch["duration_ms"], "duration")
    if plan["syringe_changes"]:
        out += "  needs %d syringe change(s)\n" % plan["syringe_changes"]
    at_most = -(-plan["fault_al"] // 10**12) * 10**12
    out += "  a single fault delivers at most %s\n" % quantity.format(at_most, "volume")
    return out + "type start to begin; start %s to begin this plan or none\n" % plan["order_crc"]


def _status(status):
    run = status["run"]
    out = "state %s" % status["state"]
    if run:
        out += ", run %s: %s delivered, %s left, %s" % (
            run["id"], quantity.format(run["delivered_nl"] * 10**9, "volume"),
            quantity.format(run["remaining_nl"] * 10**9, "volume"),
            quantity.format(run["remaining_ms"], "duration"))  # fmt: skip
    out += "\n"
    for alarm in status["alarms"]:
        out += "  alarm %s (%s)\n" % (alarm["code"], alarm["priority"])
    return out
