"""Waiting in tests: bounded, and for something that can be observed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

PATIENCE_S = 100


def wait_for(what: Callable[[], Any], patience_s: float = PATIENCE_S) -> Any:
    """Return the first true value of `what`; fail when none comes in time."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(0.005)
    raise AssertionError(f"nothing true from {what} within {patience_s} s")
