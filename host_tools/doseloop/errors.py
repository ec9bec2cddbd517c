"""Everything the host library raises, and the one place that turns it into exit codes.

The library raises, the CLI prints. Each error says what happened (`message`), under a stable
`code`, and what to do about it (`next`). A refusal names the limit and the nearest allowed value
as quantity strings when there are any.
"""

from __future__ import annotations

from typing import Any, ClassVar

OK = 0
UNEXPECTED = 1
USAGE = 2
NO_PUMP = 3
NO_REPLY = 4
REFUSED = 5
ENDED_SHORT = 6
VERSION = 7
INTERRUPTED = 130


class DoseloopError(Exception):
    """The root of the tree. Raised itself only for what no other class names."""

    exit_code: ClassVar[int] = UNEXPECTED
    default_code: ClassVar[str] = "E_UNEXPECTED"
    default_next: ClassVar[str | None] = None

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        limit: str | None = None,
        nearest: str | None = None,
        next: str | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        """`details` are added to the JSON beside the error, such as what a run delivered."""
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.limit = limit
        self.nearest = nearest
        self.next = next or self.default_next
        self.details = details or {}

    def as_json(self) -> dict[str, Any]:
        """Return the object that `--json` prints on failure."""
        return {
            "error": {
                "code": self.code,
                "message": self.message,
                "limit": self.limit,
                "nearest": self.nearest,
                "next": self.next,
            },
            **self.details,
        }

    def as_text(self) -> str:
        """Return the lines that a person reads: cause, limits, next step."""
        lines = [f"error {self.code}: {self.message}"]
        if self.limit:
            lines.append(f"  limit: {self.limit}")
        if self.nearest:
            lines.append(f"  nearest allowed: {self.nearest}")
        if self.next:
            lines.append(f"  next: {self.next}")
        return "\n".join(lines)


class UsageError(DoseloopError):
    """A wrong flag, argument or quantity; nothing was sent to a pump."""

    exit_code = USAGE
    default_code = "E_USAGE"


class FileError(UsageError):
    """An order, board or syringe file that is missing or invalid."""

    default_code = "E_FILE"


class NoPump(DoseloopError):
    """No pump was found, or more than one and none was named."""

    exit_code = NO_PUMP
    default_code = "E_NO_PUMP"
    default_next = "doseloop ports"


class PortBusy(NoPump):
    """Another program holds the port."""

    default_code = "E_PORT_BUSY"
    default_next = (
        "end the other program, then try again; a doseloop that follows a run detaches on "
        "kill -TERM and stops the pump on Ctrl-C"
    )


class LinkError(DoseloopError):
    """No reply, a garbled one, or a port that went away."""

    exit_code = NO_REPLY
    default_code = "E_LINK"
    default_next = "check cable and power, then: doseloop status"


class Refused(DoseloopError):
    """A valid request that limits, state or role forbid, by host or device."""

    exit_code = REFUSED
    default_code = "E_REFUSED"


class EndedShort(DoseloopError):
    """An alarm, or a run that delivered less than was ordered."""

    exit_code = ENDED_SHORT
    default_code = "A_ENDED_SHORT"
    default_next = "doseloop status"


class VersionMismatch(DoseloopError):
    """Host and firmware speak different protocol versions: reads work, motion is refused."""

    exit_code = VERSION
    default_code = "E_VERSION"


class Interrupted(DoseloopError):
    """Ctrl-C: the pump was stopped, the message says what it had delivered."""

    exit_code = INTERRUPTED
    default_code = "E_INTERRUPTED"
    default_next = "doseloop status"


# What a device's refusal means for the exit code. Everything not listed is a valid request
# refused (5): the device checks again what the host should have caught.
_DEVICE_USAGE = frozenset({"E_UNIT", "E_NUMBER", "E_ARG", "E_COMMAND", "E_ORDER", "E_MODE"})
_DEVICE_LINK = frozenset({"E_FRAME", "E_CRC", "E_SIZE", "E_STALE", "E_SESSION"})


def from_device(err: dict[str, Any]) -> DoseloopError:
    """Return the exception for the `err` object of a reply; unknown codes are refusals."""

    def text(key: str) -> str | None:
        value = err.get(key)
        return None if value is None else str(value)

    code = text("code") or "E_UNKNOWN"
    kind: type[DoseloopError] = Refused
    if code in _DEVICE_USAGE:
        kind = UsageError
    elif code in _DEVICE_LINK:
        kind = LinkError
    return kind(
        text("message") or "refused without a reason",
        code=code,
        limit=text("limit"),
        nearest=text("nearest"),
        next=text("next"),
    )
