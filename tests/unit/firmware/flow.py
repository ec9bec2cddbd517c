"""The oracle of motion: exact instants in fractions.Fraction. Imports nothing from the firmware.

It knows contracts.md (P, floor(V / al), t0 + floor(k P)) and what a tick segment means.
"""

from fractions import Fraction
from itertools import pairwise

HOUR_TICKS = 3600 * 1_000_000
PERIOD_MAX = (1 << 30) - 1

# al_per_step of pico_tmc2209 with a 50 mL, of pico_a4988 with a 1 mL syringe, and rough extremes.
AL_PER_STEP = (173530803503, 5419394835, 1_000_003, 123_456_789_012_345)


def period(al_per_step, rate_al_per_h):
    """Return P in ticks."""
    return Fraction(al_per_step * HOUR_TICKS, rate_al_per_h)


def rate_span(al_per_step):
    """Return the slowest and the fastest rate that the format allows: P from 2**30 - 1 to 5."""
    return -(-al_per_step * HOUR_TICKS // PERIOD_MAX), al_per_step * HOUR_TICKS // 5


def due(t0, k, p):
    """Return the tick at which step k is due."""
    return t0 + k * p.numerator // p.denominator


def expand(segments, edge=0):
    """Return the edge instants that (steps, first, q, r, d, e) segments mean."""
    edges = []
    for n, first, q, r, d, e in segments:
        begin = edge + first
        edges += [begin + j * q + (e + j * r) // d for j in range(n)]
        edge = edges[-1]
    return edges


def flow_edges(stretches, al_per_step, phase_al=0):
    """Yield the exact instants at which a flow of (volume_al, rate) stretches fills each step.

    Time 0 is when the flow begins; ``phase_al`` has flowed since the last step before it.
    """
    time = Fraction(0)
    held = phase_al
    for volume, rate in stretches:
        p = period(al_per_step, rate)
        begin, upto = held, held + volume
        for k in range(1, upto // al_per_step + 1):
            yield time + p * Fraction(k * al_per_step - begin, al_per_step)
        held = upto % al_per_step
        time += p * Fraction(volume, al_per_step)


def intervals(edges):
    """Return the differences of neighbours."""
    return [b - a for a, b in pairwise(edges)]
