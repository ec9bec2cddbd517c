"""The patient's side of a run: the rules of pca.py bound to pump time, storage and events.

Imported when an order is patient-controlled. What was given outlives a reset and the order: it is
stored before the motor follows, and every minute. Pump time is the clock of this boot; restoring
makes the stored instant the present one, so time without power counts for nothing.
"""

import json

from micropython import const

from pump import sealed
from pump.errors import Refused
from pump.pca import Pca
from pump.slots import Slots

_STORE_MS = const(60_000)
_GRACE_MS = const(70_000)  # what may have flowed since it was stored: main looks every second


class Patient:
    """Rules and history. ``storage`` is hal.storage, or a stand-in; ``alarms`` tells a failure."""

    def __init__(self, clock, events, alarms, storage):
        self._clock = clock
        self._events = events
        self._alarms = alarms
        self._slots = Slots(storage, "pca")
        self._rules = None
        self._stored_ms = 0
        self._damaged = False
        self.flowing = False  # as the rules have been told
        self._counted = False  # a demand that was denied, and is not stored yet

    @property
    def ready(self):
        """True when rules are in force."""
        return self._rules is not None

    def prescribe(self, step, basal, rate_max, unmet):
        """Put an order's rules in force, with the history so far; or raise Refused.

        basal: its rate now; unmet: demands that came since it was planned, with which its counts
        begin. None: it goes on after a reset, and the counts are its own.

        E_STORE: what is stored is damaged. What was given is then for a person to judge, who says
        so by clearing the alarm.
        """
        dose, dose_rate, lockout, limits, count = step.pca
        rules = Pca(basal, dose, dose_rate, lockout, limits, rate_max, count)
        now = self._clock.ms()
        if self._rules is not None:
            history, grace = self._rules.dump(now), 0
        else:
            history, grace = self._load(), _GRACE_MS
        if self._damaged:
            raise Refused(
                "E_STORE",
                "the record of what was given is damaged",
                next_step="find out what was given; `clear`, then begin without a history",
            )
        if history is not None:
            if unmet is not None:
                history[2], history[3] = [0, 0], [0, 0]
                history[4] = [0] * len(history[4])
            rules.restore(history, now, grace, unmet is None)
        for _ in range(unmet or 0):
            rules.deny("state")
        self._rules = rules

    def acknowledge(self):
        """A person has cleared the alarm: a damaged history counts as none from now on."""
        if self._damaged:
            self._damaged = False
            self._slots.write("null")

    def begin(self):
        """The basal rate begins or goes on. Raise Refused when a limit leaves no room for it."""
        self._rules.begin(self._clock.ms())
        self.flowing = True
        self._store()

    def halt(self, rate=0):
        """It ends, for a pause, a stop or an alarm; ``rate``: what flows instead."""
        self._rules.halt(self._clock.ms(), rate)
        self.flowing = rate > 0
        self._store()

    def demand(self, room_al, ready):
        """The patient asks. Return (volume, rate) of the dose to give, or None; both recorded.

        ready: whether the motor could begin now.
        """
        piece, why = None, "state"
        if ready:
            piece, why = self._rules.demand(self._clock.ms(), room_al)
        else:
            self._rules.deny(why)
        if piece is None:
            self._counted = True
            self._events.add("denied", why=why)
            if why == "limit":
                self._alarms.tell("A_LIMIT", self._events)
            return None
        self._store()
        self._alarms.end("A_LIMIT", self._events)
        return self._rules.dose_al, self._rules.dose_rate

    def bolus(self, volume_al, rate_al_per_h, room_al, square=False):
        """A clinician asks. Return why not, None when it is to be given."""
        now = self._clock.ms()
        piece, why = self._rules.bolus(now, volume_al, rate_al_per_h, room_al, square)
        if piece is not None:
            self._store()
        else:
            self._events.add("denied", why=why, volume_al=volume_al)
        return why

    def check_basal(self, rate_al_per_h):
        """Raise Refused when the basal rate can't become this one now."""
        self._rules.check_basal(self._clock.ms(), rate_al_per_h)

    def change_basal(self, rate_al_per_h):
        """Change the basal rate, or raise Refused and change nothing."""
        self._rules.change_basal(self._clock.ms(), rate_al_per_h)
        self._store()

    def service(self):
        """Store the history when it is time. Call it every second while something flows."""
        if not self.flowing and not self._counted:
            return
        now, until = self._clock.ms(), self._rules.dose_until
        # Also at a dose's end: else a loss of power in the minute after counts as a dose that
        # went on (grace).
        if now - self._stored_ms >= _STORE_MS or (until is not None and now >= until):
            self._store()
            if self._alarms.stands("A_LIMIT") and not self._rules.limited(self._stored_ms):
                self._alarms.end("A_LIMIT", self._events)

    def kvo(self, rate):
        """Return the rate that may keep the vein open after the order, up to ``rate``: the limits
        have room for the basal rate, and for no more."""
        return min(rate, self._rules.basal)

    def view(self, ahead):
        """Return counts, lockout and use of the limits; ``ahead``: also when the next may come.

        Looking ahead takes a third of a second on the chip: not for who presses a button.
        """
        view = self._rules.as_dict(self._clock.ms())
        if ahead:
            view["allowed_from_ms"] = self._rules.allowed_from(self._clock.ms())
        return view

    def _load(self):
        try:
            history = json.loads(self._slots.read() or "null")
            if history is not None and (type(history) is not list or len(history) != 5):
                raise ValueError  # another release's
            return history
        except (sealed.SealError, ValueError):
            self._damaged = True
            self._alarms.raise_("A_STORE")
            self._events.add("fault", code="A_STORE", text="the history of doses is damaged")
            return None

    def _store(self):
        # The queue holds half a second at any rate a syringe pump makes: flash may be written.
        self._stored_ms = now = self._clock.ms()
        self._counted = False
        text = json.dumps(self._rules.dump(now))
        try:
            self._slots.write(text)
        except OSError:
            self._alarms.tell("A_STORE", self._events)
