"""72 hours in which nothing is wrong; by hand: python -m pytest tests/simulated/soak_quiet.py"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location("quiet", Path(__file__).with_name("test_quiet.py"))
assert _spec is not None and _spec.loader is not None
_quiet = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_quiet)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.requirement("E16")
def test_no_false_alarm_in_72_hours() -> None:
    _quiet.quiet(24)
