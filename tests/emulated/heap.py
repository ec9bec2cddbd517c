"""MicroPython's heap as it lies in the chip's memory: what is free, and in how large pieces.

Read from outside, so that looking costs the firmware neither time nor memory. The layout is that
of MicroPython's mark-and-sweep collector: a table with two bits a block of 16 bytes, 0 for a free
one, and in its state five words that say where table, finalisers and blocks lie.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from doseloop.sim.emulated.chip import RAM, Chip

BLOCK = 16
_PER_BYTE = 4  # blocks that a byte of the table tells of
_LEAST = 100_000  # bytes; the heap is the largest thing in memory


@dataclass(frozen=True)
class Heap:
    """Sizes in bytes. Garbage that no collection has taken yet is not free."""

    size: int
    free: int
    largest: int  # piece in one


def look(chip: Chip) -> Heap:
    """Return the heap as it is now."""
    ram = chip.ram()
    table_at, table_size = _find(ram)
    table = ram[table_at : table_at + table_size]
    blocks = "".join(
        "".join("." if byte >> shift & 3 == 0 else "x" for shift in (0, 2, 4, 6)) for byte in table
    )
    runs = [len(run) for run in re.findall(r"\.+", blocks)]
    return Heap(len(blocks) * BLOCK, sum(runs) * BLOCK, max(runs, default=0) * BLOCK)


def _find(ram: bytes) -> tuple[int, int]:
    # Where the five words stand is the build's secret; that they fit each other gives them away.
    words = struct.unpack(f"<{len(ram) // 4}I", ram)
    found = {
        (start - RAM, size)
        for start, size, finalisers, pool, end in zip(
            words, words[1:], words[2:], words[3:], words[4:], strict=False
        )
        if RAM <= start < finalisers < pool < end <= RAM + len(ram)
        and end - pool == size * _PER_BYTE * BLOCK >= _LEAST
        and size <= finalisers - start <= size + 4
    }
    (only,) = found
    return only
