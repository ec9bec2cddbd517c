"""Checked frames of the native protocol: one ASCII line each, for both ends of the line.

    !<kind> <seq> <json> <crc32>\\n

``kind`` is q (request), r (reply), e (event) or t (telemetry). The CRC-32 covers every byte from
the ``!`` to the space in front of it. A frame never holds 0x03, so Ctrl-C keeps its meaning on a
terminal. Not here: what a request means (commands.py), when bytes travel (link.py).
Shared by firmware and host; vectors in tests/vectors/wire.json.
"""

import json
from binascii import crc32, hexlify

MAX_LINE = 1024  # bytes with the newline; a longer line is refused whole, never cut
KINDS = {113: "q", 114: "r", 101: "e", 116: "t"}  # by their letter's code


class WireError(Exception):
    """A line that is not a good frame: an E_ ``code``, and ``seq`` if it could be read."""

    def __init__(self, code, message, seq=0):
        super().__init__(message)
        self.code = code
        self.message = message
        self.seq = seq


def _escaped(letter):
    code = ord(letter)
    if code <= 126:
        return letter
    if code <= 0xFFFF:
        return "\\u%04x" % code
    code -= 0x10000
    return "\\u%04x\\u%04x" % (0xD800 + (code >> 10), 0xDC00 + (code & 0x3FF))


def encode(kind, seq, obj):
    """Return the frame as bytes. Raise WireError(E_SIZE) when it would pass MAX_LINE."""
    # Joined once: on the chip each longer text on the way costs 0.1 ms, and garbage to collect.
    head = ("!%s %d " % (kind, seq)).encode()
    text = json.dumps(obj, separators=(",", ":"))
    body = text.encode()
    # MicroPython writes letters beyond ASCII as they are. No loop over what is ASCII anyway: on
    # the chip that took 100 ms a frame.
    if len(body) != len(text) or b"\x7f" in body:
        body = "".join(_escaped(letter) for letter in text).encode()
    line = b"".join((head, body, b" ", _sum(crc32(b" ", crc32(body, crc32(head)))), b"\n"))
    if len(line) > MAX_LINE:
        raise WireError("E_SIZE", "frame of %d bytes; the line holds %d" % (len(line), MAX_LINE))
    return line


def _sum(crc):
    return hexlify(crc.to_bytes(4, "big"))  # "%08x" takes seven times as long on the chip


def decode(line):
    """Return (kind, seq, object) of one line, with or without its newline, or raise WireError."""
    end = len(line)
    while end and line[end - 1] in (10, 13):  # terminals and relays add a carriage return
        end -= 1
    if end >= MAX_LINE:
        raise WireError("E_SIZE", "line longer than %d bytes" % MAX_LINE)
    body = line[: max(0, end - 9)]
    parts = body.split(b" ", 2)
    if end < 16 or len(parts) != 3 or len(parts[0]) != 2 or line[0] != 33 or line[end - 9] != 32:
        raise WireError("E_FRAME", "not a frame")
    if min(body) < 32 or max(body) > 126:
        raise WireError("E_FRAME", "byte outside printable ASCII")
    if _sum(crc32(b" ", crc32(body))) != line[end - 8 : end]:
        raise WireError("E_CRC", "CRC-32 does not match")
    kind, digits = KINDS.get(line[1]), parts[1]
    # int() alone takes "+1", " 1" and "1_0".
    if kind is None or not digits.isdigit() or len(digits) > 10:
        raise WireError("E_FRAME", "no such kind of frame, or no sequence number")
    seq = int(digits)
    try:
        obj = json.loads(parts[2])
    except ValueError:
        raise WireError("E_FRAME", "not JSON", seq)
    if not isinstance(obj, dict):
        raise WireError("E_FRAME", "not a JSON object", seq)
    return kind, seq, obj
