"""72 hours of the whole board; by hand: python -m pytest tests/simulated/soak_edges.py"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location(
    "edges", Path(__file__).with_name("test_exact_edges.py")
)
assert _spec is not None and _spec.loader is not None
_edges = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_edges)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.requirement("A3")
def test_72_hours_of_the_whole_board() -> None:
    _edges.whole_board(72 * 3600)
