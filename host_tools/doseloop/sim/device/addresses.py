"""`uctypes` for the simulated board: addresses that look like the RP2040's.

Buffers get made-up SRAM addresses at multiples of their size; register windows are buffers of
pioblock.py.
"""

from kernel import it

_SRAM = 0x20000000
_known = []


def addressof(buffer):
    """Return the buffer's made-up address; the same buffer keeps it."""
    for other, address in _known:
        if other is buffer:
            return address
    address = it.pioblock.address_of(buffer)
    if address is None:
        free = _known[-1][1] + len(_known[-1][0]) if _known else _SRAM
        size = len(buffer)
        address = (free + size - 1) // size * size
        _known.append((buffer, address))
    return address


def bytearray_at(address, size):
    return it.pioblock.window(address, size)


def forget():
    """A reset: the buffers of the run before are gone."""
    del _known[:]
