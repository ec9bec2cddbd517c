"""Checked frames of the native protocol: one ASCII line each, for both ends of the line.

    !<kind> <seq> <json> <crc32>\\n

``kind`` is q (request), r (reply), e (event) or t (telemetry). The CRC-32 covers every byte from
the ``!`` to the space in front of it. A frame never holds 0x03, so Ctrl-C keeps its meaning on a
terminal. Not here: what a request means (commands.py), when bytes travel (link.py).
Shared by firmware and host; vectors in tests/vectors/wire.json.
"""

import json
from binascii import crc32

MAX_LINE = 1024  # bytes with the newline; a longer line is refused whole, never cut
KINDS = "qret"


class WireError(Exception):
    """A line that is not a good frame: an E_ ``code``, and ``seq`` if it could be read."""

    def __init__(self, code, message, seq=0):
        super().__init__(message)
        self.code = code
        self.message = message
        self.seq = seq


def _text(obj):
    # MicroPython's json has no separators argument, and writes letters beyond ASCII as they are.
    text = json.dumps(obj)
    # No loop over the letters of what is ASCII anyway: on the chip that took 100 ms a frame.
    if len(text.encode()) == len(text) and "\x7f" not in text:
        return text
    return "".join(_escaped(letter) for letter in text)


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
    head = ("!" + kind + " " + str(seq) + " " + _text(obj) + " ").encode()
    line = head + ("%08x\n" % (crc32(head) & 0xFFFFFFFF)).encode()
    if len(line) > MAX_LINE:
        raise WireError("E_SIZE", "frame of %d bytes; the line holds %d" % (len(line), MAX_LINE))
    return line


def _number(text):
    # int() takes "+1", " 1" and "1_0"; a sequence number is digits and nothing else.
    if not text or len(text) > 10:
        return -1
    for letter in text:
        if letter not in "0123456789":
            return -1
    return int(text)


def decode(line):
    """Return (kind, seq, object) of one line, with or without its newline, or raise WireError."""
    line = bytes(line)
    if line.endswith(b"\n"):
        line = line[:-1]
    if line.endswith(b"\r"):  # terminals and relays add it
        line = line[:-1]
    if len(line) >= MAX_LINE:
        raise WireError("E_SIZE", "line longer than %d bytes" % MAX_LINE)
    if line and (min(line) < 32 or max(line) > 126):
        raise WireError("E_FRAME", "byte outside printable ASCII")
    if len(line) < 16 or line[:1] != b"!" or line[-9:-8] != b" " or line[2:3] != b" ":
        raise WireError("E_FRAME", "not a frame")
    head = line[:-8]
    if ("%08x" % (crc32(head) & 0xFFFFFFFF)).encode() != line[-8:]:
        raise WireError("E_CRC", "CRC-32 does not match")
    text = head[3:-1].decode()
    cut = text.find(" ")
    seq = _number(text[:cut] if cut > 0 else "")
    kind = chr(line[1])
    if seq < 0 or kind not in KINDS:
        raise WireError("E_FRAME", "no such kind of frame, or no sequence number")
    try:
        obj = json.loads(text[cut + 1 :])
    except ValueError:
        raise WireError("E_FRAME", "not JSON", seq)
    if not isinstance(obj, dict):
        raise WireError("E_FRAME", "not a JSON object", seq)
    return kind, seq, obj
