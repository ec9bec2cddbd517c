"""One error type of the device. Its codes, and the next step for each, are next_steps.py's."""

from pump import borrow


class Refused(Exception):
    """A request that can't be honoured. Nothing was changed.

    ``limit`` and ``nearest`` are quantity texts where there is a limit; ``next`` what to do.
    """

    def __init__(self, code, message, limit=None, nearest=None, next_step=None):
        super().__init__(message)
        self.code = code
        self.message = message
        self.limit = limit
        self.nearest = nearest
        self._next = next_step

    @property
    def next(self):
        """What a person does next."""
        return self._next or borrow.next_steps().NEXT.get(self.code)

    def as_dict(self):
        """Return the error as the reply carries it."""
        return {
            "code": self.code,
            "message": self.message,
            "limit": self.limit,
            "nearest": self.nearest,
            "next": self.next,
        }

    def as_text(self):
        """Return the refusal for people: code, cause, nearest allowed value, next step."""
        text = "%s %s" % (self.code, self.message)
        if self.nearest:
            text += "; nearest: %s" % self.nearest
        step = self.next
        if step:
            text += "\n  next: %s" % step
        return text + "\n"
