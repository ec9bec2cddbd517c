"""What happens when a person is there: the test of the alarm signals, and its answer; and once a
boot, the alarms that stood before the reset.

Loaded for a moment (borrow.py). ``app`` is the composition root.
"""

# pyright: reportPrivateUsage=false
from micropython import const

from pump import borrow, sealed, states
from pump.errors import Refused

_ANSWER_MS = const(300_000)  # how long the question after a test stays open
_RESTING = (states.IDLE, states.READY, states.PAUSED, states.INTERRUPTED)


def remember(app):
    """Raise again what stood before a reset; what stopped the pump does so again (E11)."""
    controller, alarms = app.controller, app.alarms
    try:
        kept = (controller._kept_alarms.read() or "").split()
    except sealed.SealError:
        kept = ["A_STORE"]
    table = borrow.alarm_table().TABLE  # another release may have had more
    for code in kept:
        if code in table and not alarms.stands(code):
            controller._alarm(code)


def alarm_test(app, args):
    """Let every sound and lamp be noticed once; with arguments: a person says what was (E9)."""
    return _answer(app, args.get("sound"), args.get("lamp")) if args else _test(app)


def _test(app):
    controller, alarms = app.controller, app.alarms
    if controller.state not in _RESTING:
        raise Refused("E_STATE", "not while %s" % controller.state)
    if alarms.voice is None:
        raise Refused("E_CONFIG", "the board has no buzzer and lamps")
    if alarms.standing():
        raise Refused("E_STATE", "not while an alarm stands", next_step="clear it")
    ms = alarms.voice.test()
    alarms.tested_ms = app.clock.ms()
    app.events.add("alarm_test", ms_long=ms)
    return {"ms": ms}


def _answer(app, sound, lamp):
    alarms = app.alarms
    if sound not in (0, 1) or lamp not in (0, 1):
        raise Refused("E_ARG", "sound and lamp are 0 or 1")
    if alarms.tested_ms is None or app.clock.ms() >= alarms.tested_ms + _ANSWER_MS:
        raise Refused("E_STATE", "no test waits for its answer", next_step="`alarm_test`")
    alarms.tested_ms = None
    app.events.add("alarm_tested", sound=sound == 1, lamp=lamp == 1)
    if not sound or not lamp:
        app.controller._alarm("A_SIGNAL")  # a no is an alarm
    return {"alarms": alarms.standing()}
