"""Write docs/reference.md from tables in the code: `python -m doseloop.reference`.

Commands, states, alarms and error codes are tables in the firmware, doses one of the host; a test
holds the page equal to what this makes of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from doseloop import dose_units, resources

_HEAD = """# Reference

Made from tables in the code by `python -m doseloop.reference`: edit those files, not this page.
"""


def reference_text() -> str:
    """Return the whole page."""
    return "\n".join([_HEAD, *_commands(), *_states(), *_alarms(), *_errors(), *_doses()])


def _table(name: str, attribute: str) -> dict[str, Any]:
    return getattr(resources.firmware_module(name), attribute)


def _commands() -> list[str]:
    lines = ["## Commands", "", "From `firmware/pump/commands.py`. Typed by a person, an argument "
             "is its quantity alone: `infuse 2.5 mL 5 mL/h`.", "",
             "| command | arguments | what it does |", "| --- | --- | --- |"]  # fmt: skip
    texts = _table("words", "HELP")
    for name, arguments in sorted(_table("commands", "TABLE").items()):
        shown = ", ".join(
            f"`{key}` ({kind}{'' if required else ', optional'})"
            for key, kind, required in arguments
        )
        lines.append(f"| `{name}` | {shown or '–'} | {texts[name]} |")
    return [*lines, ""]


def _states() -> list[str]:
    lines = ["## States", "", "From `firmware/pump/states.py`.", "",
             "| state | meaning | motor may turn | may be followed by |",
             "| --- | --- | --- | --- |"]  # fmt: skip
    meanings = _table("words", "STATES")
    for name, (moving, after, _) in _table("states", "TABLE").items():
        turns, then = "yes" if moving else "no", ", ".join(after) or "–"
        lines.append(f"| `{name}` | {meanings[name]} | {turns} | {then} |")
    return [*lines, ""]


def _alarms() -> list[str]:
    codes = ", ".join(f"`{code}`" for code in _table("alarm_table", "TABLE"))
    return ["## Alarms", "", f"Their table is in [alarms.md](alarms.md): {codes}.", ""]


def _errors() -> list[str]:
    lines = ["## Errors", "", "From `firmware/pump/next_steps.py`: a request that can't be "
             "honoured. Nothing was changed.", "",
             "| code | next step |", "| --- | --- |"]  # fmt: skip
    lines += [f"| `{code}` | {after} |" for code, after in _table("next_steps", "NEXT").items()]
    return [*lines, ""]


def _doses() -> list[str]:
    lines = ["## Doses in orders", "", "From `host_tools/doseloop/dose_units.py`, beside plain "
             "volumes and rates (mL, mL/h …). `E_DOSE`: what [drug] says is missing or counts "
             "something else than the dose; add it, or give both alike.", "",
             "| part | spellings |", "| --- | --- |"]  # fmt: skip
    for part, spellings in dose_units.parts().items():
        lines.append(f"| {part} | {' '.join(f'`{spelling}`' for spelling in spellings)} |")
    return [*lines, ""]


if __name__ == "__main__":
    target = Path(__file__).resolve().parents[2] / "docs" / "reference.md"
    target.write_text(reference_text(), encoding="utf-8")
