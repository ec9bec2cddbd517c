"""A change that was proposed and waits for `confirm`: one at most, for ten minutes.

Edit, then confirm (GIP 2.1.1, 2.1.2): who confirms names the digest of old and new, so that only
what was shown can come into effect. Holds no rules: what may change is checked by its owner
(controller.py), when it is proposed and again when it is confirmed.
"""

from micropython import const

from pump.errors import Refused

_KEEP_MS = const(600_000)  # GIP 2.2.5


class Pending:
    """The controller's one proposal."""

    def __init__(self, clock):
        self._clock = clock
        self.drop()

    def drop(self):
        """Forget what waits: its run has ended, or something else was begun."""
        self.digest = None
        self._until = 0
        self._act = self._stands = None

    def propose(self, digest, act, stands=None):
        """Keep a change. Return what the reply says of it: its digest, and whether it replaces
        another that waited. ``act``: puts it in effect; ``stands()``: what it is for still is."""
        replaces = self.digest is not None and self._clock.ms() < self._until
        self.digest, self._act, self._stands = digest, act, stands
        self._until = self._clock.ms() + _KEEP_MS
        return {"digest": digest, "replaces": replaces, "keeps_ms": _KEEP_MS}

    def over(self):
        """Drop what nobody has confirmed in time, or what is for nothing any more; return whether
        it was the first."""
        if self.digest is None:
            return False
        late = self._clock.ms() >= self._until
        gone = self._stands is not None and not self._stands()
        if late or gone:
            self.drop()
        return late and not gone

    def confirm(self, digest):
        """Put the change in effect and return what that answers; or raise Refused, and nothing
        has changed: what can't be done now may be confirmed again."""
        if self.digest is None:
            cause = "nothing waits to be confirmed"
        elif self._clock.ms() >= self._until:
            cause = "it was proposed more than ten minutes ago"
        elif self._stands is not None and not self._stands():
            cause = "what it was for is over"
        else:
            cause = "another change than this one waits" if digest != self.digest else None
        if cause is not None:
            if digest == self.digest:
                self.drop()  # it can't be confirmed any more
            raise Refused("E_CONFIRM", cause)
        reply = self._act()
        self.drop()
        return reply
