"""Seal a text with its kind, schema version and CRC-32, and open it again.

Used for what is stored or sent as a whole: the compiled configuration, the compiled order.
It shows damage and mix-ups; it does not show who wrote the text (no signature).

    doseloop <kind> <version> <CRC-32 of the text in UTF-8, 8 lower-case hex digits>
    <text>

Runs on CPython and MicroPython; the host reaches it through `doseloop.resources`.
"""

import binascii

_MAGIC = "doseloop"


class SealError(Exception):
    """A text that can't be opened. `code` is E_KIND, E_VERSION, E_SIZE or E_CRC."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code
        self.message = message


def crc_hex(text):
    """Return the CRC-32 of `text` in UTF-8 as 8 lower-case hex digits."""
    return "%08x" % (binascii.crc32(text.encode()) & 0xFFFFFFFF)


def crc_of(sealed):
    """Return the CRC-32 that a sealed text carries, as hex text."""
    return sealed.split("\n", 1)[0].split(" ")[3]


def seal(kind, version, text):
    """Return `text` sealed as `kind` (one word) in schema `version` (an integer)."""
    return "%s %s %d %s\n%s\n" % (_MAGIC, kind, version, crc_hex(text), text)


def unseal(kind, version, sealed):
    """Return the text inside `sealed`. Raises `SealError` for anything but a whole match.

    The kind and version are looked at before the CRC, so that a newer file is called newer,
    not damaged.
    """
    head, newline, body = sealed.partition("\n")
    words = head.split(" ")
    if words[0] != _MAGIC:
        raise SealError("E_KIND", "not a sealed doseloop text; compile it again")
    if not newline or len(words) != 4:
        raise SealError("E_SIZE", "the first line is cut short; send the text again")
    if words[1] != kind:
        raise SealError("E_KIND", "this is a sealed %s, not a %s" % (words[1], kind))
    if words[2] != str(version):
        raise SealError(
            "E_VERSION",
            "%s schema %s, but this program reads schema %d; use matching versions"
            % (kind, words[2], version),
        )
    if not body.endswith("\n"):
        raise SealError("E_SIZE", "the end is missing; send the text again")
    text = body[:-1]
    if crc_hex(text) != words[3]:
        raise SealError("E_CRC", "the CRC does not match: damaged; compile and send it again")
    return text
