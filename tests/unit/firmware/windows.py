"""The judge of the limiter: volumes in sliding windows, in fractions, from the flow itself.

Imports nothing of the firmware. A flow is a list of changes (ms, rate in aL/h), oldest first; the
last rate goes on for ever, and before the first nothing flowed.
"""

from bisect import bisect_right
from fractions import Fraction

HOUR_MS = 3_600_000


class Volume:
    """The integral of a flow: call it with an instant in ms, get the aL that flowed until then."""

    def __init__(self, changes):
        self.at = [ms for ms, _ in changes]
        self.rates = [rate for _, rate in changes]
        self.sums = [0]  # aL/h * ms, whole numbers
        for i in range(1, len(changes)):
            held = self.at[i] - self.at[i - 1]
            assert held >= 0, "changes out of order"
            self.sums.append(self.sums[-1] + held * self.rates[i - 1])

    def __call__(self, ms):
        return Fraction(self._sum(ms), HOUR_MS)

    def _sum(self, ms):
        i = bisect_right(self.at, ms) - 1
        return self.sums[i] + (ms - self.at[i]) * self.rates[i] if i >= 0 else 0

    def window(self, end, window):
        """Return the volume in the window that ends at an instant."""
        return self(end) - self(end - window)

    def fullest(self, window, since=None):
        """Return the volume of the fullest window that ends at ``since`` or later.

        Between two neighbours of these ends the content is linear in time, so one of them holds
        the maximum; after the last of them it stays what it is there.
        """
        ends = {*self.at, *(ms + window for ms in self.at)}
        if since is not None:
            ends = {ms for ms in ends if ms > since} | {since}
        most = max(self._sum(end) - self._sum(end - window) for end in ends)
        return Fraction(most, HOUR_MS)


def asked(changes, now, pieces, then):
    """Return the flow if a request made now were granted: the past, the pieces, then a rate."""
    flow = [change for change in changes if change[0] < now]
    for ms, rate in pieces:
        flow.append((now, rate))
        now += ms
    return [*flow, (now, then)]


def exceeded(changes, now, pieces, then, limits):
    """Return the limits that a window ending now or later would exceed with this request."""
    volume = Volume(asked(changes, now, pieces, then))
    return [limit for limit in limits if volume.fullest(limit[0], now) > limit[1]]
