"""Modules that are needed for a moment: read from flash for one use and given back to the heap.

What checks an order or a configuration is as large as what carries it out. Never while a motion
runs: it takes 0.1 s. A module given back stays whole for as long as somebody holds it.
"""

import sys

import pump


def order():
    """Return order.py: what makes an order of a text."""
    from pump import order

    del sys.modules["pump.order"], pump.order  # pyright: ignore[reportAttributeAccessIssue]
    return order


def config():
    """Return config.py: what checks a configuration."""
    from pump import config

    del sys.modules["pump.config"], pump.config  # pyright: ignore[reportAttributeAccessIssue]
    return config


def recovery():
    """Return recovery.py: what makes a run again of its record."""
    from pump import recovery

    del sys.modules["pump.recovery"], pump.recovery  # pyright: ignore[reportAttributeAccessIssue]
    return recovery


def alarm_table():
    """Return alarm_table.py: the alarms and their texts."""
    from pump import alarm_table

    del sys.modules["pump.alarm_table"], pump.alarm_table  # pyright: ignore[reportAttributeAccessIssue]
    return alarm_table
