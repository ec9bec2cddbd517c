"""Modules that are needed for a moment: read from flash for one use and given back to the heap.

What checks an order or a configuration is as large as what carries it out. While a motion runs
only the small ones, alarm_table and signal_plan: the others take 0.1 s. A module given back stays
whole for as long as somebody holds it.
"""

import sys

import pump


def _take(name):
    full = "pump." + name
    __import__(full)
    module = sys.modules.pop(full)
    delattr(pump, name)
    return module


def order():
    """Return order.py: what makes an order of a text."""
    return _take("order")


def config():
    """Return config.py: what checks a configuration."""
    return _take("config")


def recovery():
    """Return recovery.py: what makes a run again of its record."""
    return _take("recovery")


def alarm_table():
    """Return alarm_table.py: the alarms and their texts."""
    return _take("alarm_table")


def signal_plan():
    """Return signal_plan.py: how alarms sound and look."""
    return _take("signal_plan")


def attended():
    """Return attended.py: what is done with a person there."""
    return _take("attended")
