"""Explore deeper than the tests do: `PYTHONPATH=tests python -m unit.firmware.modes 3`."""

import sys
import time

import unit.firmware.conftest  # noqa: F401  # viper's type names
from unit.firmware.modes.explorer import explore

depth, began = int(sys.argv[1]), time.monotonic()
found = explore(depth)
print(f"{found.states} states, {found.transitions} transitions, {depth} deep after each seed;")
print(f"{time.monotonic() - began:.0f} s; broken: {found.broken}")
sys.exit(found.broken is not None)
