"""What a code means and what to do about it, and docs/alarms.md: `python -m doseloop.explain`.

Alarms and refusals come from the firmware's own tables; the E_ codes of the host from its errors.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from doseloop import errors, resources

_HEAD = """# Alarms

Made by `python -m doseloop.explain` from `firmware/pump/alarm_table.py` and `signal_plan.py`: edit
those files, not this page. `doseloop explain CODE` shows a row.

The highest priority sounds and lights; the others stay listed (`doseloop alarms list`). `silence`
takes the sound for two minutes at most, never the light or the text; a new alarm ends it, and
after it a burst is heard before the next. `ack` clears what can be cleared. What latches outlasts
a reset. The signals come from a PIO program fed by DMA, so they go on while the processor is busy
or hangs. Laboratory equipment, not a medical device.
"""
_REMINDERS = """## Who is waited for

| alarm | after | board file |
| --- | --- | --- |
| `A_PAUSED` | a run stands paused for 2 min, and again after it was cleared | `[alarms]` `paused`, at most 15 min |
| `A_WAITING` | a planned or interrupted order waits for 15 min | `waiting`, at most 15 min |
| `A_STANDBY` | an order stands or waits for 1 h | `standby`, at most 1 h |
| `A_CHANGE` | a proposed change waits for 5 min | |
| `A_CHANGE_LOST` | it has waited for 10 min: it is dropped | |
| `A_STOP_HELD`, `A_BUTTON` | the stop input, the bolus button is held for 60 s | |
"""  # noqa: E501


def alarm_row(code: str) -> tuple[str, str, str, str, str]:
    """Return priority, what the pump does, when it ends, cause, next step; "" for the unknown."""
    table = resources.firmware_module("alarm_table")
    row = table.TABLE.get(code)
    if row is None:
        return ("", "", "", "", "")
    priority, act, end, text, after = row
    return priority, table.DOES[act], table.CLEARS[end], text, after


def stops(code: str) -> bool:
    """Whether an alarm stops the pump; one that the table does not know is taken to."""
    table = resources.firmware_module("alarm_table")
    row = table.TABLE.get(code)
    return row is None or row[1] in (table.STOPS, table.ENDS)


def explain(code: str) -> dict[str, str]:
    """Return what there is to say of a code, by name. Raises `UsageError` for an unknown one."""
    code = code.upper()
    priority, act, end, text, after = alarm_row(code)
    if priority:
        return {
            "code": code, "kind": f"alarm of {priority} priority", "cause": text,
            "the pump": act, "ends": end, "next": after,
        }  # fmt: skip
    refusals = resources.firmware_module("next_steps").NEXT
    if code in refusals:
        kind = "the pump refused a request; nothing was changed"
        return {"code": code, "kind": kind, "next": refusals[code]}
    own = {kind.default_code: kind for kind in _own(errors.DoseloopError)}
    if code in own:
        kind = own[code]
        cause = (kind.__doc__ or "").split("\n")[0]
        found = {"code": code, "kind": f"error, exit code {kind.exit_code}", "cause": cause}
        return {**found, "next": kind.default_next} if kind.default_next else found
    known = [*resources.firmware_module("alarm_table").TABLE, *refusals, *own]
    near = difflib.get_close_matches(code, known, 3)
    raise errors.UsageError(
        f"no code is called {code!r}" + (f"; near: {', '.join(near)}" if near else ""),
        code="E_CODE",
        next="see docs/alarms.md and docs/reference.md",
    )


def _own(kind: type[errors.DoseloopError]) -> Iterator[type[errors.DoseloopError]]:
    yield kind
    for sub in kind.__subclasses__():
        yield from _own(sub)


# -- the page ------------------------------------------------------------------------------------


def alarms_text() -> str:
    """Return docs/alarms.md."""
    return "\n".join([_HEAD, *_signals(), _REMINDERS, *_table()])


def _signals() -> list[str]:
    plan = resources.firmware_module("signal_plan")
    lines = ["## Sound and light", "",
             "60601-1-8's limits and the tests that hold the signals to them: "
             "`tests/unit/firmware/test_signals.py`.", "",
             "| priority | pulses of | onsets in a burst | burst to burst | lamp |",
             "| --- | --- | --- | --- | --- |"]  # fmt: skip
    priorities = resources.firmware_module("alarm_table").PRIORITIES
    for name, row in zip(priorities, cast("list[Any]", plan.PLAN), strict=True):
        onsets, pulse, cycle, lamp, period, lit = row
        starts = ", ".join(str(at * plan.SLOT_MS) for at in onsets)
        colour = "red" if lamp == plan.RED else "yellow"
        hertz = 1000 / (period * plan.SLOT_MS)
        shown = "steady" if lit == period else f"{hertz:g} Hz, {100 * lit // period} % lit"
        lines.append(
            f"| {name} | {pulse * plan.SLOT_MS} ms of 500 Hz | {starts} ms "
            f"| {cycle * plan.SLOT_MS // 1000} s | {colour}, {shown} |"
        )
    return [*lines, ""]


def _table() -> list[str]:
    lines = ["## Table", "", "| code | priority | cause | the pump | ends | next step |",
             "| --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    for code in resources.firmware_module("alarm_table").TABLE:
        priority, act, end, text, after = alarm_row(code)
        lines.append(f"| `{code}` | {priority} | {text} | {act} | {end} | {after} |")
    return [*lines, ""]


if __name__ == "__main__":
    target = Path(__file__).resolve().parents[2] / "docs" / "alarms.md"
    target.write_text(alarms_text(), encoding="utf-8")
