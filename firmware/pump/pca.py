"""Patient-controlled analgesia: who gets a dose, who doesn't, and why (C2, C7-C16, C20, C21).

Rules and counts on top of the limiter; it moves nothing and keeps no clock. Times are pump time in
ms, rates aL/h, volumes aL. The caller stores `dump` after each accepted request before the motor
follows, and otherwise at least every grace_ms of `restore`.
"""

from pump import shown
from pump.arith import HOUR_MS
from pump.errors import Refused
from pump.limiter import Limiter

_REACH_MS = 4 * HOUR_MS  # the longest window that an order may have

# Why a request is denied; the first that holds is named.
REASONS = ("state", "delivering", "lockout", "volume", "limit")


class Pca:
    """One prescription being given: basal rate, patient doses, clinician boluses.

    Raise Refused for what can never work. limits: [(window_ms, volume_al), ...];
    boluses_count: whether clinician boluses count towards them (C21).
    """

    def __init__(
        self, basal, dose_al, dose_rate, lockout_ms, limits, rate_max, boluses_count=True
    ):
        self.dose_al = dose_al
        self.dose_rate = dose_rate
        self.lockout_ms = lockout_ms
        self.boluses_count = boluses_count
        self._rate_max = rate_max
        self._limiter = Limiter(limits, _REACH_MS)
        self._check(basal)
        self.basal = basal
        self.running = False
        # The doses under way, a suspended one first:
        # [end_ms, ms, volume, rate, patient, counts towards the limits, square].
        self._giving = []
        self._last = None  # start of the last accepted patient dose
        # Accepted, and the volume that flowed: [clinician boluses, patient doses].
        self._count = [0, 0]
        self._volume = [0, 0]
        self._denied = [0] * len(REASONS)  # demands only
        self._committed = False

    # -- flow ---------------------------------------------------------------------------------

    def begin(self, now_ms):
        """Begin or go on with the basal rate. Raise Refused(E_LIMIT) naming the wait."""
        if not self.running:
            if not self._committed:
                self._afford(now_ms, self.basal)
            self._committed = False
            self._limiter.flow(now_ms, self.basal)
            self.running = True

    def halt(self, now_ms, rate=0):
        """End basal rate and doses: pause, stop or alarm. Return the volume of those cut short.

        None if there was none. What is left of them is never given later by itself (C8); a
        lockout goes on. rate: what flows instead (C14: KVO); it is counted, not judged.
        """
        self._settle(now_ms)
        flowed = self._close(now_ms) if self._giving else None
        if self._giving:
            flowed += self._close(now_ms)
        self._limiter.flow(now_ms, rate)
        self.running = False
        return flowed

    def check_basal(self, now_ms, basal):
        """Raise Refused when the basal rate can't become this one now."""
        self._settle(now_ms)
        if self._giving:
            raise Refused("E_STATE", "a dose is being given", next_step="wait for its end")
        self._check(basal, True)
        if self.running and basal > self.basal:  # less is always allowed
            self._afford(now_ms, basal)

    def change_basal(self, now_ms, basal):
        """Change the basal rate. Raise Refused and change nothing when it can't be."""
        self.check_basal(now_ms, basal)
        if self.running:
            self._limiter.flow(now_ms, basal)
        self.basal = basal

    @property
    def dose_until(self):
        """When the dose under way ends, as it was last looked at; None when there is none."""
        return self._giving[-1][0] if self._giving else None

    # -- requests -----------------------------------------------------------------------------

    def demand(self, now_ms, room_al):
        """Answer the patient: ((duration_ms, rate), None), or (None, why of REASONS).

        The rate includes the basal rate. room_al: what the syringe still gives.
        """
        piece, why = self._give(now_ms, self.dose_al, self.dose_rate, room_al, True)
        if piece:
            self._last = now_ms
        else:
            self.deny(why)
        return piece, why

    def deny(self, why):
        """Count a demand that the caller can't let through."""
        self._denied[REASONS.index(why)] += 1

    def bolus(self, now_ms, volume_al, rate, room_al, square=False):
        """Answer a clinician as `demand` does: no lockout, and kept apart from the demands.

        square: a dose that another one suspends (C3), to go on after it with what is left.
        """
        self._check_bolus(volume_al, rate, self.basal)
        return self._give(now_ms, volume_al, rate, room_al, False, square)

    def limited(self, now_ms):
        """Return whether a limit would deny a demand now, whatever else would."""
        self._settle(now_ms)
        piece = (_ms(self.dose_al, self.dose_rate), self.basal + self.dose_rate)
        return self._limiter.refuses(now_ms, [piece] + self._rest(now_ms), self.basal) is not None

    def allowed_from(self, now_ms):
        """Return when a demand would first be given, None when not as things stand.

        Beside a square dose: with the end of the lockout, or none before the square one's end.
        """
        self._settle(now_ms)
        if self._busy() or not self.running:
            return None
        piece = (_ms(self.dose_al, self.dose_rate), self.basal + self.dose_rate)
        locked = self._locked(now_ms)
        rest = self._rest(now_ms)
        if rest:
            left, rate = rest[0]
            waits = [(locked, rate), piece, (left - locked, rate)]
            if locked < left and not self._limiter.refuses(now_ms, waits, self.basal):
                return now_ms + locked
        at = self._limiter.allowed_from(now_ms, [piece], self.basal, rest)
        return None if at is None else max(at, now_ms + locked)

    # -- record -------------------------------------------------------------------------------

    def as_dict(self, now_ms):
        """Return counts, lockout and use of the limits as status shows them."""
        self._settle(now_ms)
        used = [self._limiter.used(now_ms, window) for window, _ in self._limiter.limits]
        return {
            "demands": self._count[1] + sum(self._denied),
            "given": self._count[1],
            "given_nl": self._volume[1] // 10**9,
            "denied": dict(zip(REASONS, self._denied)),
            "boluses": self._count[0],
            "bolus_nl": self._volume[0] // 10**9,
            "boluses_count": self.boluses_count,
            "lockout_ms": self._locked(now_ms),
            "used_nl": [-(-volume // 10**9) for volume in used],
        }

    def dump(self, now_ms):
        """Return all that must survive a reset as plain lists and integers, for JSON."""
        self._settle(now_ms)
        volume = self._volume[:]
        history, at = self._limiter.dump(now_ms), now_ms
        for dose in reversed(self._giving):
            volume[dose[4]] += _flowed(dose, at)
            at = dose[0]
        if len(self._giving) > 1:
            # Whichever of the two flows faster may flow while this is the last that is stored.
            history[0].append(0)
            history[1].append(max([self._with(dose) for dose in self._giving]))
        since = None if self._last is None else now_ms - self._last
        return [history, since, self._count[:], volume, self._denied[:]]

    def restore(self, data, now_ms, grace_ms, goes_on=False):
        """Take over a dump, of this or an earlier prescription; nothing runs afterwards.

        The instant of the dump becomes now: time without power counts zero (C10). grace_ms as in
        Limiter.restore; the volumes given are those of the dump.

        goes_on: it is this prescription's, cut short. A basal rate that flowed then had been
        judged for ever, and a gap in it can't make a window fuller: begin() does not judge it
        again, by a history that has grown by the grace.
        """
        history, since, count, volume, denied = data
        self._committed = goes_on and history[1][-1] >= self.basal
        self._limiter.restore(history, now_ms, grace_ms)
        self._count, self._volume, self._denied = count[:], volume[:], denied[:]
        self.running = False
        self._giving = []
        self._last = None if since is None else now_ms - since

    # -- inside -------------------------------------------------------------------------------

    def _give(self, now_ms, volume, rate, room, patient, square=False):
        self._settle(now_ms)
        piece = (_ms(volume, rate), self.basal + rate)
        counts = patient or self.boluses_count
        if not self.running:
            return None, "state"
        if self._busy() or (square and self._giving):
            return None, "delivering"
        if patient and self._locked(now_ms):
            return None, "lockout"
        if piece[0] * piece[1] > room * HOUR_MS:
            return None, "volume"
        pieces = [piece] + self._rest(now_ms)
        if counts and self._limiter.refuses(now_ms, pieces, self.basal):
            return None, "limit"
        if self._giving:
            self._giving[0][0] += piece[0]
        self._giving.append([now_ms + piece[0], piece[0], volume, rate, patient, counts, square])
        self._limiter.flow(now_ms, self._flows())
        self._count[patient] += 1
        return piece, None

    def _busy(self):
        """Return whether a dose is under way that no other suspends."""
        return bool(self._giving) and not self._giving[-1][6]

    def _with(self, dose):
        """Return what flows with a dose, as far as it counts towards the limits."""
        return self.basal + (dose[3] if dose[5] else 0)

    def _flows(self):
        return self._with(self._giving[-1]) if self._giving else self.basal

    def _rest(self, now_ms):
        """Return what is left of a square dose from now on, or from the end of the one that
        suspends it, as pieces for the limiter."""
        if not self._giving or not self._giving[0][6]:
            return []
        since = self._giving[1][0] if len(self._giving) > 1 else now_ms
        return [(self._giving[0][0] - since, self._with(self._giving[0]))]

    def _settle(self, now_ms):
        """Close the doses under way at their own ends, however late this is asked."""
        while self._giving and now_ms >= self._giving[-1][0]:
            self._close(self._giving[-1][0])

    def _close(self, at_ms):
        dose = self._giving.pop()
        flowed = _flowed(dose, at_ms)
        self._volume[dose[4]] += flowed
        if self._giving:
            self._giving[0][0] -= dose[0] - at_ms  # suspended for so much less
        self._limiter.flow(at_ms, self._flows())
        return flowed

    def _locked(self, now_ms):
        """Return the ms until a demand may be given, counted from the last one's start (C9)."""
        return 0 if self._last is None else max(0, self._last + self.lockout_ms - now_ms)

    def _afford(self, now_ms, basal):
        limit = self._limiter.refuses(now_ms, [], basal)
        if limit:
            at = self._limiter.allowed_from(now_ms, [], basal)
            wait = at and "wait " + shown.format(at - now_ms, "duration")
            most = shown.format(limit[1], "volume")
            raise Refused("E_LIMIT", "what flowed leaves no room", limit=most, next_step=wait)

    def _check(self, basal, change=False):
        """Raise Refused when a dose could never be given. change: of the basal rate alone."""
        dose, rate = self.dose_al, self.dose_rate
        self._check_bolus(dose, rate, basal, change)
        ms = _ms(dose, rate)
        if self.lockout_ms < ms:
            hint = "lengthen the lockout, or raise the dose rate"
            raise _refused("E_DURATION", "a dose outlasts the lockout", ms, "duration", hint)
        for window, volume in self._limiter.limits:
            most = volume * HOUR_MS
            left = most - basal * window
            if left < 0:
                raise _refused(
                    "E_LIMIT", "basal rate alone exceeds a limit", most // window, "rate"
                )
            taken = rate * min(ms, window)
            if taken > left:
                nearest, kind = left // rate * rate // HOUR_MS, "volume"  # in whole ms
                if change:
                    nearest, kind = (most - taken) // window, "rate"
                raise _refused("E_LIMIT", "dose and basal rate exceed a limit", nearest, kind)

    def _check_bolus(self, volume, rate, basal, change=False):
        if volume < 1 or rate < 1:
            raise Refused("E_VOLUME", "a dose has a volume and a rate", next_step="give both")
        if basal + rate > self._rate_max:
            most = self._rate_max - (rate if change else basal)
            raise _refused("E_RATE_HIGH", "basal and dose rate exceed the pump's", most, "rate")


def _ms(volume, rate):
    """Return the ms a dose takes, rounded up."""
    return -(-volume * HOUR_MS // rate)


def _flowed(dose, at_ms):
    end, ms, volume, rate = dose[:4]
    return min(volume, rate * (ms - end + at_ms) // HOUR_MS)


def _refused(code, message, nearest, kind, next_step=None):
    text = shown.format(nearest, kind) if nearest > 0 else None
    return Refused(code, message, limit=text, nearest=text, next_step=next_step)
