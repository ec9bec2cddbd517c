"""The controller's states as a table: whether each moves, and where it may go.

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
INTERRUPTED = "interrupted"

# state: (moving, states that may follow)
TABLE = {
    SELFTEST: (False, (IDLE, FAULT)),
    IDLE: (False, (READY, INTERRUPTED, MAINTENANCE, ALARM)),
    READY: (False, (IDLE, READY, INFUSING, WITHDRAWING, BOLUS, PAUSED, ALARM)),
    INFUSING: (True, (WITHDRAWING, BOLUS, KVO, PAUSED, ALARM, IDLE)),
    WITHDRAWING: (True, (INFUSING, BOLUS, KVO, PAUSED, ALARM, IDLE)),
    BOLUS: (True, (INFUSING, WITHDRAWING, KVO, PAUSED, ALARM, IDLE)),
    KVO: (True, (INFUSING, WITHDRAWING, BOLUS, PAUSED, ALARM, IDLE)),
    PAUSED: (False, (INFUSING, WITHDRAWING, BOLUS, KVO, IDLE, ALARM)),
    ALARM: (False, (PAUSED, IDLE, ALARM)),
    INTERRUPTED: (False, (INFUSING, WITHDRAWING, BOLUS, KVO, PAUSED, IDLE, ALARM)),
    MAINTENANCE: (False, ()),
    FAULT: (False, (MAINTENANCE,)),
}  # fmt: skip


# What the pump is doing while an item of this kind runs (program.WAYS).
OF_KIND = {
    "infuse": INFUSING,
    "ramp": INFUSING,
    "bolus": BOLUS,
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
