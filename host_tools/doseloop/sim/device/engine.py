"""What the step generator's state machine and its two DMA channels do, at tick resolution.

A behavioural model of two things, checked against them in tests/pio: the PIO program of
firmware/pump/hal/step_generator.py (run there instruction by instruction in an emulator) and
a finite chain of DMA blocks. It plays queue words that the firmware wrote and knows no pump.

``g`` is an array('i') indexed by the G_ names.
"""

import micropython
from micropython import const

RING_MASK = const(8191)
CTRL_MASK = const(511)
FIFO = const(8)

G_REM = const(0)  # ticks left of the word in the state machine; 0: at the pull
G_EDGE = const(1)  # 1: this word's edge is still to come
G_PULL = const(2)  # ring index of the next word the state machine pulls
G_READ = const(3)  # ring index of the next word the data channel reads
G_LEFT = const(4)  # words left in the data channel's block
G_CREAD = const(5)  # index of the next control word the chain channel reads
G_EVENT = const(6)  # E_ bits of what ended the latest play()
G_DEAD = const(7)  # 1: the chain met its terminator: nothing restarts it but a new arm
G_HIGH = const(8)  # 1: STEP is high (a pulse is being made)
G_WORDS = const(9)

E_EDGE = const(1)
E_BLOCK = const(2)
E_STARVED = const(4)


@micropython.viper
def prefetch(g: ptr32, ctrl: ptr32):
    """Let the channels run until the FIFO is full, or the chain has ended."""
    while ((g[G_READ] - g[G_PULL]) & RING_MASK) < FIFO:
        if g[G_LEFT] == 0:
            if g[G_DEAD]:
                return
            n = ctrl[g[G_CREAD]]
            g[G_CREAD] = (g[G_CREAD] + 1) & CTRL_MASK
            g[G_EVENT] |= E_BLOCK
            if n == 0:  # a null trigger: the data channel is not started, so nothing chains on
                g[G_DEAD] = 1
                return
            g[G_LEFT] = n
        g[G_READ] = (g[G_READ] + 1) & RING_MASK
        g[G_LEFT] -= 1
        if g[G_LEFT] == 0 and g[G_DEAD] == 0:  # complete: it triggers the chain channel at once
            n = ctrl[g[G_CREAD]]
            g[G_CREAD] = (g[G_CREAD] + 1) & CTRL_MASK
            g[G_EVENT] |= E_BLOCK
            if n == 0:
                g[G_DEAD] = 1
            else:
                g[G_LEFT] = n


@micropython.viper
def show(g: ptr32, pio: ptr32, data: ptr32, chain: ptr32):
    """Write what the tick reads into the register windows: FIFO level, DMA positions."""
    pio[3] = (g[G_READ] - g[G_PULL]) & RING_MASK
    data[0] = 0x20000000 + (g[G_READ] << 1)
    data[2] = g[G_LEFT]
    chain[0] = 0x20008000 + (g[G_CREAD] << 2)


@micropython.viper
def play(g: ptr32, ring: ptr16, ctrl: ptr32, budget: int) -> int:
    """Let at most ``budget`` ticks pass. Return those that did; G_EVENT says what ended it early:
    an edge (which falls at the returned instant), a block taken by the chain, or an empty FIFO."""
    left = budget
    rem = g[G_REM]
    g[G_EVENT] = 0
    while True:
        if rem == 0:
            g[G_HIGH] = 0
            pull = g[G_PULL]
            if pull == g[G_READ]:
                g[G_EVENT] |= E_STARVED
                break
            w = int(ring[pull])
            g[G_PULL] = (pull + 1) & RING_MASK
            rem = (w & 0x7FFF) + 4
            g[G_EDGE] = w >> 15
            if g[G_LEFT] > 1:  # the common case of prefetch(), inline
                g[G_READ] = (g[G_READ] + 1) & RING_MASK
                g[G_LEFT] -= 1
            elif g[G_DEAD] == 0 or g[G_LEFT]:
                n = g[G_LEFT]
                g[G_READ] = (g[G_READ] + 1) & RING_MASK
                g[G_LEFT] = 0
                n = ctrl[g[G_CREAD]]
                g[G_CREAD] = (g[G_CREAD] + 1) & CTRL_MASK
                if n == 0:
                    g[G_DEAD] = 1
                else:
                    g[G_LEFT] = n
                g[G_EVENT] |= E_BLOCK
        if g[G_EDGE]:
            wait = rem - 2  # the edge leads the word's end by two ticks
            if left < wait:
                rem -= left
                left = 0
                break
            left -= wait
            rem = 2
            g[G_EDGE] = 0
            g[G_HIGH] = 1
            g[G_EVENT] |= E_EDGE
            break
        if left < rem:
            rem -= left
            left = 0
            break
        left -= rem
        rem = 0
        if g[G_EVENT]:
            break
    g[G_REM] = rem
    return budget - left
