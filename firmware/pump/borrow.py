"""Modules that are needed for a moment: read from flash for one use and given back to the heap.

What checks an order or a configuration is as large as what carries it out. Never while a motion
runs: it takes 0.1 s. A module given back stays whole for as long as somebody holds it.
"""

import sys

import pump


def take(name):
    """Return pump.<name>: what has no function of its own here."""
    module = __import__("pump." + name, None, None, (name,))
    del sys.modules["pump." + name]
    delattr(pump, name)
    return module


def order():
    """Return order.py: what makes an order of a text."""
    return take("order")


def config():
    """Return config.py: what checks a configuration."""
    return take("config")


def recovery():
    """Return recovery.py: what makes a run again of its record."""
    return take("recovery")
