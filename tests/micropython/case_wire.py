"""wire.decode on lines that nobody should send: WireError or a good frame, and no growing heap."""

import gc
import random
from binascii import crc32

from pump import wire

LINES = 20000
GOOD = (
    b'!q 17 {"s":3,"id":"a7","c":"infuse","a":{"volume_al":2500000000000000,"rate":5}} ',
    b'!q 18 {"s":3,"id":"a8","c":"put","a":{"slot":"order","offset":0,"data":"{\\"a\\":[1]}"}} ',
    b"!r 0 {} ",
)
_TOKENS = b'{}[]":,-0123456789.eE+truefalsn \\u00ff!q\x00\x03\x7f\xff'


def sealed(head):
    return head + ("%08x\n" % (crc32(head) & 0xFFFFFFFF)).encode()


def mutated(dice, source):
    line = bytearray(source)
    for _ in range(dice(4) + 1):
        at = dice(len(line))
        what = dice(5)
        if what == 0:
            line[at] = dice(256)
        elif what == 1:
            line[at] = _TOKENS[dice(len(_TOKENS))]
        elif what == 2:
            line = line[:at]
        elif what == 3:
            line = line[:at] + bytes([_TOKENS[dice(len(_TOKENS))]]) + line[at:]
        else:
            line = line[:at] + line[: dice(len(line)) + 1]
        if not line:
            line = bytearray(b"!")
    return bytes(line)


def a_line(dice, i):
    if i % 4 == 0:
        return bytes([dice(256) for _ in range(dice(90))])
    source = GOOD[dice(len(GOOD))]
    if i % 4 == 1:
        return mutated(dice, sealed(source))
    if i % 4 == 2:
        return sealed(mutated(dice, source))  # damage that the CRC does not show
    body = bytes([_TOKENS[dice(len(_TOKENS))] for _ in range(dice(40))])
    return sealed(b"!q " + str(dice(1000)).encode() + b" " + body + b" ")


def test_no_line_does_harm(_folder):
    random.seed(1)

    def dice(sides):
        return random.getrandbits(24) % sides

    good = refused = 0
    base = None
    for i in range(LINES):
        line = a_line(dice, i)
        try:
            kind, seq, obj = wire.decode(line)
        except wire.WireError as error:
            if error.code not in ("E_FRAME", "E_CRC", "E_SIZE"):
                raise
            refused += 1
        else:
            if kind not in "qret" or seq < 0 or not isinstance(obj, dict):
                raise AssertionError(line)
            good += 1
        kind = seq = obj = None
        if hasattr(gc, "mem_alloc") and i in (LINES // 10, LINES - 1):
            gc.collect()
            if base is None:
                base = gc.mem_alloc()
            elif gc.mem_alloc() > base + 2048:
                raise AssertionError("heap grew by %d" % (gc.mem_alloc() - base))
    if good < LINES // 100 or refused < LINES // 2:
        raise AssertionError("not what was meant: %d good, %d refused" % (good, refused))
    return "%d good, %d refused" % (good, refused)
