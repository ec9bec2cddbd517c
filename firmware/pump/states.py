"""The controller's states as a table: what each means, whether it moves, and where it may go."""

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

# state: (meaning, moving, states that may follow)
TABLE = {
    SELFTEST: ("testing itself after power-on", False, (IDLE, FAULT)),
    IDLE: ("no order", False, (READY, INTERRUPTED, MAINTENANCE, ALARM)),
    READY: ("an order is planned and waits for start", False,
            (IDLE, READY, INFUSING, WITHDRAWING, BOLUS, PAUSED, ALARM)),
    INFUSING: ("delivering", True, (WITHDRAWING, BOLUS, KVO, PAUSED, ALARM, IDLE)),
    WITHDRAWING: ("filling the syringe", True, (INFUSING, BOLUS, KVO, PAUSED, ALARM, IDLE)),
    BOLUS: ("delivering a bolus", True, (INFUSING, WITHDRAWING, KVO, PAUSED, ALARM, IDLE)),
    KVO: ("keeping the vein open: between doses, or after the order", True,
          (INFUSING, WITHDRAWING, BOLUS, PAUSED, ALARM, IDLE)),
    PAUSED: ("an order is under way and stands", False,
             (INFUSING, WITHDRAWING, BOLUS, KVO, IDLE, ALARM)),
    ALARM: ("an alarm has stopped the pump", False, (PAUSED, IDLE, ALARM)),
    INTERRUPTED: ("a reset cut an order short; a person resumes or stops it", False,
                  (INFUSING, WITHDRAWING, BOLUS, KVO, PAUSED, IDLE, ALARM)),
    MAINTENANCE: ("at the REPL; nothing can move", False, ()),
    FAULT: ("the self-test failed; nothing can move", False, (MAINTENANCE,)),
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
    return TABLE[state][1]


def may_follow(state, then):
    """True when the table lets ``then`` follow ``state``."""
    return then in TABLE[state][2]
