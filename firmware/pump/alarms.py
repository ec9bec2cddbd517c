"""The alarms that stand: which wins, what is silenced, and what of the table is needed to act.

The table itself, with its texts, is alarm_table.py's, loaded for a moment. Holds no pins: what
sounds and lights is asked of ``voice`` (hal/annunciator.py), where a board has it.
"""

from pump import borrow

_KEEPS, _KVO, _STOPS, _ENDS = range(4)


class Alarms:
    """The alarms that stand, highest priority first, each with the time it came."""

    def __init__(self, clock):
        self._clock = clock
        self._since = {}
        made = borrow.alarm_table()
        self._names = made.PRIORITIES
        does, clears = tuple(made.DOES), tuple(made.CLEARS)
        # code: rank, what the pump does, when it ends; in one small integer
        self._acts = {
            code: made.PRIORITIES.index(row[0]) | does.index(row[1]) << 2
            | clears.index(row[2]) << 4
            for code, row in made.TABLE.items()
        }  # fmt: skip

    def raise_(self, code):
        """Add an alarm; return False when it stands already."""
        if code in self._since:
            return False
        self._acts[code]  # a code that the table has not is a fault, here and now
        self._since[code] = self._clock.ms()
        return True

    def clear(self, code):
        """Drop one alarm; return whether it stood."""
        return self._since.pop(code, None) is not None

    def stands(self, code):
        """Return whether one alarm stands."""
        return code in self._since

    def tell(self, code, events):
        """Add an alarm, and record it unless it stands already."""
        if self.raise_(code):
            events.add("alarm", code=code, priority=self.priority(code), text=text_of(code))

    def end(self, code, events):
        """Drop an alarm, and record it if it stood."""
        if self.clear(code):
            events.add("clear", code=code)

    def priority(self, code):
        """Return high, medium or low."""
        return self._names[self._acts[code] & 3]

    def stops(self, code):
        """True when the pump stands until a person has cleared it and started again."""
        return self._acts[code] >> 2 & 3 >= _STOPS

    def resumable(self, code):
        """True unless it ends the order."""
        return self._acts[code] >> 2 & 3 < _ENDS

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
                "silenced": False,
            }
            for code in self.standing()
        ]


def text_of(code):
    """Return what is the matter, for people."""
    try:
        return borrow.alarm_table().TABLE[code][3]
    except (MemoryError, OSError):
        return code  # the alarm matters more than its words
