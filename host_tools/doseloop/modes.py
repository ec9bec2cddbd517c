"""Write docs/modes.md from the firmware's table of states: `python -m doseloop.modes`.

A test holds the page equal to what this makes of the table.
"""

from __future__ import annotations

from pathlib import Path

from doseloop import resources

_HEAD = """# Modes

Drawn from `firmware/pump/states.py` by `python -m doseloop.modes`: edit that file, not this page.
The pump is in one state at a time. A change that the table does not hold is a fault, and motion
ends. `stop` is answered everywhere and ends all motion.
"""

_CHECKED = """## How it is checked

`tests/unit/firmware/modes/` explores what can happen, breadth first, with the firmware that
ships over a motor that plays its segments: every request of the table and more, the patient's
button, time, the host's silence and break, the stop input, end switch, clamp and stall, a
blocked line, a driver's fault, an exception, damaged records, resets and power cuts. After each
event it looks at rules that are told from outside, by steps and pins (`rules.py`): no step
after an alarm that stops until a person has cleared and begun again, but for the back-off and
the restarts that the board file allows; no motion against an input that forbids it; never
faster than the limit; no bolus in an alarm, one dose and one square one in flight at most,
lockout and hourly limit of a patient's order; a held bolus ends when it is let go; no rate that
nobody confirmed; the plunger where the pump thinks; and from every state `stop` and a fault
inside leave the motor off.

`make test` runs it: all paths of three events from power-on, and of two from each of 27 places
where therapy leads (`explorer.SEEDS`); the test prints how many states and transitions these are.
`PYTHONPATH=tests python -m unit.firmware.modes 3` goes one deeper: 9,000 states, 106,000
transitions, two minutes. Then each guard of the controller is taken away in turn, and each request
let through everywhere (`guards.py`): the search must find what breaks.
"""


def modes_text() -> str:
    """Return the whole page."""
    states = resources.firmware_module("states").TABLE
    meanings = resources.firmware_module("words").STATES
    lines = [_HEAD, "```mermaid", "stateDiagram-v2"]
    lines += [f"    {name} --> {then}" for name, (_, after, _) in states.items() for then in after]
    lines += ["```", "", "## What each state answers", "",
              "Requests that are not in this table are answered in any state, each by its own "
              "rules.", "",
              "| state | what it means | motor may turn | answers |",
              "| --- | --- | --- | --- |"]  # fmt: skip
    for name, (moving, _, requests) in states.items():
        asked = ", ".join(f"`{request}`" for request in sorted(requests)) or "–"
        lines.append(f"| {name} | {meanings[name]} | {'yes' if moving else 'no'} | {asked} |")
    return "\n".join([*lines, "", _CHECKED])


if __name__ == "__main__":
    target = Path(__file__).resolve().parents[2] / "docs" / "modes.md"
    target.write_text(modes_text(), encoding="utf-8")
