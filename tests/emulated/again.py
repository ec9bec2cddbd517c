"""Committed figures, for tests that measure one again.

A deterministic figure (time the chip takes, heap, edges) may not get worse by more than a fifth.
On any image of the pinned version: two builds of one MicroPython differ by less than 3 %.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from emulated.perf.page import committed

WORSE = 1.2


def was(where: str, **like: Any) -> dict[str, Any]:
    """Return the committed figure of a case: of a table, or of a cause in that of stops."""
    figures = committed()
    cases = figures.get(where) or figures["stops"][where]
    (one,) = [one for one in cases if like.items() <= one.items()]
    return one


def build_of(image: Path) -> str:
    """Say which build is measured, for who has to judge a failure."""
    measured = committed()["measured_on"]["image_sha256"]
    if measured == hashlib.sha256(image.read_bytes()).hexdigest():
        return "on the image of the committed figures"
    return f"on another build of MicroPython than the committed figures, which are of {measured}"
