"""The planner: a stretch of constant rate becomes segments for the tick, exactly.

Step k of a stretch that starts at tick t0 is due at t0 + floor(k * P), P = num / den (arith.py).
The tick has 32-bit integers, so a segment says: first step ``first`` ticks after the edge before,
then q ticks each, plus 1 whenever e + r reaches d.

    P = q + (num mod den) / den, hence floor(k * P) grows by q, and by 1 more whenever the running
    remainder passes den. With den < 2**30 that remainder itself is e, and every edge is exact.
    Otherwise d = 2**30 and r, e are floored to it: each is less than 1 too small in 2**30, so
    after n steps the sum is less than (n + 1) / 2**30 of a tick too small, and with
    n <= 2**19 an edge can come at most one tick early, never late. The next segment begins from
    the exact instant again, so nothing accumulates over any run length.

Times here are ticks from the start of the motion, edge to edge. Main only: big integers.
"""

from micropython import const

from pump import arith

# Exact counts are held in small integers: see tick.fill() for the ranges these give.
_D_MAX = 1 << 30
_STEPS_EXACT = 1 << 29
_STEPS_ROUNDED = 1 << 19
PERIOD_MAX = (1 << 30) - 1  # ticks: 17.9 minutes a step; slower rates are refused
_PIECES = const(48)  # of a ramp; its steps share one interval each


class Ramp:
    """Acceleration limits: start and stop without ramp up to ``pull_in`` Hz, ``accel`` Hz/s."""

    def __init__(self, pull_in_hz, accel_hz_per_s):
        self.pull_in = pull_in_hz
        self.accel = accel_hz_per_s

    def steps(self, hz):
        """Return the steps from pull-in to ``hz``, 0 when no ramp is needed."""
        if hz <= self.pull_in:
            return 0
        # Rounded down, so that its last speed is never above ``hz``.
        return (hz * hz - self.pull_in * self.pull_in) // (2 * self.accel)

    def lag_ms(self, hz, steps):
        """Return how much longer ``steps`` take, with a ramp up and down, than all at ``hz``.

        A short stretch has a lower peak: v^2 = v0^2 + 2 a s.
        """
        n = min(self.steps(hz), steps // 2)
        if not n:
            return 0
        v0, a = self.pull_in, self.accel
        peak = arith.isqrt(v0 * v0 + 2 * a * n)
        # Twice the time of the ramp (n steps), and what is left of them at hz, for all at hz.
        return 2000 * (peak - v0) // a - 2000 * n // hz

    def up(self, steps):
        """Return [(steps, ticks)] of an acceleration from pull-in over ``steps`` steps.

        The pieces end at equal gains of speed, v^2 = v0^2 + 2 a s, and none is shorter than four
        steps. s = v0 t + a t^2 / 2 gives t(s) = (sqrt(v0^2 + 2 a s) - v0) / a, in whole ticks.
        """
        v0, a = self.pull_in, self.accel
        hz = arith.TICK_HZ
        gain = arith.isqrt(v0 * v0 + 2 * a * steps) - v0
        pieces = max(1, min(_PIECES, steps // 4))
        done_steps = done_ticks = 0
        out = []
        for i in range(1, pieces + 1):
            v = v0 + gain * i // pieces
            s = steps if i == pieces else (v * v - v0 * v0) // (2 * a)
            if s < done_steps + 4 and i < pieces:
                continue
            t = (arith.isqrt((v0 * v0 + 2 * a * s) * hz * hz) - v0 * hz) // a
            if s > done_steps:
                out.append((s - done_steps, t - done_ticks))
            done_steps, done_ticks = s, t
        return out


def ramp_segments(pieces):
    """Return tick segments that spread each (steps, ticks) evenly."""
    out = []
    for n, ticks in pieces:
        q, r = ticks // n, ticks % n
        out.append((n, q, q, r, n, r))
    return out


def stretch_segments(num, den, t0, first_k, last_k, edge):
    """Yield segments for steps first_k..last_k of a stretch; ``edge`` is the edge before them.

    Every number is below 2**30. Edges: exact for den < 2**30, else at most one tick early.
    """
    q, rest = num // den, num % den
    exact = den < _D_MAX
    k = first_k
    while k <= last_k:
        n = min(last_k - k + 1, _STEPS_EXACT if exact else _STEPS_ROUNDED)
        due = t0 + k * num // den
        part = k * num % den
        if exact:
            d, r, e = den, rest, part
        else:
            d, r, e = _D_MAX, rest * _D_MAX // den, part * _D_MAX // den
        end = due + (n - 1) * q + (e + (n - 1) * r) // d
        while not exact and n > 1 and end != t0 + (k + n - 1) * num // den:
            n -= 1  # end on an edge that is exact, so that the next segment joins without a jump
            end = due + (n - 1) * q + (e + (n - 1) * r) // d
        yield (n, due - edge, q, r, d, e)
        edge = end
        k += n
