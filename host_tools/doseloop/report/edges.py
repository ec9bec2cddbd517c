"""How far traced STEP edges are from their ideal instants, by integers only.

In a constant-rate stretch that starts at tick t0, step k is due at t0 + floor(k·P), with
P = al_per_step · 3600 · tick_hz / rate_al_per_h. Ramps and backlash take-up are declared in events
and left out. Ticks count from the pump's start, a trace's nanoseconds from the simulation's: after
a reset the first edge serves as the origin, and where it cut a stretch off, the first edge that is
not due ends it.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from doseloop.errors import FileError
from doseloop.results import Event

# What lies between two stretches that are not one motion.
_BREAKS = frozenset("start resume takeup rate pause stop stretch_end alarm clear load".split())
_SAME_START_NS = 1_000_000  # a pump that was not reset counts from the simulation's start


@dataclass(frozen=True)
class EdgeErrors:
    """Deviation of each edge of the constant-rate stretches, in ns, late is positive."""

    errors_ns: tuple[int, ...]
    tick_ns: int
    excluded: int  # edges of ramps, take-up, and other runs in the same trace

    @property
    def worst_ns(self) -> int:
        """The largest deviation, either way."""
        return max((abs(error) for error in self.errors_ns), default=0)

    def as_json(self) -> dict[str, Any]:
        """Return the sums as one object."""
        return {
            "edges": len(self.errors_ns),
            "worst_ns": self.worst_ns,
            "tick_ns": self.tick_ns,
            "excluded_edges": self.excluded,
        }

    def as_text(self) -> str:
        """Return the sums as half a line."""
        return (
            f"{self.worst_ns / 1000:.3f} µs from its ideal instant, "
            f"{len(self.errors_ns):,} edges (1 tick = {self.tick_ns / 1000:g} µs)"
        )


def read_trace(path: Path) -> list[int]:
    """Return the instants of all edges in ns. Raises `FileError` for a damaged trace."""
    times: list[int] = []
    try:
        with open(path, encoding="ascii") as file:
            for number, line in enumerate(file, 1):
                try:
                    nanoseconds, _ = line.split()
                    times.append(int(nanoseconds))
                except ValueError:
                    raise FileError(
                        f"{path}:{number}: not a line of a trace: {line.strip()[:40]!r}"
                    ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"{path}: {error}") from error
    return times


def measure(path: Path, events: list[Event]) -> EdgeErrors:
    """Return the deviations of the edges in `path` from what the events of a run declare."""
    return compare(read_trace(path), events)


def compare(times_ns: list[int], events: list[Event]) -> EdgeErrors:
    """Return the deviations of sorted edge instants from what `events` declare."""
    errors: list[int] = []
    offset: int | None = None
    tick_ns = 1000
    index = 0
    boots = [
        _stretches([event for event in events if event.boot == boot])
        for boot in sorted({event.boot for event in events})
    ]
    boots = [stretches for stretches in boots if stretches]
    for number, stretches in enumerate(boots, 1):
        if offset is not None and index + stretches[0].lead < len(times_ns):
            offset = times_ns[index + stretches[0].lead] - stretches[0].due_ns(1)
        for stretch in stretches:
            tick_ns = stretch.tick_ns
            if offset is None:
                offset = _offset(times_ns, stretch)
            cut = number < len(boots) and stretch is stretches[-1]
            index, found = stretch.errors(times_ns, index, offset, cut)
            errors += found
        index += stretches[-1].trail
    return EdgeErrors(tuple(errors), tick_ns, len(times_ns) - len(errors))


@dataclass(frozen=True)
class _Stretch:
    t0: int  # ticks
    steps: int
    numerator: int  # of P in ticks
    denominator: int
    tick_ns: int
    until_ns: int | None  # when a stop ramp was asked for
    from_ns: int | None  # when its motion began; None: it goes on from the stretch before
    skip: int  # ramp steps between the stretch before and this one
    lead: int = 0  # edges that are no constant rate's between the last stretch and this one
    trail: int = 0  # the same, of a stop ramp after it

    def due_ns(self, k: int) -> int:
        return (self.t0 + k * self.numerator // self.denominator) * self.tick_ns

    def errors(
        self, times: list[int], index: int, offset: int, cut: bool
    ) -> tuple[int, list[int]]:
        """Return the deviations, looking from `index` on, and the index after the last of them.

        cut: a reset came before the run's next stretch.
        """
        period_ns = self.numerator * self.tick_ns // self.denominator
        # Half a slow period reaches back into whatever moved faster before it.
        if self.from_ns is None:
            index += self.skip
        else:
            index = bisect_left(times, self.from_ns + offset)
        index = max(index, bisect_left(times, self.due_ns(1) + offset - period_ns // 2))
        found: list[int] = []
        for k in range(1, self.steps + 1):
            if index >= len(times):
                break
            at = times[index] - offset
            if self.until_ns is not None and at >= self.until_ns:
                break
            error = at - self.due_ns(k)
            if error > period_ns // 2 or (cut and abs(error) > _SAME_START_NS):
                break  # it was ended here: what comes next is another motion
            found.append(error)
            index += 1
        return index, found


def _offset(times: list[int], stretch: _Stretch) -> int:
    # 0 unless the pump was reset: then its ticks began later than the trace, and the first edge
    # has to serve as the origin.
    due = stretch.due_ns(1)
    at = bisect_left(times, due - _SAME_START_NS)
    if at < len(times) and times[at] - due <= _SAME_START_NS:
        return 0
    return times[0] - due if times else 0


def _stretches(events: list[Event]) -> list[_Stretch]:
    found: list[_Stretch] = []
    goes_on = False
    down = skip = lead = 0
    for place, event in enumerate(events):
        data = event.data
        if event.name == "ramp" and "steps" in data:
            if data.get("why") == "up":
                skip += int(data["steps"])
            else:
                down = int(data["steps"])
                if data.get("why") == "stop" and found:
                    found[-1] = replace(found[-1], trail=down)
            lead += int(data["steps"])
        elif event.name in _BREAKS:
            goes_on = False
            if event.name == "takeup":
                lead += int(data["steps"])
        elif event.name == "stretch":
            tick_hz = int(data["tick_hz"])
            steps, until_ns = _end(int(data["steps"]), events[place + 1 :])
            found.append(
                _Stretch(
                    t0=int(data["t0"]),
                    steps=steps,
                    numerator=int(data["al_per_step"]) * 3600 * tick_hz,
                    denominator=int(data["rate"]),
                    tick_ns=10**9 // tick_hz,
                    until_ns=until_ns,
                    # The first stretch of a motion is announced as the motion begins.
                    from_ns=None if goes_on else event.ms * 1_000_000,
                    skip=skip,
                    lead=lead,
                )
            )
            goes_on, lead = True, 0
            down, skip = 0, down
    return found


def _end(steps: int, later: list[Event]) -> tuple[int, int | None]:
    """Return how many steps a stretch really had, and when a stop ramp cut it, if one did."""
    for event in later:
        if event.name == "stretch":
            break
        if event.name == "stretch_end":
            return min(steps, int(event.data["steps"])), None
        if event.name == "ramp" and event.data.get("why") == "stop":
            return steps, event.ms * 1_000_000
    return steps, None
