"""docs/reference.md and docs/modes.md are what the firmware's tables say."""

from __future__ import annotations

from pathlib import Path

from doseloop import resources
from doseloop.modes import modes_text
from doseloop.reference import reference_text

ROOT = Path(__file__).resolve().parents[3]


def test_the_page_is_made_from_the_tables() -> None:
    assert (ROOT / "docs" / "reference.md").read_text(encoding="utf-8") == reference_text()
    assert (ROOT / "docs" / "modes.md").read_text(encoding="utf-8") == modes_text()


def test_every_code_in_the_firmware_is_in_its_table() -> None:
    """An E_ or A_ code that some module uses but no table explains has no next step."""
    import re

    known = {
        *resources.firmware_module("next_steps").NEXT,
        *resources.firmware_module("alarm_table").TABLE,
    }
    internal = {"E_KIND", "E_VERSION"}  # of sealed.py, turned into E_CRC, E_CONFIG and E_ORDER
    for path in resources.firmware_root().rglob("*.py"):
        used = set(re.findall(r'"([EA]_[A-Z_]+)"', path.read_text(encoding="utf-8")))
        assert used <= known | internal, (path.name, used - known - internal)
