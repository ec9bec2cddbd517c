"""Limits on the volume in any sliding window, judged backward and forward (C11, C12, C13).

Pure arithmetic, asked before a flow begins; it moves nothing. Time is pump time: milliseconds
that count only while powered, so that time without power never empties a window (C10). A window
is fullest where one of its ends lies on a change of flow, so only those windows are looked at,
and only those that end now or later: no answer changes an older one.

Holds for the motor too: where floor(flow / al_per_step) steps have been made at any instant, a
window with the volume V has at most ceil(V / al_per_step) of them.
"""

from micropython import const

from pump.arith import HOUR_MS

# A dose every 6 min in a 4 h window makes 80 pieces. As two lists of small integers and shared
# rates about 1 kB.
PIECES_MAX = const(96)


class Limiter:
    """What flowed as far back as the longest window, and what may flow from now on.

    limits: [(window_ms, volume_al), ...]; reach_ms: how far back the history goes at least, for a
    later prescription with a longer window. Rates are aL/h; a volume inside is rate * ms, exact.
    All raise ValueError when now_ms lies before the last change.
    """

    def __init__(self, limits, reach_ms=0):
        self.limits = limits
        self._longest = max([window for window, _ in limits] + [reach_ms])
        # Closed pieces, oldest first; together never shorter than the longest window.
        self._ms = [self._longest]
        self._rates = [0, 0]  # theirs, and last the rate that flows now
        self._since = 0  # when the last began

    def flow(self, now_ms, rate):
        """Note that the pump flows at a rate from now on until told otherwise; 0: it stands.

        Call it before the motor follows.
        """
        held = self._held(now_ms)
        if not held:
            self._rates[-1] = rate
        elif rate != self._rates[-1]:
            self._ms.append(held)
            self._rates.append(rate)
            self._since = now_ms
            self._shorten()

    def refuses(self, now_ms, pieces, then_rate):
        """Return the first limit that a window would exceed, or None; equal is allowed.

        pieces: [(duration_ms, rate), ...] from now on, then then_rate for ever.
        """
        return self._refuses(now_ms, [], pieces, then_rate)

    def allowed_from(self, now_ms, pieces, then_rate, before=()):
        """Return the first ms at which `refuses` would say None, None if never.

        Until then goes on what flows now; or, with pieces before, first these and then then_rate,
        and none is looked for earlier than their end. When the request asks for less than that, an
        earlier ms may exist; the one returned is allowed all the same.
        """
        before = list(before)
        rate = then_rate if before else self._rates[-1]
        low, high = 0, self._longest  # by then all that flowed before now is out of sight
        if self._refuses(now_ms, before + [(high, rate)], pieces, then_rate):
            return None
        while low < high:
            wait = (low + high) // 2
            if self._refuses(now_ms, before + [(wait, rate)], pieces, then_rate):
                low = wait + 1
            else:
                high = wait
        return now_ms + sum([ms for ms, _ in before]) + low

    def used(self, now_ms, window_ms):
        """Return the volume in the window that ends now in aL, rounded up.

        Knows nothing beyond the longest window of the limits.
        """
        ms = self._until(now_ms)
        flowed = _before(ms, self._rates, len(ms), window_ms)[0]
        return -(-flowed // HOUR_MS)

    def dump(self, now_ms):
        """Return the history as lists of integers: lengths and rates, oldest first."""
        return [self._until(now_ms), self._rates[:]]

    def restore(self, data, now_ms, grace_ms):
        """Take over a dump after a reset: the instant it was made is now, and the pump stands.

        grace_ms: the longest time that power may have lasted after the dump. The flow of all of
        it is put into the last millisecond, because the dump's age is not known: a history that
        looks younger than it is over-counts, never under-counts (C10). Raise ValueError when data
        is no dump. A dump reaches back only as far as the windows it was made under.
        """
        if not _is_dump(data):
            raise ValueError("not a limiter's history")
        ms, rates = [self._longest + 1] + data[0], [0] + data[1]
        grace = rates[-1] * grace_ms
        while not ms[-1]:  # dumped at the instant of a change
            ms.pop()
            rates.pop()
        if ms[-1] > 1:
            ms[-1] -= 1
            ms.append(1)
            rates.append(rates[-1])
        rates[-1] += grace
        self._ms = ms
        self._rates = rates + [0]
        self._since = now_ms
        self._shorten()

    def _held(self, now_ms):
        held = now_ms - self._since
        if held < 0:
            raise ValueError("pump time ran backwards")
        return held

    def _until(self, now_ms):
        return self._ms + [self._held(now_ms)]

    def _refuses(self, now_ms, before, pieces, then_rate):
        ms = self._until(now_ms)
        rates = self._rates[:]
        n = len(ms) + len(before)
        for duration, rate in before + pieces:
            ms.append(duration)
            rates.append(rate)
        rates.append(then_rate)
        for limit in self.limits:
            if _exceeds(ms, rates, n, limit[0], limit[1] * HOUR_MS):
                return limit
        return None

    def _shorten(self):
        """Drop what no window reaches, then merge where it costs least.

        Only windows that end later than a closed piece are still judged, so its flow may be moved
        to later, never to earlier. A fall keeps its volume when it is levelled; a rise has to be
        filled up, and that stays for as long as the longest window.
        """
        ms, rates = self._ms, self._rates
        covered = sum(ms)
        while ms and covered - ms[0] >= self._longest:
            covered -= ms.pop(0)
            rates.pop(0)
        while len(ms) > PIECES_MAX:
            best, least = 0, None
            for i in range(len(ms) - 1):
                fall = rates[i] - rates[i + 1]
                cost = fall * ms[i] * (ms[i + 1] if fall > 0 else -self._longest)
                if least is None or cost < least:
                    best, least = i, cost
            a, b = ms[best], ms.pop(best + 1)
            last = rates.pop(best + 1)
            ms[best] = a + b
            rates[best] = max(last, -(-(rates[best] * a + last * b) // (a + b)))


def _before(ms, rates, n, window):
    """Return (flow in the window that ends with n pieces, piece it begins in, ms of that)."""
    i = n - 1
    flowed = 0
    while ms[i] < window and i:
        flowed += ms[i] * rates[i]
        window -= ms[i]
        i -= 1
    return flowed + min(window, ms[i]) * rates[i], i, window


def _exceeds(ms, rates, n, window, most):
    """Slide a window on from the end of the first n pieces; return whether it holds too much."""
    content, begin, before = _before(ms, rates, n, window)
    end, after = n - 1, 0  # `before`, `after`: ms from its ends to the next change of flow
    last = len(ms)
    while content <= most:
        while not before and begin < last:
            begin += 1
            before = ms[begin] if begin < last else 0
        while not after and end < last:
            end += 1
            after = ms[end] if end < last else 0
        if begin == last:
            return False
        go = min(before, after) if end < last else before
        content += go * (rates[end] - rates[begin])
        before -= go
        after -= go
    return True


def _is_dump(data):
    if not isinstance(data, list) or len(data) != 2:
        return False
    if not isinstance(data[0], list) or not isinstance(data[1], list):
        return False
    whole = [type(value) is int and value >= 0 for value in data[0] + data[1]]
    return len(data[0]) == len(data[1]) > 0 and False not in whole
