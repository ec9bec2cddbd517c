"""Drawing the plunger back after an occlusion, so that what the line holds is no bolus (D6).

Borrowed (borrow.py) by occlusion.py for as long as it lasts.
"""

from micropython import const

_LOOK_MS = const(100)


def begin(sensing, c):
    """Start to back off and return the BackOff; None where there is nothing to draw back.

    sensing: occlusion.Sensing; c: the controller, with its motor at standstill.
    """
    motor = c.motor
    steps, rest_pa = sensing.pressure.rise(motor.position)
    steps = min(steps, motor.room(-1))
    if steps <= 0 or motor.blocked(-1) is not None:
        return None
    began = motor.position
    motor.back_off(steps)
    return BackOff(sensing, motor.number, rest_pa, began)


class BackOff:
    """Draws back until the pressure is ``rest_pa``, never more than went in since the onset."""

    def __init__(self, sensing, motion, rest_pa, began):
        self._sensing = sensing
        self._motion = motion
        self._rest_pa = rest_pa
        self._began = began
        self.due_ms = 0  # when to look at the pressure

    def serve(self, c):
        """Call it in every pass; return whether it goes on."""
        if self._mine(c):
            self._look(c)
        if self._mine(c):
            return True
        if not c.motor.moving:
            c.motor.release()
        c.journal.touch()
        steps, pa = self._began - c.motor.position, self._sensing.fresh_pa(-1)
        self._sensing.events.add("backoff", run=c.run.id, steps=steps, pressure_pa=pa)
        return False

    def _mine(self, c):
        return c.motor.moving and c.motor.number == self._motion

    def _look(self, c):
        motor, sensing = c.motor, self._sensing
        ended = motor.poll()
        if ended in ("break", None):
            now = sensing.clock.ms()
            if now >= self.due_ms:
                self.due_ms = now + _LOOK_MS
                if not sensing.read() or sensing.pressure.pressure_pa(-1) <= self._rest_pa:
                    ended = "enough"
            if ended is not None:
                ended = motor.stop()
        if ended not in (None, "stopped", "takeup"):
            c.alarm(ended)
