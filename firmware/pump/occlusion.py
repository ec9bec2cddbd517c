"""What the pump does about the pressure: alarms at once, backs off, may go on by itself.

Between pressure.py (what it means) and the controller, which calls it in every pass. Imported
where the board has a force sensor. Why so: docs/decisions/0015-occlusion.md.
"""

from micropython import const

from pump import borrow, states
from pump.errors import Refused
from pump.pressure import Pressure

_LOOK_MS = const(100)
_SLOW_MS = const(1000)  # where a second's flow is a 2,000th of the syringe: 1.7 kPa
_SLOW_PARTS = const(2_000)
_SILENT_MS = const(2000)
_CALM_MS = const(5000)  # five times resistance by compliance of an ordinary line (docs/model.md)


class Sensing:
    """``sensor``: hal's, with read(); ``config``: the configuration in force."""

    def __init__(self, clock, events, alarms, sensor, config):
        self.clock, self.events, self._alarms = clock, events, alarms
        self._sensor = sensor
        self._restart = None
        if config["force"]["auto_restart"]:
            from pump.restart import Restart

            self._restart = Restart(clock, events, alarms, config["force"]["auto_restart"])
        al, capacity = config["motion"]["al_per_step"], config["syringe"]["capacity_al"]
        self._slow_rate = capacity // _SLOW_PARTS * 3600
        # Above, a motion has ramps: there the flow changes within a rate.
        self._ramped_rate = config["motion"]["pull_in_hz"] * al * 3600
        self.pressure = Pressure(config["force"], capacity, al)
        self._due_ms = 0
        self._heard_ms = clock.ms()
        self._motion = None  # the motion looked at: another one has another flow
        self._calm_ms = 0  # until then a change of flow is answered by one of pressure
        self._stood = True
        self._steps = 0  # the plunger's place at the last look
        self._rate = 0  # at the last look
        self._backing = None  # backoff.BackOff while it lasts

    # -- reading ------------------------------------------------------------------------------

    def read(self):
        """Take a reading; return False when there has been none for too long."""
        now = self.clock.ms()
        if now - self._heard_ms > _SILENT_MS:
            self.pressure.forget()
        counts = self._sensor.read()
        if counts is not None and self.pressure.take(counts):
            self._heard_ms = now
        return now - self._heard_ms <= _SILENT_MS

    def fresh_pa(self, way):
        """Return the pressure at standstill, where the mean would be what it was on the way."""
        counts = self._sensor.read()
        if counts is not None:
            self.pressure.forget()
            if self.pressure.take(counts):
                self._heard_ms = self.clock.ms()
        return self.pressure.pressure_pa(way)

    def now_pa(self, c):
        """Return the pressure for the status, None when the sensor says nothing."""
        if not c.motor.moving:
            return self.fresh_pa(0)
        back = self._backing is not None or c.state == states.WITHDRAWING
        return self.pressure.pressure_pa(-1 if back else 1)

    def wait_ms(self, moving):
        """Return how soon main must look again."""
        due = self._due_ms if moving else self._restart and self._restart.due_ms
        if self._backing is not None:
            due = self._backing.due_ms
        return 2000 if due is None else max(0, due - self.clock.ms())

    # -- in motion ----------------------------------------------------------------------------

    def look(self, c):
        """The run goes on: is it time to look, and is anything the matter?"""
        now = self.clock.ms()
        if now < self._due_ms and not self._stood:
            return
        motor, pressure = c.motor, self.pressure
        item = c.run.item()
        if (motor.taking_up and not motor.refilling) or item is None or item.way < 0:
            self._motion = None  # nothing infuses: friction is not what it would be
            self._due_ms = now + _LOOK_MS
            return
        if self._motion != motor.number:
            if self._stood:
                pressure.begin(motor.position)
                pressure.forget()
                self._heard_ms = now
            self._motion, self._stood = motor.number, False
            self._rate = None
            self._steps = motor.position
        rate = c.rate()
        if rate != self._rate or rate > self._ramped_rate:
            self._calm_ms = now + _CALM_MS
        self._rate = rate
        self._due_ms = now + (_SLOW_MS if rate <= self._slow_rate else _LOOK_MS)
        if not self.read():
            self._trip(c, "A_FORCE")
            return
        pa = pressure.pressure_pa(1)
        if pa is None:
            return
        steps, self._steps = motor.position - self._steps, motor.position
        if now < self._calm_ms:
            pressure.again()
        code = pressure.look(pa, motor.position, steps)
        if code == "A_LEAP":
            c.alarm(code)
        elif code is not None:
            self._trip(c, code)

    def _trip(self, c, code):
        """Stop at once, whatever the rate, and alarm; then take back what the line holds."""
        ended = c.halt_now()
        if ended != "stopped":
            code = ended  # it had stopped by itself before
        pa = self.pressure.pressure_pa(1)
        self.events.add("pressure", run=c.run.id, pressure_pa=pa, code=code)
        c.alarm(code)
        if code == "A_OCCLUSION":
            self._backing = borrow.backoff().begin(self, c)

    # -- by itself ----------------------------------------------------------------------------

    def serve(self, c):
        """Back off, or restart. Return True while the motor is this one's, not the run's."""
        motor = c.motor
        if self._backing is not None:
            if self._backing.serve(c):
                return True
            self._backing = None
            if self._restart is not None:
                self._restart.consider(c, self.fresh_pa(-1), self.pressure.threshold_pa)
            return False
        if not motor.moving:
            self._stood = True
            if self._restart is not None and self._restart.due():
                pa = self.fresh_pa(-1)
                if self._restart.begin(c, pa, self.pressure.threshold_pa):
                    self._alarms.forgive("A_OCCLUSION")  # nobody had to answer it
        return False

    # -- requests -----------------------------------------------------------------------------

    def need_stand(self):
        """Raise Refused while the plunger backs off."""
        if self._backing is not None:
            raise Refused("E_STATE", "the plunger backs off", next_step="try again in a moment")
