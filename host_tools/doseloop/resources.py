"""Find the files that travel with Doseloop: the firmware, the boards, the simulated board.

In a checkout (editable install) they lie beside `host_tools/`; in a wheel the build maps them
to `doseloop/_data/`. Every other module asks here, so that both cases stay one.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

_PACKAGE = Path(__file__).resolve().parent


def data_root(package: Path = _PACKAGE) -> Path:
    """Return the folder that holds `firmware/` and `boards/`.

    `package` is the folder of the installed `doseloop` package. The wheel's own data win, so
    that an installed copy never picks up a checkout it happens to lie in.
    Raises `FileNotFoundError` when neither place holds them: the install is broken.
    """
    candidates = [package / "_data", *package.parents[1:2]]
    for root in candidates:
        if (root / "firmware" / "pump").is_dir() and (root / "boards").is_dir():
            return root
    places = " or ".join(str(root) for root in candidates)
    raise FileNotFoundError(
        f"firmware/ and boards/ are missing from {places}; install doseloop again"
    )


def firmware_root() -> Path:
    """Return the folder with `boot.py`, `main.py` and the package `pump`."""
    return data_root() / "firmware"


def boards_root() -> Path:
    """Return the folder with one TOML per board and `syringes.toml`."""
    return data_root() / "boards"


def sim_device_root() -> Path:
    """Return the folder of the simulated board's MicroPython modules (not for CPython)."""
    return _PACKAGE / "sim" / "device"


def firmware_module(name: str) -> ModuleType:
    """Import `pump.<name>`, a core firmware module that also runs on CPython.

    The firmware root is appended to `sys.path` once, at its end, so that nothing in it can
    hide an installed package; a stand-in serves `from micropython import const`.
    Raises `ImportError` when there is no such module, or when a foreign package named `pump`
    is found before ours.
    """
    sys.modules.setdefault("micropython", _stand_in())
    root = firmware_root()
    if str(root) not in sys.path:
        sys.path.append(str(root))
    module = importlib.import_module(f"pump.{name}")
    if module.__file__ is None or root not in Path(module.__file__).resolve().parents:
        raise ImportError(f"pump.{name} comes from {module.__file__}, not from {root}")
    return module


def _stand_in() -> ModuleType:
    """Return what the core needs of MicroPython's module `micropython`: marks that do nothing."""

    def unchanged(value: object) -> object:
        return value

    module = ModuleType("micropython")
    for name in ("const", "native", "viper"):
        setattr(module, name, unchanged)
    return module
