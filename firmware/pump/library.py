"""The drug library on flash: loaded as one unit, read line by line, never whole in memory.

Borrowed (borrow.py), so only while nothing moves: a part of the controller that is there for a
moment. What an entry means for an order is dose_limits.py's; how the host makes the text,
host_tools/doseloop/library.py's.

    doseloop library 1 <CRC-32 of all that follows, but for the last newline>
    <CRC-32> {"name": …, "version": …, "date": …, "entries": …}
    <CRC-32> <care area> <item> {"rate": […], …}          one a line, sorted

A line's own CRC covers its number from 0, a space and what follows, so that a line out of its
place is named. The texts are in two files; which of them is in force is kept in slots.py's two,
written once when a person has confirmed it (I6). An upload goes to the file not in force.
"""

# A friend of the controller: its storage and events are no business of anybody else.
# pyright: reportPrivateUsage=false
import binascii
import json

from pump import borrow, sealed
from pump.errors import Refused
from pump.slots import Slots

KIND = "library"
VERSION = 1
# Bounds the time that a look takes; some hundred entries. Two of these fit beside the firmware.
SIZE_MAX = 32768
LINE_MAX = 900
PART = 512
_FILE = "drugs."


def read(file, area=None, item=None):
    """Return (head, entry, size) of a library whose bytes ``file`` gives by readline(most).

    head: its name, version, date, entries and crc. entry: that of an area's item, None: there is
    none. Without an area every entry is checked. Raise Refused(E_LIBRARY) for any damage (I6).
    """
    first = file.readline(LINE_MAX)
    if not first.startswith(b"doseloop library %d " % VERSION):
        raise _bad("this is no drug library of schema %d" % VERSION)
    size, number, total = len(first), 0, 0
    head = entry = None
    before = b""
    checks = None
    while True:
        line = file.readline(LINE_MAX)
        if not line:
            break
        size += len(line)
        if size > SIZE_MAX:
            raise _bad("it has more than %d characters" % SIZE_MAX)
        text = line[9:-1]
        crc = b"%08x " % (binascii.crc32(b"%d %s" % (number, text)) & 0xFFFFFFFF)
        if line[:9] != crc or line[-1:] != b"\n":
            raise _bad("line %d is damaged or out of its place" % (number + 2))
        total = binascii.crc32(line[:-1] if not number else b"\n" + line[:-1], total)
        if not number:
            head = _head(text)
        else:
            key, name, rows = (text.split(b" ", 2) + [b"", b""])[:3]
            key += b" " + name
            good = len(key) < 50 and not key.strip(b"abcdefghijklmnopqrstuvwxyz0123456789- ")
            if not good or not name or b" " in name:
                raise _bad("line %d: area and item are a-z, 0-9 and -" % (number + 2))
            if key <= before:
                raise _bad("line %d: entries are sorted and each is there once" % (number + 2))
            before = key
            if area is None:
                checks = checks or borrow.take("dose_limits")
                try:
                    checks.check_entry(json.loads(rows))
                except ValueError as error:
                    raise _bad("line %d: %s" % (number + 2, error))
            elif key.decode() == "%s %s" % (area, item):
                entry = json.loads(rows)
        number += 1
    crc = "%08x" % (total & 0xFFFFFFFF)
    if head is None or first != b"doseloop library %d %s\n" % (VERSION, crc.encode()):
        raise _bad("the CRC does not match: damaged")
    if head["entries"] != number - 1:
        raise _bad("it has %d entries, not %s" % (number - 1, head["entries"]))
    head["crc"] = crc
    return head, entry, size


def _bad(message):
    return Refused("E_LIBRARY", "drug library: " + message)


def _head(text):
    try:
        head = json.loads(text)
        good = set(head) == {"name", "version", "date", "entries"}
        good = good and type(head["version"]) is int and 0 < head["version"] < 10000
        good = good and 0 < len(head["name"]) <= 24 and len(head["date"]) == 10
        good = good and " " <= min(head["name"]) and max(head["name"]) <= "~"
    except (ValueError, TypeError):
        good = False
    if not good:
        raise _bad("its head makes no sense")
    return head


# -- what is kept ---------------------------------------------------------------------------------


def boot(controller):
    """Look at the library in force; what is damaged keeps every order from being planned (H7)."""
    controller.library = controller.library_fault = None
    try:
        record = _record(controller)
        if record is not None:
            _reread(controller, record)
            controller.library = _short(record)
    except Refused as error:
        controller.library_fault = error.message
        controller._events.add("fault", code=error.code, text=error.message)


def _record(controller):
    """Return what is in force: name, version, date, crc, entries and its file; None: nothing."""
    try:
        return json.loads(Slots(controller._storage, KIND).read() or "null")
    except (ValueError, sealed.SealError) as error:
        raise _bad("what is stored is damaged: %s" % error)


def _short(record):
    return {"name": record["name"], "version": record["version"], "crc": record["crc"]}


def _named(record):
    return "%s, version %d of %s, %d entries, %s" % tuple(
        [record[key] for key in ("name", "version", "date", "entries", "crc")]
    )


def _read(controller, suffix, area=None, item=None):
    try:
        file = controller._storage.open_(_FILE + suffix, "rb")
    except OSError:
        raise _bad("there is none")
    with file:
        return read(file, area, item)


def _reread(controller, record, area="", item=""):
    """Return an entry of the library in force. Raise Refused unless it is whole and that one."""
    head, entry, _ = _read(controller, record["file"], area, item)
    if head["crc"] != record["crc"]:
        raise _bad("another one than the one in force is stored")
    return entry


def _other(controller):
    """Return (what is in force or None, suffix of the file that is not)."""
    try:
        record = _record(controller)
    except Refused:
        record = None  # told at boot; whoever loads one now ends that
    return record, "b" if record and record["file"] == "a" else "a"


# -- what commands ask ----------------------------------------------------------------------------


def put(controller, args, slots):
    """Take a part of a library, which is not in force by that. slots: the size so far, kept."""
    offset, data = args["offset"], args["data"]
    if offset and offset != slots[KIND]:
        raise Refused("E_ARG", "library has %d characters so far" % slots[KIND])
    if offset + len(data) > SIZE_MAX or len(data) > PART:
        raise Refused("E_SIZE", "at most %d characters, %d a part" % (SIZE_MAX, PART))
    controller.pending.drop()  # it may be for what is written over now
    storage, name = controller._storage, _FILE + _other(controller)[1]
    try:
        if offset:
            with storage.open_(name, "a") as file:
                file.write(data)
        else:
            storage.write(name, data)
    except OSError as error:
        slots[KIND] = 0
        storage.remove(name)
        raise Refused("E_STORE", "library not stored: %s" % error)
    slots[KIND] = offset + len(data)
    return {"size": slots[KIND]}


def command(controller, args):
    """Answer `library`: propose what was sent, or show a part of what is in force, or what of it
    holds for the order that is planned."""
    if args.get("size") is not None:
        return _propose(controller, args["size"], args.get("replace"))
    if args.get("offset") is None:
        limits = controller.order and controller.order.library
        return {"library": controller.library, "limits": limits and limits.data}
    record = _record(controller)
    if record is None:
        raise _bad("there is none")
    with controller._storage.open_(_FILE + record["file"], "rb") as file:
        size = file.seek(0, 2)
        file.seek(args["offset"])
        return {"data": file.read(PART).decode(), "size": size}


def _propose(controller, size, replace):
    old, suffix = _other(controller)
    new, _, found = _read(controller, suffix)
    if found != size:
        raise Refused("E_SIZE", "library has %d of %d characters" % (found, size))
    new["file"] = suffix
    newer = old is None or (new["name"] == old["name"] and new["version"] > old["version"])
    if not newer and not replace and new["crc"] != old["crc"]:
        raise Refused(
            "E_LIBRARY",
            "%s is no newer version of what is in force: %s" % (_named(new), _named(old)),
            next_step="an administrator who wants it all the same: library push --replace",
        )
    digest = sealed.crc_hex("%s %s" % (old and old["crc"], new["crc"]))
    reply = controller.pending.propose(digest, lambda: borrow.take(KIND).commit(controller, new))
    reply["old"] = old and _named(old)
    reply["new"] = _named(new)
    return reply


def commit(controller, new):
    """Put a library in force that was proposed. An order planned under the old one is dropped."""
    controller.may_plan()
    if _read(controller, new["file"])[0]["crc"] != new["crc"]:
        raise Refused("E_CONFIRM", "it was changed meanwhile")
    try:
        Slots(controller._storage, KIND).write(json.dumps(new))
    except OSError as error:
        raise Refused("E_STORE", "library not stored: %s" % error)
    controller.stop()  # of READY: drops the order; of IDLE: nothing
    controller.library, controller.library_fault = _short(new), None
    controller._events.add("library", name=new["name"], version=new["version"], crc=new["crc"])
    return {"library_crc": new["crc"]}


def hold(controller, order):
    """Hold an order against the entry that it names; keep with it what must hold later.

    Raise Refused: E_HARD_LIMIT, E_SOFT_LIMIT without an override; E_LIBRARY for what can't be
    looked up or compared (I4). An order that names none is not checked, and shows that (I5).
    """
    if order.drug is None:
        return
    limits = borrow.take("dose_limits")
    drug = limits.check_drug(order.drug)
    record = _record(controller)
    if record is None:
        raise _bad("there is none, and the order names an item of one")
    entry = _reread(controller, record, drug["area"], drug["item"])
    if entry is None:
        raise _bad("%s has no item %s in area %s" % (record["name"], drug["item"], drug["area"]))
    limits.hold(order, _short(record), entry)
