"""The dose loop's hard tick and what it shares with main: take back, check, top up.

Called every millisecond by a hard timer interrupt (hal/tick_timer.py), which may be late, may
come in bursts, and may be skipped when nothing is due: so it derives everything from the DMA's
own position and the queue, never from the number of its calls.

One array of 32-bit words, ``s``, indexed by the S_ names, carries the state; segments come in,
queue words go out. Everything here runs in a hard IRQ: no allocation, no float, 32-bit integers
only. ``s`` also holds the addresses of all other buffers, put there by connect(): a literal one
would crash anywhere but the chip, and each buffer that is an argument costs 3 us a call. One file
because ``const`` folds into native code only within a module.

A queue word is 16 bits: bits 0-14 hold ``duration - WORD_MIN`` in ticks, bit 15 makes the step.
Its edge falls EDGE_LEAD ticks before the word's end (hal/step_generator.py has the cycle count).

A segment is SEG_WORDS words: steps, first, q, r, d, e. Its first step comes ``first`` ticks after
the edge before it; every later one q ticks after its predecessor, plus 1 whenever the running sum
e + r passes d. planner.py derives the six numbers.
"""

import micropython
from micropython import const

RING_BITS = const(14)  # 16 KiB of 16-bit words: 8192
RING_WORDS = const(8192)
RING_MASK = const(8191)
CTRL_BITS = const(11)  # 2 KiB of 32-bit block lengths: 512
CTRL_WORDS = const(512)
CTRL_MASK = const(511)
WORD_MIN = const(4)  # ticks; a word can't be shorter: 250,000 steps/s at 1 MHz
WAIT_TICKS = const(10000)  # longest word: FIFO and shift register hold nine, so at most 90 ms
EDGE_LEAD = const(2)
FIFO_WORDS = const(8)
HIGH_TICKS = const(800000)  # the queue never holds more than 0.8 s ...
BLOCK_TICKS = const(280000)  # ... and gets a block whenever one fits, so never less than 0.52 s:
# with 90 ms in the FIFO the DMA still reads for 0.43 s, longer than the worst flash erase (0.4 s)
BLOCK_WORDS = const(20)  # up to 10,000 steps/s; above, twice what a tick consumes (dose_loop.py)
COUNT_MASK = const(0x3FFFFFFF)  # step counters wrap here: small integers everywhere

# Segment slots: 0..63 hold the stop ramp, 64..191 a ring that main fills.
SEG_WORDS = const(6)
SEG_STOP = const(64)
SEG_SLOTS = const(192)
SEG_LOW = const(48)  # segments left at which main is woken for more

# State words. Main writes them only while S_RUN is 0, except those marked (main).
S_RUN = const(0)  # 1: the tick owns queue and segments; 0: it keeps its hands off
S_HEAD = const(1)  # next ring word to write
S_TAIL = const(2)  # next ring word to retire
S_CHEAD = const(3)  # next control word to write
S_QUEUED = const(4)  # ticks in words not yet pulled by the step generator
S_FED = const(5)  # steps written to the ring, mod 2**30
S_MADE = const(6)  # steps pulled by the step generator, mod 2**30: the commanded steps
S_SEGR = const(7)  # next segment to read
S_SEGW = const(8)  # next segment main writes (main)
S_LEFT = const(9)  # steps left in the current segment
S_Q = const(10)
S_R = const(11)
S_D = const(12)
S_E = const(13)
S_REM = const(14)  # ticks from the last written word's end to the next step
S_BUDGET = const(15)  # words a block may have
S_FLAGS = const(16)  # F_ bits; the tick sets, main clears when it arms (main)
S_SEEN = const(17)  # steps the witness counted, mod 2**30
S_DRIFT = const(18)  # more steps than this between commanded and witnessed stop the motion
S_LEASE = const(19)  # ticks of motion main still vouches for, 0: none (main)
S_END_MASK = const(20)  # GPIO bits of the inputs that forbid this motion; F_END: those that did
S_END_INV = const(21)  # XORed with the pins: a set bit then means hit, or wire open
S_STOP_REQ = const(22)  # 1: run down the stop ramp (main)
S_STOP_SEGS = const(23)  # slots of the stop ramp
S_BEAT = const(24)  # ticks_us() of the latest tick
S_TICKS = const(25)  # calls of the tick, 1 .. 2**29: for the performance table only
S_GUARD = const(26)  # unread words below which a block comes too late (dose_loop.py)
S_FLYING = const(27)  # 1: the word pulled last has a step, which may not be made yet
S_MORE = const(28)  # 1: main has more segments than fit the ring (main)
S_LOW = const(29)  # 1: few segments are left and main has more; main clears it (main)
S_BIAS = const(30)  # commanded less witnessed steps of the run so far, mod 2**30
S_TOTAL = const(31)  # steps of the whole motion, mod 2**30: a stop ramp never passes them
STATE_WORDS = const(32)

# Addresses follow the state, two words each because MicroPython on a desk has 64-bit ones.
A_RING = const(32)  # 16-bit queue words
A_CTRL = const(34)  # block lengths
A_ENDS = const(36)  # 16-bit: where in the ring each block ends
A_SEGS = const(38)
A_DATA = const(40)  # registers of the DMA channel that moves words,
A_CHAIN = const(42)  # of the one that starts the next block,
A_PIO = const(44)  # of the step generator's PIO
A_SIO = const(46)  # levels of all GPIOs
A_WITNESS = const(48)  # minus the edges counted
A_USB = const(50)  # the SETUP packet that USB received last
ALL_WORDS = const(52)

DO_NOTHING = const(0)
DO_FILL = const(1)
DO_REWIND = const(2)

F_DRIFT = const(1)
F_END = const(2)
F_STOP = const(4)
F_UNDERRUN = const(8)
F_LEASE = const(16)
F_ERROR = const(32)  # an exception inside the tick
F_DRAINED = const(64)  # everything fed was pulled and no segment is left
F_BREAK = const(128)  # the host has sent a break over the serial line

# A break is a USB request to the serial interface: type 0x21, request 0x23 (USB CDC 1.2, 6.3.6).
# Its SETUP packet is taken by hardware at any time, also while main is busy and bytes queue up.
_BREAK = const(0x2321)

_PIO_CTRL = const(0)
_PIO_FLEVEL = const(3)
_PIO_IRQ = const(12)
_DMA_READ = const(0)


@micropython.viper
def _address(buffer: ptr8) -> uint:
    return uint(buffer)


def connect(s, ring, ctrl, ends, segs, data, chain, pio, sio, witness, usb):
    """Put the addresses of the buffers into ``s``. The caller keeps the buffers alive."""
    at = A_RING
    for buffer in (ring, ctrl, ends, segs, data, chain, pio, sio, witness, usb):
        address = _address(buffer)
        for word in (address & 0xFFFFFFFF, address >> 32):
            s[at] = word if word < 1 << 31 else word - (1 << 32)
            at += 1


@micropython.viper
def look(s: ptr32, now: int) -> int:  # ISR-safe
    """Take back what was pulled; decide what this tick does. Stops at once on a fault.

    now: ticks_us(), kept as the sign of life. Return DO_NOTHING, DO_FILL or DO_REWIND. While
    S_RUN is 0 it only takes back: main calls it for that when a motion has ended.

    Taking back: the words that the step generator has pulled are less queued time and more steps
    made. Read in this order (witness, DMA, FIFO level), each later value can only make ``made``
    too small by what moved in the microseconds between; the next call catches up.
    """
    ring = ptr16(s[A_RING] | s[A_RING + 1] << 32)
    t = s[S_TAIL]
    ends = ptr16(s[A_ENDS] | s[A_ENDS + 1] << 32)
    data = ptr32(s[A_DATA] | s[A_DATA + 1] << 32)
    chain = ptr32(s[A_CHAIN] | s[A_CHAIN + 1] << 32)
    pio = ptr32(s[A_PIO] | s[A_PIO + 1] << 32)
    sio = ptr32(s[A_SIO] | s[A_SIO + 1] << 32)
    witness = ptr32(s[A_WITNESS] | s[A_WITNESS + 1] << 32)
    usb = ptr32(s[A_USB] | s[A_USB + 1] << 32)

    s[S_BEAT] = now
    s[S_TICKS] = (s[S_TICKS] & (COUNT_MASK >> 1)) + 1
    s[S_SEEN] = (0 - witness[0]) & COUNT_MASK
    read = (data[_DMA_READ] & 0x3FFF) >> 1
    pulled = (read - (pio[_PIO_FLEVEL] & 15)) & RING_MASK
    # A DMA transfer in flight can make the level one too large, and ``pulled`` a word less than
    # it was: outside tail..head it means no progress, not a walk round the ring.
    if ((pulled - t) & RING_MASK) > ((s[S_HEAD] - t) & RING_MASK):
        pulled = t
    queued = s[S_QUEUED]
    made = s[S_MADE]
    lease = s[S_LEASE]
    flying = s[S_FLYING]
    while t != pulled:
        w = int(ring[t])
        d = (w & 0x7FFF) + WORD_MIN
        queued -= d
        lease -= d
        flying = w >> 15
        made += flying
        t = (t + 1) & RING_MASK
    made &= COUNT_MASK
    s[S_TAIL] = t
    s[S_QUEUED] = queued
    s[S_MADE] = made
    s[S_FLYING] = flying
    # Never stored negative: a 64-bit host reads a 32-bit word back as unsigned.
    if lease < 0:
        lease = 0
    s[S_LEASE] = lease
    if s[S_RUN] == 0:
        return DO_NOTHING

    flags = s[S_FLAGS]
    hit = (sio[0] ^ s[S_END_INV]) & s[S_END_MASK]
    if hit:
        s[S_END_MASK] = hit
        flags |= F_END
    if pio[_PIO_IRQ] & 1:
        flags |= F_STOP
    # The step in flight is no loss yet: it counts when the word after it is pulled.
    drift = (s[S_BIAS] + made - flying - s[S_SEEN]) & COUNT_MASK
    if drift > COUNT_MASK >> 1:
        drift = COUNT_MASK - drift + 1
    if drift > s[S_DRIFT]:
        flags |= F_DRIFT
    if lease == 0:
        flags |= F_LEASE
    if flags & (F_END | F_DRIFT | F_LEASE):
        pio[_PIO_CTRL] = 0  # at once; its stop input has stopped the PIO already
    if (usb[0] & 0xFFFF) == _BREAK:
        # Left where it is: the USB stack may not have read it yet. Above the pull-in rate main
        # runs the stop ramp; below, the motor may stand between any two steps.
        flags |= F_BREAK
        if s[S_STOP_SEGS] == 0:
            pio[_PIO_CTRL] = 0
            s[S_RUN] = 0
    s[S_FLAGS] = flags
    if flags & (F_DRIFT | F_END | F_STOP | F_LEASE):
        s[S_RUN] = 0
    if s[S_RUN] == 0:
        return DO_NOTHING
    cread = (chain[_DMA_READ] & 0x7FF) >> 2
    read = (data[_DMA_READ] & 0x3FFF) >> 1
    if s[S_STOP_REQ] == 1:
        blocks = (s[S_CHEAD] - cread) & CTRL_MASK
        if blocks == 0 or blocks == CTRL_MASK:
            # The last block is being played, or the chain has met its terminator and the FIFO
            # holds the rest: nothing to cut.
            s[S_STOP_REQ] = 2
            s[S_MORE] = 0
            s[S_SEGR] = s[S_SEGW]
            s[S_LEFT] = 0
            s[S_REM] = 0
            return DO_NOTHING
        unread = (int(ends[(cread - 1) & CTRL_MASK]) - read) & RING_MASK
        if unread < s[S_GUARD]:
            return DO_NOTHING  # the block ends within microseconds: cut at the next tick
        return DO_REWIND
    slots = s[S_SEGW] - s[S_SEGR]
    if slots < 0:
        slots += SEG_SLOTS - SEG_STOP
    if slots < SEG_LOW and s[S_MORE]:
        s[S_LOW] = 1
    if s[S_REM] == 0 and s[S_LEFT] == 0 and slots == 0 and s[S_MORE] == 0:
        if s[S_TAIL] == s[S_HEAD]:
            s[S_FLAGS] = flags | F_DRAINED
        return DO_NOTHING
    if s[S_QUEUED] > HIGH_TICKS - BLOCK_TICKS:
        return DO_NOTHING
    blocks = (s[S_CHEAD] - cread) & CTRL_MASK  # published, not yet taken by the chain
    if ((s[S_HEAD] - read) & RING_MASK) < s[S_GUARD] or blocks == CTRL_MASK:
        # Too late: the chain has met its terminator, or may before this block is published.
        s[S_FLAGS] = flags | F_UNDERRUN  # the motion ends by itself
        s[S_RUN] = 0
        return DO_NOTHING
    if blocks > CTRL_WORDS - 8:
        return DO_NOTHING
    return DO_FILL


@micropython.viper
def fill(s: ptr32) -> int:  # ISR-safe
    """Write one block of words from the segments and publish it. Return its words, 0 if none.

    The caller has checked that a block fits. Ranges, at any segment the planner makes:
    e < d <= 2**30 and r < d, so e + r < 2**31; q + 1 and first <= 2**30; a word's d <= WAIT_TICKS.
    """
    ring = ptr16(s[A_RING] | s[A_RING + 1] << 32)
    head = s[S_HEAD]
    ctrl = ptr32(s[A_CTRL] | s[A_CTRL + 1] << 32)
    ends = ptr16(s[A_ENDS] | s[A_ENDS + 1] << 32)
    segs = ptr32(s[A_SEGS] | s[A_SEGS + 1] << 32)
    room = RING_WORDS - 1 - ((head - s[S_TAIL]) & RING_MASK)
    budget = s[S_BUDGET]
    if budget > room:
        budget = room
    words = 0
    ticks = 0
    fed = s[S_FED]
    rem = s[S_REM]
    left = s[S_LEFT]
    e = s[S_E]
    while words < budget:
        if rem == 0:
            if left == 0:
                at = s[S_SEGR]
                if at == s[S_SEGW]:
                    break
                base = at * SEG_WORDS
                left = segs[base]
                rem = segs[base + 1]
                s[S_Q] = segs[base + 2]
                s[S_R] = segs[base + 3]
                s[S_D] = segs[base + 4]
                e = segs[base + 5]
                at += 1
                if at == SEG_SLOTS:
                    at = SEG_STOP
                s[S_SEGR] = at
            else:
                rem = s[S_Q]
                e += s[S_R]
                if e >= s[S_D]:
                    e -= s[S_D]
                    rem += 1
        if rem > WAIT_TICKS:
            d = WAIT_TICKS
            if rem - d < WORD_MIN:
                d = WAIT_TICKS >> 1
            ring[head] = d - WORD_MIN
            rem -= d
        else:
            d = rem
            ring[head] = (d - WORD_MIN) | 0x8000
            rem = 0
            left -= 1
            fed += 1
        head = (head + 1) & RING_MASK
        words += 1
        ticks += d
        if ticks >= BLOCK_TICKS:
            break
    s[S_E] = e
    s[S_REM] = rem
    s[S_LEFT] = left
    if words:
        s[S_FED] = fed & COUNT_MASK
        s[S_HEAD] = head
        s[S_QUEUED] += ticks
        c = s[S_CHEAD]
        after = (c + 1) & CTRL_MASK
        ends[c] = head
        ctrl[after] = 0  # the terminator first: a dead CPU leaves a chain that ends
        ctrl[c] = words
        s[S_CHEAD] = after
    return words


@micropython.viper
def rewind(s: ptr32):  # ISR-safe
    """Cut the queue behind the block being played and continue with the stop ramp.

    Used above the pull-in rate only, where a block lasts a few milliseconds and every word is a
    step.
    """
    ring = ptr16(s[A_RING] | s[A_RING + 1] << 32)
    ctrl = ptr32(s[A_CTRL] | s[A_CTRL + 1] << 32)
    ends = ptr16(s[A_ENDS] | s[A_ENDS + 1] << 32)
    segs = ptr32(s[A_SEGS] | s[A_SEGS + 1] << 32)
    chain = ptr32(s[A_CHAIN] | s[A_CHAIN + 1] << 32)
    cread = (chain[_DMA_READ] & 0x7FF) >> 2  # the control word that the DMA reads next
    ctrl[cread] = 0
    cut = int(ends[(cread - 1) & CTRL_MASK])
    t = cut
    head = s[S_HEAD]
    queued = s[S_QUEUED]
    fed = s[S_FED]
    while t != head:
        w = int(ring[t])
        queued -= (w & 0x7FFF) + WORD_MIN
        fed -= w >> 15
        t = (t + 1) & RING_MASK
    s[S_HEAD] = cut
    s[S_CHEAD] = cread
    s[S_QUEUED] = queued
    s[S_FED] = fed & COUNT_MASK
    s[S_REM] = 0
    s[S_LEFT] = 0
    # Enter the ramp at the speed of the last step that stays queued.
    interval = (int(ring[(cut - 1) & RING_MASK]) & 0x7FFF) + WORD_MIN
    at = 0
    end = s[S_STOP_SEGS]
    while at < end and segs[at * SEG_WORDS + 2] < interval:
        at += 1
    # Close to the end, leave out the ramp's fastest part rather than pass the ordered steps.
    room = (s[S_TOTAL] - fed) & COUNT_MASK
    ramp = 0
    k = at
    while k < end:
        ramp += segs[k * SEG_WORDS]
        k += 1
    while at < end and ramp > room:
        ramp -= segs[at * SEG_WORDS]
        at += 1
    s[S_SEGR] = at
    s[S_SEGW] = end
    s[S_MORE] = 0
    s[S_STOP_REQ] = 2


@micropython.viper
def forget_break(s: ptr32):
    """Main, when a person starts or resumes: a break from before then is answered."""
    usb = ptr32(s[A_USB] | s[A_USB + 1] << 32)
    if (usb[0] & 0xFFFF) == _BREAK:
        usb[0] = 0


@micropython.native
def tick(s, now):  # ISR-safe
    """One pass of the dose loop. ``now``: ticks_us()."""
    what = look(s, now)
    if what:
        if what == DO_REWIND:
            rewind(s)
        fill(s)
