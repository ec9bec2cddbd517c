"""Doseloop: an open syringe-pump controller, the host side.

`from doseloop import Pump` is the door for programs; names are imported when first used, so
that the command line starts fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from doseloop.errors import DoseloopError
    from doseloop.pump import Pump

__all__ = ["DoseloopError", "Pump"]

_WHERE = {"DoseloopError": "doseloop.errors", "Pump": "doseloop.pump"}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'doseloop' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_WHERE[name]), name)
