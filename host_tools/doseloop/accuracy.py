"""The accuracy figures of infusion pumps, from delivered volumes at equal intervals, exactly.

Method of IEC 60601-2-24:1998, 50.102 and 50.103. The samples are a balance's, or counted steps:
with those, `samples_of_steps`, the curve shows the controller's share alone. Volumes in any unit;
the rate is in the same unit an hour. Nothing is resampled or guessed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

WINDOWS_MIN = (2, 5, 11, 19, 31)  # 50.102: the observation intervals of the trumpet
SAMPLE_MS = 30_000  # 50.102: the sample interval S
_HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Window:
    """The largest and smallest mean error, in percent of the rate, over any window so long."""

    minutes: int
    most: Fraction
    least: Fraction


def samples_of_steps(
    edges_ns: Sequence[int],
    al_per_step: int,
    start_ns: int,
    count: int,
    sample_ms: int = SAMPLE_MS,
) -> list[int]:
    """Return the volume in aL delivered at the start and after each of ``count`` samples.

    `edges_ns`: the instants of all steps, sorted; those up to `start_ns` do not count.
    """
    before = bisect_right(edges_ns, start_ns)
    at = [start_ns + i * sample_ms * 1_000_000 for i in range(count + 1)]
    return [(bisect_right(edges_ns, end) - before) * al_per_step for end in at]


def error_a(volumes: Sequence[Fraction | int], rate: Fraction | int, sample_ms: int) -> Fraction:
    """Return the mean error of all samples, in percent of the rate (50.103)."""
    return _error(volumes[-1] - volumes[0], rate, (len(volumes) - 1) * sample_ms)


def trumpet(
    volumes: Sequence[Fraction | int], rate: Fraction | int, sample_ms: int = SAMPLE_MS
) -> list[Window]:
    """Return each window's largest and smallest mean error (50.102).

    The standard sums the flows between samples; the sum telescopes, so that a window needs the
    volumes at its two ends only. Raises `ValueError` when a window is no whole number of samples,
    or longer than the analysis.
    """
    found: list[Window] = []
    for minutes in WINDOWS_MIN:
        span, rest = divmod(minutes * 60_000, sample_ms)
        if rest or span >= len(volumes):
            samples = f"{len(volumes) - 1} samples of {sample_ms} ms"
            raise ValueError(f"a window of {minutes} min does not fit {samples}")
        errors = [
            _error(end - start, rate, span * sample_ms)
            for start, end in zip(volumes, volumes[span:], strict=False)
        ]
        found.append(Window(minutes, max(errors), min(errors)))
    return found


def step_bound(al_per_step: int, rate_al_per_h: int, minutes: int) -> Fraction:
    """Return the bound, in percent, of a stream whose every step is at its ideal instant.

    A window holds less than a step more or fewer than it should.
    """
    return Fraction(100 * 60 * al_per_step, rate_al_per_h * minutes)


def _error(volume: Fraction | int, rate: Fraction | int, ms: int) -> Fraction:
    return 100 * (Fraction(volume) * _HOUR_MS / (Fraction(rate) * ms) - 1)
