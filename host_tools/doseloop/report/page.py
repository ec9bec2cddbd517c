"""One run as one self-contained HTML page: no script, nothing fetched, ready to print."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from doseloop import interruption, output
from doseloop.errors import FileError, UsageError
from doseloop.explain import stops
from doseloop.planning import flows
from doseloop.report import edges as edge_errors
from doseloop.report.svg import Chart, Mark, Series, bars
from doseloop.results import Event, Plan, withdrawn_nl
from doseloop.store import RunRecord, Sample, Store

_HOUR_MS = 3_600_000
_NL_PER_ML = 10**6
_AL_PER_ML = 10**15
_BENDS = 12  # of the line that draws the volume of a ramp
_BARS = 9
_ENDS = ("end", "stop")
_COUNTS = ("ordered_steps", "commanded_steps", "witnessed_steps", "delivered_nl")


@dataclass(frozen=True)
class _Axis:
    """Time on the charts: since the start of the run, in the unit that suits its length.

    The pump counts from each boot anew. How long it had no power nobody knows: a boot begins
    where the last one was heard of last.
    """

    start_ms: int
    unit: str
    unit_ms: int
    begins: dict[int, int]  # of each boot, in ms of the first

    def ms(self, boot: int, ms: int) -> int:
        return self.begins[boot] + ms - self.start_ms

    def at(self, boot: int, ms: int) -> float:
        return max(0, self.ms(boot, ms)) / self.unit_ms


def write(run: str | None, serial: str | None, target: Path, trace: Path | None = None) -> None:
    """Write the page about `run` (else the newest) to `target`; `trace` adds its STEP edges.

    Raises `UsageError` without such a run, `FileError` when `target` can't be written.
    """
    with Store() as store:
        record = store.find_run(run, serial)
        text = render(
            record,
            store.run_events(record),
            store.samples(record.serial, record.run),
            _trace_of(record, trace),
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise FileError(f"cannot write {target}: {error.strerror}") from error


def need_jinja() -> Any:
    """Return the template engine, or raise `UsageError` that says what to install."""
    try:
        import jinja2
    except ImportError:
        raise UsageError(
            "a report needs the template engine jinja2", next="pip install 'doseloop[report]'"
        ) from None
    return jinja2


def render(
    record: RunRecord, events: list[Event], samples: list[Sample], trace: Path | None
) -> str:
    """Return the page as HTML."""
    jinja2 = need_jinja()
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("doseloop.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shown = (output.ml, output.clock, output.rates, output.ordered_ml)
    environment.globals |= {function.__name__: function for function in shown}
    last = samples[-1].status if samples else None
    pump, syringe = (None, None) if last is None else (last.pump, last.syringe)
    al_per_step = 0 if syringe is None else syringe.al_per_step
    if record.ended is None and last is not None and last.run is not None:
        run = last.run  # so far
        counts = (run.ordered_steps, run.commanded_steps, run.witnessed_steps, run.delivered_nl)
        record = replace(record, **dict(zip(_COUNTS, counts, strict=True)))
    # What the pump reports after the end still names this run.
    end = max(((event.boot, event.ms) for event in events if event.name in _ENDS), default=None)
    samples = [
        sample
        for sample in samples
        if end is None or (sample.boot, sample.status.device_ms) <= end
    ]
    axis = _axis(record.plan, events, samples)
    errors = None if trace is None else edge_errors.measure(trace, events)
    resets = [event for event in events if event.name == interruption.STATE]
    uncertain = max((int(event.data.get("uncertain_steps") or 0) for event in resets), default=0)
    # The alarm that goes with a reset is answered by whoever goes on or stops.
    alarms = [
        event
        for event in events
        if event.name == "alarm" and event.data.get("code") != interruption.ALARM
    ]
    ends = [event.data for event in events if event.name in _ENDS]
    primed_nl = max((int(data.get("primed_nl") or 0) for data in ends), default=0)
    return environment.get_template("page.html.j2").render(
        record=record,
        pump=pump,
        syringe=syringe,
        withdrawn_nl=withdrawn_nl(
            record.witnessed_steps or 0, record.delivered_nl or 0, al_per_step, primed_nl
        ),
        primed_nl=primed_nl,
        complete=record.reason == "done" and not _stopping(alarms),
        alarms=alarms,
        events=events,
        at_ms=axis.ms,
        boots=len(axis.begins),
        resets=resets,
        beyond=interruption.beyond(uncertain, al_per_step),
        device_ms=_device_ms(events, samples, axis),
        volume_chart=_volume_chart(record.plan, al_per_step, samples, events, axis),
        rate_chart=_rate_chart(record.plan, events, axis),
        errors=errors,
        histogram=None if errors is None or not errors.errors_ns else _histogram(errors),
        library=_library(events),
        describe=output.describe,
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def _trace_of(record: RunRecord, named: Path | None) -> Path | None:
    if named is not None:
        return named
    if record.trace is not None and Path(record.trace).is_file():
        return Path(record.trace)
    return None


def _library(events: list[Event]) -> str | None:
    """Return what the run was held against, by its start event; "": that does not say it."""
    for event in events:
        if event.name == "start" and "library" in event.data:
            return event.data["library"]
    return ""


def _stopping(alarms: list[Event]) -> bool:
    return any(stops(str(alarm.data.get("code"))) for alarm in alarms)


def _axis(plan: Plan | None, events: list[Event], samples: list[Sample]) -> _Axis:
    instants = _instants(events, samples)
    begins: dict[int, int] = {}
    length = 0
    for boot, ms in sorted(instants):
        begins.setdefault(boot, length)
        length = begins[boot] + ms
    starts = [event.ms for event in events if event.name == "start"]
    start = starts[0] if starts else min((ms for _, ms in instants), default=0)
    length = max(length - start, 0 if plan is None else plan.duration_ms)
    if length > 3 * _HOUR_MS:
        return _Axis(start, "h", _HOUR_MS, begins)
    if length > 300_000:
        return _Axis(start, "min", 60_000, begins)
    return _Axis(start, "s", 1000, begins)


def _instants(events: list[Event], samples: list[Sample]) -> list[tuple[int, int]]:
    found = [(event.boot, event.ms) for event in events]
    return found + [(sample.boot, sample.status.device_ms) for sample in samples]


def _device_ms(events: list[Event], samples: list[Sample], axis: _Axis) -> int:
    return max((axis.ms(*instant) for instant in _instants(events, samples)), default=0)


def _volume_chart(
    plan: Plan | None,
    al_per_step: int,
    samples: list[Sample],
    events: list[Event],
    axis: _Axis,
) -> str:
    """Return the infused volume over time; what is withdrawn is not in it."""
    delivered = [
        (axis.at(boot, status.device_ms), status.run.delivered_nl / _NL_PER_ML)
        for boot, status in samples
        if status.run is not None
    ]
    for event in events:
        at, data = axis.at(event.boot, event.ms), event.data
        if event.name in _ENDS and "delivered_nl" in data:
            delivered.append((at, int(data["delivered_nl"]) / _NL_PER_ML))
        elif event.name == interruption.STATE:
            delivered.append((at, int(data["booked_in"]) * al_per_step / _AL_PER_ML))
    delivered.sort(key=lambda point: point[0])
    series = [
        Series("ordered", "ordered", _ordered(plan, al_per_step, axis)),
        Series("delivered", "delivered", [(0.0, 0.0), *delivered]),
    ]
    marks = [
        Mark(axis.at(event.boot, event.ms), str(event.data.get("code", event.name)))
        for event in events
        if event.name == "alarm" and event.data.get("code") != interruption.ALARM
    ]
    marks += [
        Mark(axis.at(event.boot, event.ms), "reset")
        for event in events
        if event.name == interruption.STATE
    ]
    marks += [
        Mark(axis.at(event.boot, event.ms), event.name.replace("_", "-"), "note")
        for event in events
        if event.name in ("pause", "near_empty", "rate", "stop", "load")
        and axis.ms(event.boot, event.ms) > 0
    ]
    return Chart(f"time in {axis.unit}", "volume in mL", series, marks).render()


def _ordered(plan: Plan | None, al_per_step: int, axis: _Axis) -> list[tuple[float, float]]:
    if plan is None:
        return []
    points = [(0.0, 0.0)]
    at_ms, steps = 0, 0
    for mode, first, last, made, ms in flows(plan):
        made = made if mode != "withdraw" else 0
        for part in range(1, _BENDS + 1) if first != last else (_BENDS,):
            # Of a part x of its time a ramp has given x (2 r0 + (r1 - r0) x) / (r0 + r1).
            x = part / _BENDS
            share = x * (2 * first + (last - first) * x) / (first + last) if first != last else 1
            at = (at_ms + ms * x) / axis.unit_ms
            points.append((at, (steps + made * share) * al_per_step / _AL_PER_ML))
        at_ms += ms
        steps += made
    return points


def _rate_chart(plan: Plan | None, events: list[Event], axis: _Axis) -> str:
    ordered: list[tuple[float, float]] = []
    at_ms = 0
    for _, first, last, _, ms in flows(plan) if plan is not None else ():
        ordered.append((at_ms / axis.unit_ms, first / _AL_PER_ML))
        at_ms += ms
        ordered.append((at_ms / axis.unit_ms, last / _AL_PER_ML))
    series = [
        Series("ordered", "ordered", ordered),
        Series("in effect", "delivered", _rates(events, axis), True),
    ]
    return Chart(f"time in {axis.unit}", "rate in mL/h", series, height=180).render()


def _rates(events: list[Event], axis: _Axis) -> list[tuple[float, float]]:
    """Return time and rate in mL/h at each change, from the stretches and what ended them."""
    points: list[tuple[float, float]] = []
    for event in events:
        data = event.data
        if event.name == "stretch":
            # Its tick, not the event's time: the event is recorded when main comes to it.
            ms = int(data["t0"]) * 1000 // int(data["tick_hz"])
            points.append((axis.at(event.boot, ms), int(data["rate"]) / _AL_PER_ML))
        elif event.name in ("pause", "stop", "end", interruption.STATE) or (
            event.name == "alarm" and data.get("priority") != "low"
        ):
            points.append((axis.at(event.boot, event.ms), 0.0))
    return points


def _histogram(errors: edge_errors.EdgeErrors) -> str:
    """Return bars of deviation in ns, centred on 0, wide enough for the worst."""
    width = max(1, -(-2 * errors.worst_ns // _BARS), errors.tick_ns // 4)
    half = _BARS // 2
    counts = [0] * _BARS
    for error in errors.errors_ns:
        place = (error + width // 2) // width
        counts[max(-half, min(half, place)) + half] += 1
    labels = [f"{(index - half) * width:+d}" if index != half else "0" for index in range(_BARS)]
    return bars(labels, counts, "deviation from the ideal instant in ns", "edges")
