"""Quantities and events as a person reads them. quantity.py reads back what is shown."""

_HOUR_MS = 3_600_000

# How a kind is shown: (unit, decimals, from which value on); the first that fits is used.
_SHOW = {
    "volume": (("mL", 15, 10**13), ("nL", 9, 0)),
    "rate": (("mL/h", 15, 10**12), ("nL/h", 9, 0)),
    "duration": (("s", 3, 0),),
}


def format(value, kind, show=None):
    """Return a volume (aL), rate (aL/h) or duration (ms), not negative, as text.

    Always ASCII. A duration is shown in the largest of h, min, s that it is whole in. ``show``:
    how another kind is shown, as in _SHOW.
    """
    if value < 0:
        raise ValueError("a quantity is not negative")
    if kind == "duration" and value:
        for unit, factor in (("h", _HOUR_MS), ("min", 60000)):
            if value % factor == 0:
                return "%d %s" % (value // factor, unit)
    for unit, decimals, least in show or _SHOW[kind]:
        if value >= least or not value:
            break
    whole, rest = divmod(value, 10**decimals)
    text = str(whole)
    if rest:
        tail = str(rest)
        text += "." + ("0" * (decimals - len(tail)) + tail).rstrip("0")
    return text + (" " + unit if unit else "")


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
            value = format(value, "rate")
        elif key in ("t0", "at", "to", "ticks"):
            value = "%d us" % value  # arith.TICK_HZ is 1 MHz
        elif key[-3:] == "_al":
            value = format(value, "volume")
        elif key[-3:] == "_nl":
            value = format(value * 10**9, "volume")
        elif key[-3:] == "_ms" or key == "ms_long":
            value = format(value, "duration")
    return " %s=%s" % (key, value)
