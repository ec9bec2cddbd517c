"""The alarms that stand: which wins, what is silenced, and what of the table is needed to act.

The table itself, with its texts, is alarm_table.py's, loaded for a moment. Holds no pins: what
sounds and lights is asked of ``voice`` (signals.Signals), where a board has it.
"""

from micropython import const

from pump import borrow
from pump.errors import Refused

SILENCE_MS = const(120_000)  # IEC 60601-2-24 51.107 b
_HEARD_MS = const(10_000)  # between two silences: a burst at least. None lasts by being asked for

_STOPS = const(2)  # alarm_table.ACTS: this and the next
_ENDS = const(3)
_LOAD = const(2)  # alarm_table.ENDINGS
_SELF = const(4)
_COUNTED = const(2 << 2)  # of _acts: high, stops, and a person who clears it may resume
_WINDOW_MS = const(600_000)  # of D8: rolling 10 min
_REPEATS = const(3)


class Alarms:
    """The alarms that stand, highest priority first, each with the time it came."""

    def __init__(self, clock):
        self._clock = clock
        self._since = {}
        self._from = {}  # since when what is not yet an alarm lasts
        self.voice = None
        self.tested_ms = None  # when a test began that nobody has answered for yet
        self._silent_until = 0  # ms; 0: it sounds
        self._sounds_from = 0  # when the silence before ended by itself
        self.changed = False  # what stands, since it was kept
        self._strikes = []  # (ms, code) of those counted, of the last 10 min
        made = borrow.alarm_table()
        self._names = made.PRIORITIES
        # code: rank, what the pump does, when it ends; in one small integer
        self._acts = {
            code: made.PRIORITIES.index(row[0]) | made.ACTS.index(row[1]) << 2
            | made.ENDINGS.index(row[2]) << 4
            for code, row in made.TABLE.items()
        }  # fmt: skip

    def raise_(self, code):
        """Add an alarm; return False when it stands already."""
        if code in self._since:
            return False
        self._acts[code]  # a code that the table has not is a fault, here and now
        self._since[code] = self._clock.ms()
        self._silent_until = self._sounds_from = 0  # a new alarm ends silence
        self.changed = True
        return True

    def clear(self, code):
        """Drop one alarm; return whether it stood."""
        if self._since.pop(code, None) is None:
            return False
        self._from.pop(code, None)
        self.changed = True
        if not self._since:
            self._silent_until = self._sounds_from = 0
        return True

    def stands(self, code):
        """Return whether one alarm stands."""
        return code in self._since

    def tell(self, code, events):
        """Add an alarm, and record it unless it stands already."""
        if self.raise_(code):
            events.add("alarm", code=code, priority=self.priority(code), text=text_of(code))

    def strike(self, code):
        """Count an alarm that a person will clear to go on; return True at the third in 10 min:
        what comes back so often needs more than another start (D8)."""
        if self._acts[code] != _COUNTED:
            return False
        now = self._clock.ms()
        self._strikes = [each for each in self._strikes if each[0] > now - _WINDOW_MS]
        self._strikes.append((now, code))
        if len([1 for each in self._strikes if each[1] == code]) < _REPEATS:
            return False
        self.forgive(code)
        return True

    def forgive(self, code):
        """Count an alarm anew."""
        self._strikes = [each for each in self._strikes if each[1] != code]

    def end(self, code, events):
        """Drop an alarm, and record it if it stood."""
        if self.clear(code):
            events.add("clear", code=code)

    def due(self, code, on, after_ms, events):
        """Tell an alarm when its cause, ``on``, has lasted ``after_ms``, since then or since it
        was cleared; end it with its cause."""
        if not on:
            self._from.pop(code, None)
            self.end(code, events)
        elif code not in self._since:
            now = self._clock.ms()
            if now - self._from.setdefault(code, now) >= after_ms:
                self.tell(code, events)

    def priority(self, code):
        """Return high, medium or low."""
        return self._names[self._acts[code] & 3]

    def stops(self, code):
        """True when the pump stands until a person has cleared it and started again."""
        return self._acts[code] >> 2 & 3 >= _STOPS

    def resumable(self, code):
        """True unless it ends the order."""
        return self._acts[code] >> 2 & 3 < _ENDS

    def latches(self, code):
        """True when a reset does not end it."""
        return self._acts[code] >> 4 != _SELF

    def until_load(self, code):
        """True when nothing but a syringe ends it."""
        return self._acts[code] >> 4 == _LOAD

    def standing(self):
        """Return the codes, highest priority first, older first."""
        return sorted(self._since, key=lambda code: (self._acts[code] & 3, self._since[code]))

    def stopping(self):
        """Return the codes of those that stop the pump."""
        return [code for code in self.standing() if self.stops(code)]

    def as_list(self):
        """Return the alarms as status shows them."""
        return [
            {
                "code": code,
                "priority": self.priority(code),
                "since_ms": self._since[code],
                "silenced": self._silent_until > 0,
            }
            for code in self.standing()
        ]

    # -- sound --------------------------------------------------------------------------------

    def silence(self, events):
        """Silence what stands, for two minutes at most; lamps and texts stay. Return how long.

        Asked again meanwhile it makes no longer; and once it has ended a burst is heard first.
        """
        now = self._clock.ms()
        if not self._since:
            raise Refused("E_STATE", "no alarm stands")
        if not self._silent_until:
            if self._sounds_from and now < self._sounds_from + _HEARD_MS:
                raise Refused("E_STATE", "a silence has just ended", next_step="wait 10 s")
            self._silent_until = now + SILENCE_MS
            events.add("silence", ms_long=SILENCE_MS)
        return {"silent_ms": self._silent_until - now}

    def service(self, hint=False):
        """End a silence that is over; let it be heard and seen what stands. hint: signals.py."""
        if self._silent_until and self._clock.ms() >= self._silent_until:
            self._sounds_from, self._silent_until = self._silent_until, 0
        if self.voice is not None:
            rank = min([self._acts[code] & 3 for code in self._since]) if self._since else None
            self.voice.show(rank, self._silent_until > 0, hint)

    def wait_ms(self, most):
        """Return how soon service() is due, at most ``most``."""
        if self._silent_until:
            most = min(most, max(0, self._silent_until - self._clock.ms()))
        return most


def text_of(code):
    """Return what is the matter, for people."""
    try:
        return borrow.alarm_table().TABLE[code][3]
    except (MemoryError, OSError):
        return code  # the alarm matters more than its words
