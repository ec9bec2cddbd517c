"""Patient-controlled analgesia: who gets a dose, who doesn't, and why (C2, C7-C16, C20, C21).

Rules and counts on top of the limiter; it moves nothing and keeps no clock. Times are pump time in
ms, rates aL/h, volumes aL. The caller stores `dump` after each accepted request before the motor
follows, and otherwise at least every grace_ms of `restore`.
"""

from pump import quantity
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
        self._giving = None  # the dose under way: (start_ms, end_ms, volume, rate, patient)
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
        """End basal rate and dose: pause, stop or alarm. Return the volume of a dose cut short.

        None if there was none. What is left of it is never given later by itself (C8); its
        lockout goes on. rate: what flows instead (C14: KVO); it is counted, not judged.
        """
        self._settle(now_ms)
        flowed = self._close(now_ms) if self._giving else None
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
        return self._giving[1] if self._giving else None

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

    def bolus(self, now_ms, volume_al, rate, room_al):
        """Answer a clinician as `demand` does: no lockout, and kept apart from the demands."""
        self._check_bolus(volume_al, rate, self.basal)
        return self._give(now_ms, volume_al, rate, room_al, False)

    def limited(self, now_ms):
        """Return whether a limit would deny a demand now, whatever else would."""
        self._settle(now_ms)
        piece = (_ms(self.dose_al, self.dose_rate), self.basal + self.dose_rate)
        return self._limiter.refuses(now_ms, [piece], self.basal) is not None

    def allowed_from(self, now_ms):
        """Return when a demand would first be given, None when not as things stand."""
        self._settle(now_ms)
        if self._giving or not self.running:
            return None
        piece = (_ms(self.dose_al, self.dose_rate), self.basal + self.dose_rate)
        at = self._limiter.allowed_from(now_ms, [piece], self.basal)
        return None if at is None else max(at, now_ms + self._locked(now_ms))

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
        if self._giving:
            volume[self._giving[4]] += self._flowed(now_ms)
        since = None if self._last is None else now_ms - self._last
        return [self._limiter.dump(now_ms), since, self._count[:], volume, self._denied[:]]

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
        self._giving = None
        self._last = None if since is None else now_ms - since

    # -- inside -------------------------------------------------------------------------------

    def _give(self, now_ms, volume, rate, room, patient):
        self._settle(now_ms)
        piece = (_ms(volume, rate), self.basal + rate)
        counts = patient or self.boluses_count
        if not self.running:
            return None, "state"
        if self._giving:
            return None, "delivering"
        if patient and self._locked(now_ms):
            return None, "lockout"
        if piece[0] * piece[1] > room * HOUR_MS:
            return None, "volume"
        if counts and self._limiter.refuses(now_ms, [piece], self.basal):
            return None, "limit"
        if counts:
            self._limiter.flow(now_ms, piece[1])
        self._giving = (now_ms, now_ms + piece[0], volume, rate, patient)
        self._count[patient] += 1
        return piece, None

    def _settle(self, now_ms):
        """Close the dose under way at its own end, however late this is asked."""
        if self._giving and now_ms >= self._giving[1]:
            self._close(self._giving[1])

    def _close(self, at_ms):
        flowed = self._flowed(at_ms)
        self._volume[self._giving[4]] += flowed
        self._giving = None
        self._limiter.flow(at_ms, self.basal)
        return flowed

    def _flowed(self, at_ms):
        giving = self._giving
        return min(giving[2], giving[3] * (at_ms - giving[0]) // HOUR_MS)

    def _locked(self, now_ms):
        """Return the ms until a demand may be given, counted from the last one's start (C9)."""
        return 0 if self._last is None else max(0, self._last + self.lockout_ms - now_ms)

    def _afford(self, now_ms, basal):
        limit = self._limiter.refuses(now_ms, [], basal)
        if limit:
            at = self._limiter.allowed_from(now_ms, [], basal)
            wait = at and "wait " + quantity.format(at - now_ms, "duration")
            most = quantity.format(limit[1], "volume")
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


def _refused(code, message, nearest, kind, next_step=None):
    text = quantity.format(nearest, kind) if nearest > 0 else None
    return Refused(code, message, limit=text, nearest=text, next_step=next_step)
