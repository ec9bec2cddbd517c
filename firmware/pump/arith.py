"""Exact arithmetic of contracts.md: volumes in attolitres, rates in aL/h, time in ticks.

Big integers, main only. An outsider with the same integers gets the same steps and instants.
"""

TICK_HZ = 1_000_000
MS_TICKS = TICK_HZ // 1000
_HOUR_TICKS = 3600 * TICK_HZ
HOUR_MS = 3_600_000


def steps_of(volume_al, al_per_step):
    """Return the whole steps in a volume."""
    return volume_al // al_per_step


def volume_of(rate_al_per_h, duration_ms):
    """Return the volume of a rate held for a duration, floored to a whole attolitre."""
    return rate_al_per_h * duration_ms // HOUR_MS


def rate_of(volume_al, duration_ms):
    """Return the rate that gives a volume in a duration, floored to a whole aL/h."""
    return volume_al * HOUR_MS // duration_ms


def duration_of(volume_al, rate_al_per_h):
    """Return the milliseconds a volume takes at a rate, floored."""
    return volume_al * HOUR_MS // rate_al_per_h


def ticks_of(volume_al, rate_al_per_h):
    """Return the ticks a volume takes at a rate, floored."""
    return volume_al * _HOUR_TICKS // rate_al_per_h


def volume_in(ticks, rate_al_per_h):
    """Return the volume that flows at a rate in so many ticks, floored."""
    return ticks * rate_al_per_h // _HOUR_TICKS


def period(al_per_step, rate_al_per_h):
    """Return P, the ticks from step to step, as (numerator, denominator), in lowest terms."""
    num = al_per_step * _HOUR_TICKS
    den = rate_al_per_h
    a, b = num, den
    while b:
        a, b = b, a % b
    return num // a, den // a


def rate_hz(al_per_step, rate_al_per_h):
    """Return the step rate in steps/s, rounded up."""
    return -(-rate_al_per_h // (al_per_step * 3600))


# What may flow after any one fault (IEC 60601-2-24 6.8.2 a28, 51.5 a): 0.1 mL, or 1 s of the rate
# where that is more. A dead tick leaves the queue. A hung main leaves the lease that it gave the
# tick: when that is over the tick stops the generator, at most a tick later. 1 s is what a living
# main needs: a wait (motor.py), and in one pass a flash erase (0.4 s) and a look ahead at limits
# (0.35 s).
_FAULT_AL = 10**14
QUEUE_TICKS = 900_000  # tick.HIGH_TICKS, and what the step generator has in hand
LEASE_TICKS = 3_000_000
_LEASE_LEAST = 999_000
_TICK_TICKS = 1_000


def lease_of(rate_al_per_h):
    """Return the ticks of motion that main vouches for at a time, where this is the top rate."""
    ticks = ticks_of(_FAULT_AL, rate_al_per_h) - _TICK_TICKS
    return max(_LEASE_LEAST, min(LEASE_TICKS, ticks))


def fault_volume(rate_al_per_h, al_per_step):
    """Return the most that flows at a rate from any single fault on; its last step is whole."""
    ticks = max(lease_of(rate_al_per_h) + _TICK_TICKS, QUEUE_TICKS)
    return volume_in(ticks, rate_al_per_h) + al_per_step


def isqrt(n):
    """Return floor(sqrt(n)); math.isqrt does not exist on MicroPython."""
    if n < 2:
        return n
    x = 1
    m = n
    while m:  # 2**ceil(bits / 2) >= sqrt(n): Newton's steps then only fall
        m >>= 2
        x <<= 1
    while True:
        y = (x + n // x) >> 1
        if y >= x:
            return x
        x = y
