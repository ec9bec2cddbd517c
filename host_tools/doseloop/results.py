"""What a pump says, typed. Shapes only: no text for people, no bytes.

Volumes in nanolitres (floored, for show) or steps (the truth), rates in aL/h, times in ms of the
pump's own clock. Replies are converted strictly; keys that a newer firmware adds are ignored.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from doseloop.errors import LinkError

_T = TypeVar("_T")
_AL_PER_NL = 10**9


class PumpId(msgspec.Struct, frozen=True):
    """Which pump this is, as `status` shows it; `alias` and `port` are the host's words."""

    serial: str
    firmware: str
    protocol: int
    board: str | None = None
    tier: str = "hardware"
    alias: str | None = None
    port: str = ""


class RunState(msgspec.Struct, frozen=True):
    """The run in progress, or the last one while its order is still loaded."""

    id: str
    step: int
    ordered_steps: int
    commanded_steps: int
    witnessed_steps: int
    delivered_nl: int
    remaining_nl: int
    remaining_ms: int
    withdrawn_nl: int = 0
    primed_nl: int = 0  # into the air, to fill the line: none of it is delivered
    bolus_nl: int = 0
    bolus_left_nl: int | None = None  # of the bolus that flows, None when none does
    bolus_left_ms: int | None = None
    kvo_steps: int = 0
    name: str = ""  # of the order; empty where it would not fit into the line
    uncertain_steps: int = 0  # that losses of power may have kept from the counts
    library: str | None = None  # item of the drug library that it is held against
    override: str | None = None  # who goes beyond its soft limits


class SyringeState(msgspec.Struct, frozen=True):
    """The syringe in force; `position_steps` counts from its full end."""

    model: str | None
    al_per_step: int
    position_steps: int
    remaining_nl: int | None
    calibrated: bool = False


class LibraryState(msgspec.Struct, frozen=True):
    """The drug library in force."""

    name: str
    version: int
    crc: str


class Limits(msgspec.Struct, frozen=True, array_like=True):
    """What the drug library allows in an order: firmware/pump/bounds.py. `library`: name, version,
    crc; `override`: who and why; `edges`: kind to [lower hard, lower soft, upper soft, upper hard]
    in aL, aL/h or ms."""

    library: tuple[str, int, str]
    item: str
    override: tuple[str, str] | None
    edges: dict[str, list[int | None]]


class AlarmState(msgspec.Struct, frozen=True):
    """One alarm that is on."""

    code: str
    priority: str
    since_ms: int
    silenced: bool = False


class Status(msgspec.Struct, frozen=True):
    """The contract's status object."""

    schema: int
    pump: PumpId
    state: str
    device_ms: int
    last_event: int
    run: RunState | None
    rate_al_per_h: int
    tick_hz: int
    syringe: SyringeState | None
    library: LibraryState | None = None
    alarms: list[AlarmState] = []
    dropped: int = 0  # frames that the pump did not send because nobody read
    pressure_pa: int | None = None  # in the line; None without a force sensor


class Identity(msgspec.Struct, frozen=True):
    """The reply to `hello`."""

    session: int
    serial: str
    firmware: str
    protocol: int
    boot: int
    tick_hz: int
    state: str
    last_event: int
    device_ms: int
    board: str | None = None
    tier: str = "hardware"
    micropython: str = ""
    config_crc: str | None = None
    hash: str | None = None
    open: bool = True


class Stretch(msgspec.Struct, frozen=True):
    """One step of a plan; a pause has rate 0.

    A ramp ends with `rate_end_al_per_h`. Intermittent doses come every `every_ms`, `count` times:
    `steps` and `duration_ms` are of all of them.
    """

    mode: str
    rate_al_per_h: int
    steps: int
    duration_ms: int
    rate_end_al_per_h: int | None = None
    every_ms: int | None = None
    count: int = 1


class Plan(msgspec.Struct, frozen=True):
    """What an order will do, worked out by the pump before it starts."""

    ordered_steps: int
    duration_ms: int
    stretches: list[Stretch] = []
    repeat: int = 1
    syringe_changes: int = 0
    syringe: str | None = None
    fill_al: int | None = None
    fault_al: int | None = None  # the most that any single fault delivers
    order_crc: str | None = None


class Change(msgspec.Struct, frozen=True):
    """A change that the pump has checked and not made: it waits a minute for its digest.

    `old` and `new` are for people, the whole numbers for programs: of a rate the `al_per_h`, of a
    configuration the `al_per_step`. `replaces`: another one waited and is dropped.
    """

    digest: str
    new: str
    old: str | None = None
    replaces: bool = False
    old_al_per_h: int | None = None
    new_al_per_h: int | None = None
    old_al_per_step: int | None = None
    new_al_per_step: int | None = None


class PcaState(msgspec.Struct, frozen=True):
    """A patient-controlled run: what was asked for and given, and what the limits leave.

    `used_nl`: in each of the order's windows, ending now. `allowed_from_ms`: on the pump's clock,
    when a demand would next be given; None while one is given, when nothing runs, and in the
    answer to a demand: looking ahead takes the pump too long for that.
    """

    demands: int
    given: int
    given_nl: int
    denied: dict[str, int]
    boluses: int
    bolus_nl: int
    boluses_count: bool
    lockout_ms: int
    used_nl: list[int]
    allowed_from_ms: int | None = None
    given_now: bool = False


class Delivered(msgspec.Struct, frozen=True):
    """What the pump had delivered when it stopped or paused."""

    delivered_nl: int = 0
    witnessed_steps: int = 0
    commanded_steps: int = 0
    ordered_steps: int = 0
    run: str | None = None
    state: str | None = None


class Argument(msgspec.Struct, frozen=True):
    """One argument of a command, as the device describes it."""

    name: str
    unit: str | None = None
    required: bool = False
    min: int | None = None
    max: int | None = None


class CommandSpec(msgspec.Struct, frozen=True):
    """One row of the device's command table."""

    name: str
    args: list[Argument] = []
    states: list[str] = []
    help: str = ""


class Event(msgspec.Struct, frozen=True):
    """One numbered event; `n` counts from 1 at every boot. `data` holds the rest of it."""

    n: int
    boot: int
    ms: int
    name: str
    run: str | None = None
    data: dict[str, Any] = {}


class Telemetry(msgspec.Struct, frozen=True):
    """One status that the pump sent by itself; some may be lost on the way."""

    status: Status


def withdrawn_nl(
    witnessed_steps: int, delivered_nl: int, al_per_step: int, primed_nl: int = 0
) -> int:
    """Return the volume of those of `witnessed_steps` that did not infuse, in nL, floored.

    Exact: a step holds more than 1 nL, so the floored volume tells how many steps it was. A run
    primes or delivers, never both.
    """
    if al_per_step <= 0:
        return 0
    infused = -(-(delivered_nl + primed_nl) * _AL_PER_NL // al_per_step)
    return max(0, witnessed_steps - infused) * al_per_step // _AL_PER_NL


_EVENT_KEYS = frozenset({"n", "boot", "ms", "e", "run"})


def convert(obj: Any, kind: type[_T], what: str) -> _T:
    """Return `obj` as `kind`; raise `LinkError` naming `what` and the key that is wrong."""
    try:
        return msgspec.convert(obj, kind)
    except msgspec.ValidationError as error:
        raise LinkError(f"the pump's {what} makes no sense: {error}", code="E_REPLY") from error


def event(obj: dict[str, Any]) -> Event:
    """Return the event inside an `!e` frame or an `events` reply; raise `LinkError`."""
    return convert(
        {
            "n": obj.get("n"),
            "boot": obj.get("boot"),
            "ms": obj.get("ms"),
            "name": obj.get("e"),
            "run": obj.get("run"),
            "data": {key: value for key, value in obj.items() if key not in _EVENT_KEYS},
        },
        Event,
        "event",
    )


def named(limits: Limits) -> dict[str, Any]:
    """Return limits as JSON-ready built-in types, with names."""
    name, version, crc = limits.library
    override = limits.override
    return {
        "library": {"name": name, "version": version, "crc": crc},
        "item": limits.item,
        "limits": limits.edges,
        "override": override and {"who": override[0], "why": override[1]},
    }


def plain(obj: msgspec.Struct) -> dict[str, Any]:
    """Return a result as JSON-ready built-in types, in the order of the contract."""
    return msgspec.to_builtins(obj)
