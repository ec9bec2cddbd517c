"""The controller's states as a table: whether each moves, where it may go, what it answers.

What each means, in words, is words.STATES.
"""

IDLE = "idle"
READY = "ready"
INFUSING = "infusing"
WITHDRAWING = "withdrawing"
KVO = "kvo"
PAUSED = "paused"
ALARM = "alarm"
MAINTENANCE = "maintenance"
SELFTEST = "selftest"
FAULT = "fault"
BOLUS = "bolus"
PRIMING = "priming"
INTERRUPTED = "interrupted"

_RUN = ("pause", "rate", "bolus_now")

# state: (moving, states that may follow, requests that it answers). Any state answers the others,
# `stop` above all. docs/modes.md is drawn from this; tests/unit/firmware/modes explores it.
TABLE = {
    SELFTEST: (False, (IDLE, FAULT), ()),
    IDLE: (False, (READY, INTERRUPTED, MAINTENANCE, ALARM), ("plan", "load", "maintenance")),
    READY: (False, (IDLE, READY, INFUSING, WITHDRAWING, BOLUS, PRIMING, PAUSED, ALARM),
            ("plan", "load", "start", "hold")),
    INFUSING: (True, (WITHDRAWING, BOLUS, KVO, PAUSED, ALARM, IDLE), _RUN),
    WITHDRAWING: (True, (INFUSING, BOLUS, KVO, PAUSED, ALARM, IDLE), _RUN),
    BOLUS: (True, (INFUSING, WITHDRAWING, KVO, PAUSED, ALARM, IDLE), ("hold",) + _RUN),
    PRIMING: (True, (ALARM, IDLE), ("hold",)),
    KVO: (True, (INFUSING, WITHDRAWING, BOLUS, PAUSED, ALARM, IDLE), _RUN),
    PAUSED: (False, (INFUSING, WITHDRAWING, BOLUS, KVO, IDLE, ALARM), ("resume", "load") + _RUN),
    ALARM: (False, (PAUSED, IDLE, ALARM), ("load",)),
    INTERRUPTED: (False, (INFUSING, WITHDRAWING, BOLUS, KVO, PAUSED, IDLE, ALARM),
                  ("resume", "load")),
    MAINTENANCE: (False, (), ("maintenance",)),
    FAULT: (False, (MAINTENANCE,), ("maintenance",)),
}  # fmt: skip


# What the pump is doing while an item of this kind runs (program.WAYS).
OF_KIND = {
    "infuse": INFUSING,
    "ramp": INFUSING,
    "bolus": BOLUS,
    "prime": PRIMING,
    "withdraw": WITHDRAWING,
    "kvo": KVO,
    "basal": INFUSING,
    "pause": PAUSED,
    "wait": PAUSED,
}


def moving(state):
    """True for a state in which the motor may turn."""
    return TABLE[state][0]


def may_follow(state, then):
    """True when the table lets ``then`` follow ``state``."""
    return then in TABLE[state][1]


def answers(state, request):
    """True when ``state`` answers one of the requests in the table."""
    return request in TABLE[state][2]
