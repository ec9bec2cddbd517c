"""What a reset left of a run, in plain words: for `status`, `resume`, `stop`, and who follows it.

The pump stands then, in state `interrupted`, until a person goes on with the rest or ends it; or
it is idle already, because the run can't go on. Text only: nothing here makes the pump do
anything, and it is asked for no more than events and plan.
"""

from __future__ import annotations

from doseloop import output
from doseloop.errors import Refused
from doseloop.pump import Pump
from doseloop.results import Event, Plan, RunState, Status, Stretch

STATE = "interrupted"
ALARM = "A_RESET"
_AL_PER_NL = 10**9
_HOUR_MS = 3_600_000
_SAME = 50  # a rate within a 50th of the ordered one is the ordered one, in whole steps


def rows(pump: Pump, status: Status, name: str | None = None) -> list[tuple[str, str]]:
    """Return names and values about a run that a reset cut short; [] when there is none.

    `name` is the order's, where the status has no room for it.
    """
    if status.state == STATE and status.run is not None:
        return _open_rows(status, status.run, _plan(pump), status.run.name or name)
    if any(alarm.code == ALARM for alarm in status.alarms):
        found = last(pump)
        if found is not None:
            return _over_rows(found, status, name)
    return []


def last(pump: Pump) -> Event | None:
    """Return what the pump said about a run when it started, if a reset had cut one short."""
    found = None
    for event in pump.events():
        if event.name == STATE:
            found = event
    return found


def beyond(uncertain_steps: int, al_per_step: int) -> str:
    """Return how much may have flowed beyond the count, rounded up; "" when it is exact."""
    if not uncertain_steps:
        return ""
    ul = -(-uncertain_steps * al_per_step // (1000 * _AL_PER_NL))
    return (
        f"up to {output.ml(ul * 1000)} ({uncertain_steps:,} steps) may have flowed beyond that: "
        "power was lost"
    )


def counted(run: RunState, al_per_step: int) -> str:
    """Return what a run has moved of what was ordered: "1.280 of 2.000 mL (64 %), … steps"."""
    per_cent = run.witnessed_steps * 100 // max(run.ordered_steps, 1)
    steps = f"{run.witnessed_steps:,} of {run.ordered_steps:,} steps witnessed"
    if run.withdrawn_nl:
        volume = f"{output.ml(run.delivered_nl)} infused, {output.ml(run.withdrawn_nl)} withdrawn"
    else:
        ordered = output.ml(run.ordered_steps * al_per_step // _AL_PER_NL)
        volume = f"{output.ml(run.delivered_nl)[:-3]} of {ordered}"
    return f"{volume} ({per_cent} %), {steps}"


def _open_rows(
    status: Status, run: RunState, plan: Plan | None, name: str | None
) -> list[tuple[str, str]]:
    al = 0 if status.syringe is None else status.syringe.al_per_step
    found = [
        ("", "a reset cut the order short; nothing moves until a person says so"),
        ("order", f"{name or 'without a name'} (run {run.id})"),
        ("delivered", counted(run, al)),
    ]
    if run.uncertain_steps:
        found.append(("uncertain", beyond(run.uncertain_steps, al)))
    if run.kvo_steps:
        found.append(("vein open", f"{output.ml(run.kvo_steps * al // _AL_PER_NL)} besides"))
    found.append(("to go", f"{output.ml(run.remaining_nl)} in {output.clock(run.remaining_ms)}"))
    rate = _rate(run, plan)
    if rate:
        found.append(("rate", rate))
    found += [
        ("go on", "doseloop resume: the rest of it, to the step"),
        ("or end it", "doseloop stop: what was delivered is the total"),
    ]
    return found


def _over_rows(event: Event, status: Status, name: str | None) -> list[tuple[str, str]]:
    al = 0 if status.syringe is None else status.syringe.al_per_step
    run, data = status.run, event.data
    if run is not None and run.id == event.run:
        moved, name = counted(run, al), run.name or name
        uncertain = run.uncertain_steps
    else:  # the run itself could not be read; its steps may be another syringe's
        moved = f"{int(data.get('witnessed_steps') or 0):,} steps witnessed"
        uncertain = int(data.get("uncertain_steps") or 0)
    found = [
        ("last run", f"{name or 'without a name'} (run {event.run}): a reset ended it"),
        ("because", str(data.get("why") or "it was stopped since")),
        ("delivered", moved),
    ]
    if uncertain:
        found.append(("uncertain", beyond(uncertain, al)))
    found.append(("next", "doseloop clear, when you have read this; then order what is missing"))
    return found


def _plan(pump: Pump) -> Plan | None:
    try:
        return pump.plan()
    except Refused:
        return None


def _rate(run: RunState, plan: Plan | None) -> str:
    """Return the rate that the rest begins with: the ordered one, unless the time left says that
    it was changed since."""
    if plan is None or not 0 < run.step <= len(plan.stretches):
        return ""
    part = plan.stretches[run.step - 1]
    if part.mode == "pause":
        return ""
    text = f"{output.rates(part)} ({part.mode}, as ordered)"
    if len(plan.stretches) == plan.repeat == 1 and _constant(part) and run.remaining_ms:
        now = run.remaining_nl * _AL_PER_NL * _HOUR_MS // run.remaining_ms
        if abs(now - part.rate_al_per_h) * _SAME > part.rate_al_per_h and run.remaining_nl:
            text = f"about {now / 10**15:.4g} mL/h ({output.rates(part)} were ordered)"
    return text


def _constant(part: Stretch) -> bool:
    return part.mode in ("infuse", "withdraw", "bolus")
