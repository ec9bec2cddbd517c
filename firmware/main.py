"""Starts the firmware folder that /active names; docs/deploy.md has the contract."""

import sys

try:
    with open("/active") as _file:
        sys.path.insert(0, _file.read().strip())
except OSError:
    pass
from pump.app import main

main()
