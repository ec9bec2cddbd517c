"""Windows onto the RP2040's registers, and buffers aligned for a DMA ring.

Everything the tick touches is handed to it as a buffer from here, so that the same tick runs on a
desk, where these addresses do not exist and ``uctypes`` is the simulated board's.
"""

import gc

import uctypes
from micropython import const

PIO0_BASE = const(0x50200000)
SIO_BASE = const(0xD0000000)

PIO_CTRL = const(PIO0_BASE)
PIO_IRQ = const(PIO0_BASE + 0x30)
PIO_SM0_EXECCTRL = const(PIO0_BASE + 0xCC)
PIO_SM0_ADDR = const(PIO0_BASE + 0xD4)
SIO_GPIO_IN = const(SIO_BASE + 0x04)
WATCHDOG_CTRL = const(0x40058000)
WATCHDOG_REASON = const(0x40058008)
WATCHDOG_SCRATCH = const(0x4005800C)

USB_SETUP = const(0x50100000)  # the SETUP packet received last, 8 bytes
USB_EP2_IN = const(0x50100090)  # buffer control of the serial line's way to the host
USB_AVAILABLE = const(1 << 10)  # a packet lies there and was not fetched yet

DMA_TRANS_COUNT_TRIG = const(28)  # byte offset of AL1_TRANS_COUNT_TRIG in a channel's window


QUEUE_BYTES = const(16384)  # the step queue's ring: tick.RING_WORDS of two bytes
_reserved = {}


def reserve(size):
    """Take a buffer for aligned() to give out, while the heap is still in one piece."""
    _reserved[size] = aligned(size)


def window(address, words):
    """Return a buffer over ``words`` 32-bit registers. Use it through viper's ptr32 only."""
    return uctypes.bytearray_at(address, 4 * words)


def aligned(size):
    """Return a zeroed buffer of ``size`` bytes at a multiple of ``size``, a power of two.

    The heap gives 16-byte alignment. Padding up to the boundary and freeing the pads afterwards
    costs no memory for good. In a heap with holes the pads may land elsewhere each time: then
    nearly twice the size is taken and a part of it used.
    """
    if size in _reserved:
        return _reserved.pop(size)
    pads = []
    for _ in range(8):
        buffer = bytearray(size)
        over = uctypes.addressof(buffer) & (size - 1)
        if over == 0:
            return buffer
        buffer = None
        gc.collect()
        pads.append(bytearray(size - over))
    pads = None
    gc.collect()
    buffer = bytearray(2 * size - 16)
    over = uctypes.addressof(buffer) & (size - 1)
    start = size - over if over else 0
    return memoryview(buffer)[start : start + size]
