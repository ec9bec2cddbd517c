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
KINDS = "qret"


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
    line = line.rstrip(b"\r\n")  # terminals and relays add a carriage return
    if len(line) >= MAX_LINE:
        raise WireError("E_SIZE", "line longer than %d bytes" % MAX_LINE)
    if line and (min(line) < 32 or max(line) > 126):
        raise WireError("E_FRAME", "byte outside printable ASCII")
    parts = line[:-9].split(b" ", 2)
    if len(line) < 16 or line[0] != 33 or line[-9] != 32 or len(parts) != 3 or len(parts[0]) != 2:
        raise WireError("E_FRAME", "not a frame")
    if _sum(crc32(line[:-8])) != line[-8:]:
        raise WireError("E_CRC", "CRC-32 does not match")
    kind, digits = chr(line[1]), parts[1]
    # int() alone takes "+1", " 1" and "1_0".
    if kind not in KINDS or not digits.isdigit() or len(digits) > 10:
        raise WireError("E_FRAME", "no such kind of frame, or no sequence number")
    seq = int(digits)
    try:
        obj = json.loads(parts[2])
    except ValueError:
        raise WireError("E_FRAME", "not JSON", seq)
    if not isinstance(obj, dict):
        raise WireError("E_FRAME", "not a JSON object", seq)
    return kind, seq, obj
