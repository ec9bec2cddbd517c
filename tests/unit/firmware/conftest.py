"""Firmware core on CPython: viper's type names exist, and properties are deterministic."""

import builtins

from hypothesis import settings

settings.register_profile("doseloop", derandomize=True, deadline=None)
settings.load_profile("doseloop")

# tick.py's annotations name viper's pointer types; on CPython they only have to exist.
for name in ("ptr16", "ptr32"):
    if not hasattr(builtins, name):
        setattr(builtins, name, object)
