"""How alarms sound and look: 60601-1-8's bursts and lamps as words for the annunciator.

Loaded for a moment when what sounds changes (borrow.py). All times are whole slots of 50 ms; a
word adds 0.16 ms (hal/annunciator.py), 64 of them 10 ms in eight seconds or more.
"""

from micropython import const

SLOT_MS = const(50)
_PERIODS = const(25)  # of 2 ms, a slot
RED = const(1)
YELLOW = const(2)
TONE = const(4)
WORDS = const(64)  # hal/annunciator.py
HINT = const(29 << 3 | 4)  # 60 ms of tone

# By rank. Onsets of the pulses, length of a pulse, burst to burst; lamp, its period, lit for.
# High: x is 100 ms; 3 -> 4 and 8 -> 9 begin 2x + a pulse later; 5 -> 6 leaves 0.5 s.
PLAN = (
    ((0, 5, 10, 20, 25, 38, 43, 48, 58, 63), 3, 160, RED, 10, 4),  # every 8 s; 2 Hz, 40 %
    ((0, 8, 16), 4, 200, YELLOW, 40, 20),  # every 10 s; 0.5 Hz, 50 %
    ((0, 8), 4, 400, YELLOW, 1, 1),  # every 20 s; steady
)


def runs(rank, silent, slots):
    """Return the words of the first ``slots`` of a pattern: one for each change."""
    onsets, pulse, _, lamp, period, lit = PLAN[rank]
    sounding = 0
    for at in () if silent else onsets:
        sounding |= ((1 << pulse) - 1) << at
    words = []
    begin, levels = 0, None
    for at in range(slots + 1):
        now = None
        if at < slots:
            now = (lamp if at % period < lit else 0) | (TONE if sounding >> at & 1 else 0)
        if now != levels:
            if levels is not None:
                words.append(((at - begin) * _PERIODS - 1) << 3 | levels)
            begin, levels = at, now
    return words


def pattern(rank, silent):
    """Return the WORDS words that repeat: the last one is cut into what is missing."""
    words = runs(rank, silent, PLAN[rank][2])
    last = words.pop()
    missing = WORDS - 1 - len(words)
    return words + [last & 7] * missing + [last - (missing << 3)]


def test():
    """Return the words of every sound and lamp once, those of high and then those of medium, and
    how long they take in ms."""
    return runs(0, False, 70) + runs(1, False, 40) + [0], (70 + 40) * SLOT_MS
