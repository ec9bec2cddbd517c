"""What people see: plans, status, summaries.

Text built here is for reading: volumes are rounded to 1 µL, steps are the truth. Results
go to stdout, talk to stderr; nothing here talks to a pump.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from doseloop import library_view, quantities, resources
from doseloop.results import Event, PcaState, Plan, RunState, Status, Stretch

if TYPE_CHECKING:
    from doseloop.doses import Ordered
    from doseloop.outlook import Outlook

_NL_PER_UL = 1000
_AL_PER_NL = 10**9
_HOUR_MS = 3_600_000
_RUNNING = frozenset("infusing withdrawing bolus kvo paused alarm interrupted".split())


def ml(nl: int) -> str:
    """Return nanolitres as "12.345 mL", to the nearest µL, half up.

    Whole steps hold a little less than what was ordered: floored, 40 mL would read 39.999 mL.
    """
    ul = (nl + _NL_PER_UL // 2) // _NL_PER_UL
    return f"{ul // 1000}.{ul % 1000:03d} mL"


def ordered_ml(part: Stretch, al_per_step: int) -> str:
    """Return the volume that a stretch was ordered with, to the nearest µL.

    Its whole steps hold a little less; where rate and time give the same within one step, those
    are what was written in the order.
    """
    steps_al = part.steps * al_per_step
    al = part.rate_al_per_h * part.duration_ms // _HOUR_MS
    if abs(al - steps_al) > al_per_step:
        al = steps_al
    return ml(al // _AL_PER_NL)


def clock(ms: int) -> str:
    """Return milliseconds as "1:02:03", hours first, rounded up to a second."""
    seconds = -(-ms // 1000)
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def rate(al_per_h: int) -> str:
    """Return a rate as a person writes it; floored to 1 nL/h where it is not round."""
    if al_per_h % _AL_PER_NL:
        return f"≈ {quantities.show(al_per_h // _AL_PER_NL * _AL_PER_NL, 'rate')}"
    return quantities.show(al_per_h, "rate")


def table(rows: Iterable[tuple[str, str]], indent: str = "") -> str:
    """Return names and values as two aligned columns."""
    pairs = list(rows)
    width = max((len(name) for name, _ in pairs), default=0)
    return "\n".join(f"{indent}{name:<{width}}  {value}" for name, value in pairs)


def plan_text(
    plan: Plan,
    al_per_step: int,
    name: str | None = None,
    doses: Iterable[Ordered] = (),
    outlook: Outlook | None = None,
) -> str:
    """Return a plan as lines: what moves how long at which rate, then doses, sums, limits."""
    lines = [f"Plan: {name}" if name else "Plan:"]
    header = ("step", "mode", "rate", "volume", "time")
    rows: list[tuple[str, ...]] = [header]
    for number, part in enumerate(plan.stretches, 1):
        still = part.mode == "pause"
        rows.append(
            (
                str(number),
                part.mode,
                rates(part),
                "" if still else ordered_ml(part, al_per_step),
                clock(part.duration_ms),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    for row in rows:
        cells = (f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True))
        lines.append("  " + "  ".join(cells).rstrip())
    lines += [
        f"  step {number}: {part.count} doses, one every {clock(part.every_ms)}"
        for number, part in enumerate(plan.stretches, 1)
        if part.every_ms is not None
    ]
    if plan.repeat > 1:
        lines.append(f"  all of it {plan.repeat} times")
    lines += [f"  {dose.said}" for dose in doses]
    lines.append(
        f"  in all {plan.ordered_steps:,} whole steps, {_volumes(plan, al_per_step)}, "
        f"in {clock(plan.duration_ms)}"
    )
    if plan.syringe:
        fill = f", filled with {quantities.show(plan.fill_al, 'volume')}" if plan.fill_al else ""
        lines.append(f"  syringe {plan.syringe}{fill}")
    if plan.fault_al is not None:
        lines.append(f"  {fault_text(plan.fault_al)}")
    if plan.syringe_changes:
        lines.append(f"  ! {plan.syringe_changes} syringe change(s): it stops at empty and waits")
    if outlook is not None:
        lines.append(table(_outlook_rows(outlook), "  "))
    return "\n".join(lines)


def fault_text(fault_al: int) -> str:
    """Return what any single fault may deliver, in aL, rounded up to a microlitre."""
    return f"a single fault delivers at most {ml(-(-fault_al // 10**12) * 1000)}"


def _outlook_rows(outlook: Outlook) -> list[tuple[str, str]]:
    """Return what a plan uses of the limits, and where it leaves the plunger."""
    rows: list[tuple[str, str]] = []
    if outlook.slowest_al_per_h:
        most, least = outlook.rate_max_al_per_h, outlook.rate_min_al_per_h
        per_mille = -(-outlook.fastest_al_per_h * 1000 // most)
        rows += [
            (
                "fastest",
                f"{rate(outlook.fastest_al_per_h)}: {per_mille / 10:g} % of the pump's most, "
                f"{_about(most)}",
            ),
            (
                "slowest",
                f"{rate(outlook.slowest_al_per_h)}: {outlook.slowest_al_per_h // least:,} times "
                f"its least, {_about(least)}",
            ),
        ]
    for window in outlook.windows:
        rows.append(
            (
                f"any {quantities.show(window.window_ms, 'duration')}",
                f"at most {ml(window.most_nl)}, asked for at every chance; "
                f"limit {quantities.show(window.limit_al, 'volume')}",
            )
        )
    if outlook.windows:
        how = "counted towards" if outlook.boluses_count else "given apart from"
        rows.append(("boluses", f"a clinician's are {how} the limits"))
    end = f"ends at step {outlook.position_steps:,}, {ml(outlook.remaining_nl)} left"
    if outlook.full:
        end = f"! full at step {outlook.position_steps:,}: it can't withdraw all of it"
    if outlook.syringes > 1:
        end += f", in syringe {outlook.syringes}"
    if outlook.windows:
        end += " (without demands)"
    return [*rows, ("plunger", end)]


def _about(al_per_h: int) -> str:
    """Return a limit of the pump to five digits or so, floored."""
    unit = 10 ** max(0, len(str(al_per_h)) - 5)
    return quantities.show(al_per_h // unit * unit, "rate")


def pca_text(pca: PcaState, now_ms: int, *, asked: bool) -> str:
    """Return what a demand came to, and the counts."""
    denied = ", ".join(f"{count} {why}" for why, count in pca.denied.items() if count)
    lines: list[str] = []
    if asked:
        lines.append("given" if pca.given_now else "denied")
    rows = [
        (
            "demands",
            f"{pca.demands}: {pca.given} given ({ml(pca.given_nl)}), denied {denied or 0}",
        ),
        (
            "clinician",
            f"{pca.boluses} ({ml(pca.bolus_nl)}), "
            f"{'counted' if pca.boluses_count else 'apart from the limits'}",
        ),
        ("in the windows", ", ".join(ml(used) for used in pca.used_nl)),
    ]
    if pca.allowed_from_ms is not None:
        rows.append(("next", "now" if pca.allowed_from_ms <= now_ms
                     else f"in {clock(pca.allowed_from_ms - now_ms)}"))  # fmt: skip
    return "\n".join([*lines, table(rows)])


def rates(part: Stretch) -> str:
    """Return the rate of a step of a plan, of a ramp both; "" for one that stands."""
    if part.mode == "pause":
        return ""
    first = rate(part.rate_al_per_h)
    last = part.rate_end_al_per_h
    return first if last is None else f"{first} → {rate(last)}"


def _volumes(plan: Plan, al_per_step: int) -> str:
    """Return the volume of a plan; what is withdrawn is never added to what is infused."""

    def volume(steps: int) -> str:
        return ml(steps * al_per_step // _AL_PER_NL)

    back = plan.repeat * sum(part.steps for part in plan.stretches if part.mode == "withdraw")
    if not back:
        return volume(plan.ordered_steps)
    return f"{volume(plan.ordered_steps - back)} infused, {volume(back)} withdrawn"


def _moved(run: RunState) -> str:
    if run.primed_nl:
        return f"{ml(run.primed_nl)} primed, none delivered"
    return f"{ml(run.delivered_nl)} delivered"


def status_text(status: Status, others: Iterable[tuple[str, str]] = ()) -> str:
    """Return a status as lines; `others` (interruption.py) tell of the run what it can't."""
    pump = status.pump
    rows = [
        ("pump", f"{pump.alias or pump.serial} on {pump.port} ({pump.tier}, {pump.board or '?'})"),
        ("state", status.state),
    ]
    for alarm in status.alarms:
        quiet = ", silenced" if alarm.silenced else ""
        shown = f"{alarm.code} ({alarm.priority}{quiet}), {alarm.since_ms} ms after boot"
        rows.append(("alarm", shown))
    run = status.run
    more = list(others)
    if more:
        rows += more
    elif run is not None and status.state not in _RUNNING:
        rows.append(
            (
                "last run",
                f"{run.id}: {_moved(run)}, "
                f"{run.witnessed_steps:,} of {run.ordered_steps:,} steps witnessed",
            )
        )
    elif run is not None:
        rows += [
            ("run", f"{run.id}, step {run.step}"),
            (
                "primed" if run.primed_nl else "delivered",
                f"{ml(run.primed_nl or run.delivered_nl)}, {ml(run.remaining_nl)} to go",
            ),
            (
                "steps",
                f"{run.ordered_steps:,} ordered, {run.commanded_steps:,} commanded, "
                f"{run.witnessed_steps:,} witnessed",
            ),
            ("time left", clock(run.remaining_ms)),
        ]
        if run.bolus_left_nl is not None and run.bolus_left_ms is not None:
            left = f"{ml(run.bolus_left_nl)}, {clock(run.bolus_left_ms)} to go"
            rows.append(("bolus", left))
    if status.rate_al_per_h:
        rows.append(("rate", rate(status.rate_al_per_h)))
    rows.append(("library", library_view.in_force(status, status.state in _RUNNING)))
    syringe = status.syringe
    if syringe is None or syringe.model is None:
        rows.append(("syringe", "none: doseloop config push --board BOARD --syringe SYRINGE"))
    else:
        left = "contents unknown" if syringe.remaining_nl is None else ml(syringe.remaining_nl)
        cal = "calibrated" if syringe.calibrated else "not calibrated"
        rows.append(("syringe", f"{syringe.model}, {left}, {cal}"))
    return table(rows)


def describe(event: Event) -> str:
    """Return the facts of an event in words, for progress and report; `logs` shows them all."""
    data: dict[str, Any] = event.data
    match event.name:
        case "stretch":
            way = ", withdrawing," if data.get("dir", 1) < 0 else ""
            return (
                f"{data['steps']:,} steps{way} at {rate(int(data['rate']))} "
                f"from tick {data['t0']:,}"
            )
        case "start":
            return f"{data.get('ordered_steps', 0):,} steps ordered"
        case "pause" if "ms_long" in data:
            return f"ordered, for {clock(int(data['ms_long']))}"
        case "takeup":
            return f"{data['steps']} steps of backlash, not booked"
        case "ramp" if "steps" in data:
            return f"{data['why']}, {data['steps']:,} steps in {data['ticks']:,} ticks"
        case "stretch_end":
            return f"after {data['steps']:,} steps"
        case "near_empty":
            return f"{ml(int(data.get('remaining_nl', 0)))} left in the syringe"
        case "rate":
            return f"from {rate(int(data['old']))} to {rate(int(data['rate']))}"
        case "interrupted":
            why = f"; can't go on: {data['why']}" if data.get("why") else ""
            more = f", {data['uncertain_steps']:,} more are possible"
            return (
                f"by a reset, {data['witnessed_steps']:,} steps witnessed"
                f"{more if data.get('uncertain_steps') else ''}{why}"
            )
        case "end" | "stop":
            return (
                f"{data.get('reason', '')}: {data.get('ordered_steps', 0):,} ordered, "
                f"{data.get('commanded_steps', 0):,} commanded, "
                f"{data.get('witnessed_steps', 0):,} witnessed"
            )
        case "alarm":
            return f"{data.get('code')} ({data.get('priority')}): {data.get('text')}"
        case _:
            return ", ".join(f"{name} {value}" for name, value in data.items())


def event_line(event: Event) -> str:
    """Return an event as one line: boot, number, time since boot, name, facts."""
    fact = resources.firmware_module("shown").fact
    facts = "".join(fact(name, value) for name, value in event.data.items()).strip()
    run = f" run {event.run}" if event.run else ""
    when = f"{event.boot}:{event.n:<4} {event.ms / 1000:>12.3f} s"
    return f"{when}  {event.name}{run} {facts}".rstrip()
