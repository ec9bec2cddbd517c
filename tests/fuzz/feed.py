"""Feeds a target: the corpus, and changes of it from a seed. Needs nothing but Python.

`make fuzz` looks for new ways through the code (Atheris); this goes the known ones again.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

CORPUS = Path(__file__).with_name("corpus")
_WORDS = (b"0", b"-1", b"1e9", b"99999999999999999999", b"null", b"{}", b"[]", b'"', b"\\u0000",
          b"\n", b"\r\n", b" ", b"\x03", b"\xff", b"!q 2 ", b"stop", b" mL/h")  # fmt: skip


def corpus(name: str) -> list[bytes]:
    """Return the files of a target's corpus, in their order."""
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]


def changed(inputs: list[bytes], count: int, seed: int) -> Iterator[bytes]:
    """Yield so many changes of the inputs: bytes flipped, cut out, doubled, words put in."""
    rng = random.Random(seed)
    for _ in range(count):
        data = bytearray(rng.choice(inputs))
        for _ in range(rng.choice((1, 1, 2, 4, 8))):
            at = rng.randrange(len(data) + 1)
            to = min(len(data), at + rng.choice((1, 1, 2, 8, 64)))
            what = rng.randrange(6)
            if what == 0 and at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            elif what == 1:
                del data[at:to]
            elif what == 2:
                data[at:at] = data[at:to]
            elif what == 3:
                data[at:at] = rng.choice(_WORDS)
            elif what == 4:
                data[at:to] = rng.choice(_WORDS)
            else:
                other = rng.choice(inputs)
                begin = rng.randrange(len(other) + 1)
                data[at:to] = other[begin : begin + 64]
        yield bytes(data[:4096])
