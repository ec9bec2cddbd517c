"""Modules that are needed for a moment: read from flash for one use and given back to the heap.

What checks an order, or reads a typed line, is as large as what carries it out. A module given
back stays whole for as long as somebody holds it.
"""

import sys

import pump


def assembly():
    """Return assembly.py: what builds the pump, and says what it is."""
    return _lend("assembly")


def order():
    """Return order.py: what makes an order of a text. At standstill: it takes 0.1 s."""
    return _lend("order", "checks")


def planning():
    """Return planning.py: commands for what comes before a start. At motion, too."""
    return _lend("planning")


def checks():
    """Return checks.py: whether a rate, a volume, a bolus is allowed. At motion, too."""
    return _lend("checks")


def changes():
    """Return changes.py: whether a dose, or another rate, may be had now. At motion, too."""
    return _lend("changes", "checks")


def backoff():
    """Return backoff.py: what draws the plunger back after an occlusion. Just after motion."""
    return _lend("backoff")


def starting():
    """Return starting.py: what takes an order and begins it. At standstill."""
    return _lend("starting")


def threshold():
    """Return threshold.py: the occlusion threshold, or another. At motion, too."""
    return _lend("threshold")


def config():
    """Return config.py: what checks a configuration. At standstill."""
    return _lend("config")


def recovery():
    """Return recovery.py: what makes a run again of its record. At standstill."""
    return _lend("recovery")


def alarm_table():
    """Return alarm_table.py: the alarms and their texts. At motion, too."""
    return _lend("alarm_table")


def signal_plan():
    """Return signal_plan.py: how alarms sound and look. At motion, too."""
    return _lend("signal_plan")


def attended():
    """Return attended.py: what is done with a person there."""
    return _lend("attended")


def take(name):
    """Return pump.<name>, which has no function of its own here. At standstill."""
    return _lend(name)


def words():
    """Return words.py: what a person types and reads, and what each command is for."""
    return _lend("words", "quantity")


def next_steps():
    """Return next_steps.py: what to do after a refusal."""
    return _lend("next_steps")


def _lend(*names):
    # The module asked for, and those that it brings with it. What somebody holds anyway (a host, a
    # test) is left where it is.
    fresh = [name for name in names if "pump." + name not in sys.modules]
    __import__("pump." + names[0])
    module = getattr(pump, names[0])
    for name in fresh:
        del sys.modules["pump." + name]
        delattr(pump, name)
    return module
