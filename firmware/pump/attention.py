"""The part of the controller that calls for people: how long each has been waited for.

What an alarm does to the run is course.py's; how it sounds, signals.py's. Also keeps on flash what
stands; attended.py raises it again after a reset.
"""

# A part of a class: what the others set and have, a type checker can't see here.
# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false
from micropython import const

from pump import states
from pump.course import Course

_HELD_MS = const(60_000)  # F5
_CHANGE_MS = const(300_000)  # F8: a proposed change nobody confirms; pending.py drops it later
_PAUSED_MS = const(120_000)  # E12; these three unless the board file says otherwise
_WAITING_MS = const(900_000)  # F13
_STANDBY_MS = const(3_600_000)  # E13


class Attention(Course):
    """What needs a person, and for how long it has."""

    def _remind(self):
        """Look how long a person has been waited for."""
        pending, state = self.pending, self.state
        if pending.over():
            self._alarm("A_CHANGE_LOST")
        self._due("A_CHANGE", pending.digest is not None, _CHANGE_MS)
        if self.config is not None:
            after = self.config["alarms"].get
            paused = state == states.PAUSED and self._resume_at is None
            waits = state in (states.READY, states.INTERRUPTED)
            self._due("A_STOP_HELD", self.motor.blocked(1) == "A_STOP_INPUT", _HELD_MS)
            self._due("A_PAUSED", paused, after("paused_ms", _PAUSED_MS))
            self._due("A_WAITING", waits, after("waiting_ms", _WAITING_MS))
            self._due("A_STANDBY", waits or paused, after("standby_ms", _STANDBY_MS))

    def _due(self, code, on, after_ms):
        self._alarms.due(code, on, after_ms, self._events)

    def _keep_alarms(self):
        """Keep over a reset what latches (E11)."""
        alarms = self._alarms
        if alarms.changed and (self.motor is None or self.motor.may_wait()):
            try:
                codes = [code for code in alarms.standing() if alarms.latches(code)]
                self._kept_alarms.write(" ".join(codes))
            except OSError:
                self._alarm("A_STORE")
            alarms.changed = False  # if it failed: tried again with the next change
