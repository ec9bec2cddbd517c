"""Firmware core on CPython: viper's type names exist, and properties are deterministic."""

import builtins
import os

from hypothesis import Phase, settings

settings.register_profile("doseloop", derandomize=True, deadline=None)
# A mutant only has to fail: no time is spent on the smallest example.
_SHORT = (Phase.explicit, Phase.generate)
settings.register_profile("mutation", settings.get_profile("doseloop"), phases=_SHORT)
settings.load_profile(os.environ.get("DOSELOOP_HYPOTHESIS", "doseloop"))

_buffers = []


def _address(buffer):
    """Return a made-up address, as viper's `uint(buffer)` returns a true one."""
    _buffers.append(buffer)
    return 0x20000000 + len(_buffers) - 1


def _pointed_at(address):
    """Return the buffer at an address, as viper's `ptr32(address)` does."""
    return _buffers[address - 0x20000000]


for name in ("ptr8", "ptr16", "ptr32"):
    setattr(builtins, name, _pointed_at)
builtins.uint = _address
