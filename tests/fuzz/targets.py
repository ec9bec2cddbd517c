"""What a stranger's bytes may reach, and what must hold whatever they are.

A target takes bytes and returns None; it raises for a crash, for growth, and for an action that no
good frame or known command asked for. Only a refusal that says why is a good end of bad input.
What has to be sealed is sealed here: a stranger can do that too.
"""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Callable
from typing import Any

from unit.firmware import drugs
from unit.firmware.bench import Bench, configuration, errors

from doseloop import resources

commands = resources.firmware_module("commands")
config = resources.firmware_module("config")
library = resources.firmware_module("library")
order = resources.firmware_module("order")
quantity = resources.firmware_module("quantity")
sealed = resources.firmware_module("sealed")
shown = resources.firmware_module("shown")
wire = resources.firmware_module("wire")
words = resources.firmware_module("words")

_LINE = 1025  # link.py: the most of a line that it keeps
_OUT = 12288  # link.py: the most that waits for the port
_INPUTS = 200  # of a bench, then it is made anew: what has piled up would hide what is slow
KINDS = ("volume", "rate", "duration", "pressure")
CONFIG = configuration()
AL = CONFIG["motion"]["al_per_step"]


class Held(Exception):
    """What must hold does not."""


def hold(what: object, why: str) -> None:
    """Raise Held unless ``what`` is true. Not an assert: these stay when Python optimises."""
    if not what:
        raise Held(why)


# -- one piece each -------------------------------------------------------------------------------


def frame(data: bytes) -> None:
    """A line is a frame that comes back the same, or it is refused."""
    try:
        kind, seq, obj = wire.decode(data)
    except wire.WireError:
        return
    try:
        again = wire.encode(kind, seq, obj)
    except wire.WireError:
        return  # escapes make it too long
    hold(wire.decode(again) == (kind, seq, obj), "a frame that does not come back")


def text(data: bytes) -> None:
    """A quantity is whole in its base unit and is shown as what is read back, or it is refused."""
    line = data.decode("latin-1")
    for kind in KINDS:
        try:
            value = quantity.parse(line, kind)
        except quantity.QuantityError as error:
            hold(error.message, "a refusal without a reason")
            continue
        hold(type(value) is int and value >= 0, "not a whole number")
        hold(quantity.parse(quantity.format(value, kind), kind) == value, "shown as another one")


def typed(data: bytes) -> None:
    """A typed line is a command with arguments of its table, or it is refused."""
    line = bytes(byte & 127 for byte in data).decode()  # link.py refuses what is not ASCII
    try:
        name, arguments = words.parse(line)
    except errors.Refused:
        return
    known = {key for key, _, _ in commands.TABLE[name]}
    hold(set(arguments) <= known, "an argument that no command has")


def ordered(data: bytes) -> None:
    """An order is made of bounded pieces and stays within the limits, or it is refused."""
    body = data.decode("latin-1")
    try:
        made = order.unseal(sealed.seal("order", 1, body), CONFIG)
    except errors.Refused as refused:
        hold(refused.message, "a refusal without a reason")
        return
    limits = CONFIG["limits"]
    hold(0 < len(made.steps) <= order.ITEMS_MAX, "an order of too many steps")
    for count, item in enumerate(made.items()):
        hold(count <= order.UNROLLED_MAX, "an order without an end")
        if item.way and item.kind != "kvo" and item.kind != "basal":
            hold(item.rate <= limits["rate_max_al_per_h"], "faster than the pump")
        if count > 300:
            break  # the first ones show it
    json.dumps(made.view(CONFIG["syringe"], AL, 40 * 10**15))


def configured(data: bytes) -> None:
    """A configuration has all that the firmware reads, in its bounds, or it is refused."""
    try:
        found = config.check(sealed.seal("config", 1, data.decode("latin-1")))
    except errors.Refused:
        return
    hold(found["motion"]["al_per_step"] > 0, "a configuration that moves nothing")


def shelved(data: bytes) -> None:
    """A drug library is whole and sorted, or it is refused; its CRCs are made good here."""
    lines = data.split(b"\n")[:50]
    body = b"\n".join(
        b"%08x %s" % (zlib.crc32(b"%d %s" % (number, line)), line)
        for number, line in enumerate(lines)
    )
    whole = b"doseloop library 1 %08x\n%s\n" % (zlib.crc32(body), body)
    for given in (whole, data):
        try:
            head, _, size = library.read(io.BytesIO(given))
        except errors.Refused:
            continue
        hold(size == len(given) and head["entries"] >= 0, "a library with something left over")


# -- the line ------------------------------------------------------------------------------------


class _Line:
    """A pump that infuses, at the end of a line; kept for some inputs."""

    def __init__(self) -> None:
        self._left = 0

    def __call__(self, data: bytes) -> None:
        """Bytes change nothing unless they hold a good frame or a known command."""
        if not self._left:
            self._begin()
        self._left -= 1
        bench = self._bench
        acts = _may_act(data)
        before = None if acts else self._seen()
        bench.serial.to_pump += b"\n" + data + b"\n"
        for _ in range(len(data) + 3):
            bench.link.poll()
            bench.link.flush()
            if not bench.serial.to_pump:
                break
        hold(not bench.serial.to_pump, "input that is never taken")
        for _ in range(2 * data.count(b"\n") + 8):
            bench.link.flush()
        hold(len(bench.link._line) <= _LINE, "a line that grows")
        hold(bench.link._waiting <= _OUT, "a queue that grows")
        bench.serial.from_pump.clear()
        if acts:
            self._left = 0  # it may have done anything it is allowed to
        else:
            hold(self._seen() == before, "an action that nobody has asked for")

    def _begin(self) -> None:
        self._left = _INPUTS
        bench = self._bench = Bench(CONFIG)
        bench.controller.load(50 * 10**15)
        bench.table.run("infuse", {"volume_al": 10**15, "rate_al_per_h": 10**15})
        bench.controller.start()
        hello = {"s": None, "id": "h", "c": "hello", "a": {}}
        bench.serial.to_pump += wire.encode("q", 1, hello)
        bench.link.poll()
        for _ in range(8):
            bench.link.flush()
        bench.serial.from_pump.clear()

    def _seen(self) -> list[Any]:
        bench, link = self._bench, self._bench.link
        return [
            bench.status(), link.session, bench.events.last, bench.left, link._watch_ms,
            str(bench.table._slots), bench.controller.pending.digest, bench.controller.order,
        ]  # fmt: skip


def _may_act(data: bytes) -> bool:
    """Whether some line is a good request, or begins with a command, by the protocol's own rules:
    told apart here without asking the link."""
    for line in (b"\n" + data + b"\n").split(b"\n"):
        line = line.strip(b"\r")
        first = line.strip().split(b" ")[0].decode("latin-1")
        if first in commands.TABLE or b"\x03" in data:
            return True
        if line.startswith(b"!q "):
            body, crc = line[:-8], line[-8:]
            if crc == b"%08x" % zlib.crc32(body):
                return True
    return False


TARGETS: dict[str, Callable[[bytes], None]] = {
    "frame": frame,
    "text": text,
    "typed": typed,
    "order": ordered,
    "config": configured,
    "library": shelved,
    "line": _Line(),
}


def seeds() -> dict[str, list[bytes]]:
    """Return good inputs of each target, to begin with."""
    request = wire.encode("q", 2, {"s": 1, "id": "a-1", "c": "status", "a": {}})
    stop = wire.encode("q", 3, {"s": 1, "id": "a-2", "c": "stop", "a": {}})
    steps: list[dict[str, Any]] = [
        {"mode": "infuse", "rate_al_per_h": 5 * 10**15, "duration_ms": 1_800_000},
        {"mode": "ramp", "volume_al": 10**15, "rate_al_per_h": 10**15, "rate_end_al_per_h": 9**15},
        {"mode": "intermittent", "volume_al": 10**15, "rate_al_per_h": 10**16,
         "every_ms": 28_800_000, "count": 3},
        {"mode": "pause", "duration_ms": 1000},
        {"mode": "withdraw", "volume_al": 10**15, "rate_al_per_h": 5 * 10**15},
    ]  # fmt: skip
    pca = {
        "mode": "pca", "basal_al_per_h": 10**15, "dose_al": 10**15,
        "dose_rate_al_per_h": 6 * 10**16,
        "lockout_ms": 360_000, "limit_1h_al": 8 * 10**15, "limit_4h_al": 2 * 10**16,
        "duration_ms": 3_600_000, "boluses_apart": 1,
    }  # fmt: skip
    orders = [
        {"schema": 1, "name": "all", "syringe": CONFIG["syringe"]["model"], "fill_al": 4 * 10**16,
         "on_link_loss": {"stop_ms": 60_000}, "steps": steps, "kvo_al_per_h": 5 * 10**14,
         "repeat": 2},
        {"schema": 1, "name": "pca", "steps": [pca], "drug": drugs.DRUG},
        {"schema": 1, "name": "prime", "steps": [{"mode": "prime", "volume_al": 10**15,
                                                  "rate_al_per_h": 10**16}]},
    ]  # fmt: skip
    shelf = drugs.library().encode()
    entries = b"\n".join(line[9:] for line in shelf.split(b"\n")[1:-1])
    return {
        "frame": [request, stop, wire.encode("e", 7, {"e": "boot", "n": 7, "ms": 1016})],
        "text": [b"2.5 mL", b"5 mL/h", b"30 min", b"60 kPa", b"0.000001 uL/h", b"1.0e1 mL"],
        "typed": [b"infuse 2.5 mL 5 mL/h", b"bolus_now 1 mL 30 min", b"events 12 8", b"stop"],
        "order": [json.dumps(one).encode() for one in orders],
        "config": [json.dumps(CONFIG).encode()],
        "library": [shelf, entries],
        "line": [
            request + stop,
            b"status\r\n",
            b"nonsense\n!q 1 {} 00000000",
            b"\x01\x02\x04\x05",
        ],
    }
