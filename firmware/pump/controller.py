"""The controller: one state at a time, what may happen in it, and what each request does.

Owns the run. Asks the motor to move, never the hardware. What follows by itself, when a motion has
ended, is course.py's.
"""

# What another part of the class sets and has, a type checker can't see here.
# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false
from micropython import const

from pump import borrow, shown, states
from pump.dosing import Dosing
from pump.errors import Refused

_WAIT_PAUSED_MS = const(1000)
_WAIT_ENDING_MS = const(2)
_WAIT_IDLE_MS = const(2000)


class Controller(Dosing):
    """What a host or a person may ask, in which state, and what is due."""

    # -- configuration ------------------------------------------------------------------------

    def configure(self, config, motor):
        """Put a configuration in force. Nothing is loaded and no order is kept."""
        self.config = config
        self.motor = motor
        self.order = None
        self._go(states.IDLE)

    # -- requests -----------------------------------------------------------------------------

    def may_plan(self):
        """Raise Refused when no order can be taken now."""
        self._need("plan")

    def plan(self, new_order, direct):
        """Take an order and wait for start. ``direct``: it came as a command, without a fill."""
        return borrow.starting().plan(self, new_order, direct)

    def plan_view(self):
        """Return the plan of the order that waits or runs."""
        return borrow.starting().plan_view(self)

    def start(self, crc=None):
        """Begin the order. ``crc``: that of the order the host has shown, to be sure."""
        if self.state == states.READY and self.order.steps[0].mode == "prime":
            raise Refused("E_STATE", "a prime lasts while it is held", next_step="send `hold`")
        return borrow.starting().start(self, crc)

    def pause(self):
        """Stand still; the order stays. Pausing twice changes nothing."""
        if self.state == states.PAUSED and self._resume_at is None:
            return self._totals()
        self._need_run("pause")
        self._leave_pause()
        self._halt("pause")
        return self._totals()

    def resume(self):
        """Go on with the exact remainder, after a pause or a reset."""
        self._need("resume")
        if self._resume_at is not None:
            raise Refused("E_STATE", "the order itself pauses here; `stop` ends it")
        item = self.run.item()
        if item is not None:
            self._check_way(item.way)
        self._forget_button()
        if self._controlled():
            if not self._patient.ready:
                self._prescribe(None)
            self._patient.begin()
        self._watchdog.arm()
        self.motor.forget_break()
        self._alarms.end("A_RESET", self._events)
        self._events.add("resume", run=self.run.id)
        self._next_leg()
        return self._totals()

    def stop(self):
        """End the run, or drop the order that waits. Stopping an idle pump changes nothing."""
        if self.state == states.IDLE:
            return self._totals() if self.run else {}
        if self.state == states.READY:
            self.order = None
            self._go(states.IDLE)
            return {}
        if self.state == states.ALARM:
            for code in self._alarms.stopping():
                self._alarms.end(code, self._events)
        self._resume_at = None
        self._alarms.end("A_RESET", self._events)
        self._halt("stop")
        return self._totals() if self.run else {}

    def propose_rate(self, rate_al_per_h):
        """Check a new rate for the item under way. It comes into effect when it is confirmed."""
        return borrow.changes().propose_rate(self, rate_al_per_h)

    def change_rate(self, rate_al_per_h):
        """Change the rate in effect; the ordered volume stays, the end moves."""
        item = self._may_change(rate_al_per_h)
        if self._controlled():
            self._patient.change_basal(rate_al_per_h)
        self._new_rate = (item, rate_al_per_h)
        if self.state == states.PAUSED:
            self._apply_rate()
        else:
            self._halt("rate")
        return {"rate_al_per_h": rate_al_per_h}

    def _may_change(self, rate_al_per_h):
        """Return the item that can have this rate now, or raise Refused."""
        self._need_run("rate")
        item = self.run.item()
        if item is None or not item.way or self.motor.taking_up or self._then is not None:
            raise Refused("E_STATE", "nothing is being delivered", next_step="try again")
        if item.kind not in ("infuse", "withdraw", "basal"):
            raise Refused("E_STATE", "the rate of a %s is the order's" % item.kind)
        borrow.checks().check_rate(rate_al_per_h, self.config["limits"])
        if self.run.order.library and item.way > 0:
            self.run.order.library.check("rate", rate_al_per_h)
        return item

    def hold(self):
        """Start the planned bolus or prime, or keep it going: it ends soon after the last of
        these."""
        self._need("hold")
        modes = [step.mode for step in self.order.steps] if self.state == states.READY else []
        if modes in (["bolus"], ["prime"]):
            borrow.starting().start(self)
        elif not self._bolus.held:
            raise Refused("E_STATE", "nothing to be held is planned", next_step="plan a `bolus`")
        self._bolus.hold(self._clock.ms())
        return self._totals()

    def load(self, volume_al):
        """Take note of a syringe with this volume. Also answers the empty and full alarms."""
        self._need_config()
        self._need("load")
        self._need_stand()
        capacity = self.config["syringe"]["capacity_al"]
        if not 0 < volume_al <= capacity:
            text = shown.format(capacity, "volume")
            raise Refused("E_VOLUME", "the syringe holds %s" % text, limit=text, nearest=text)
        self._load(volume_al)
        for code in ("A_EMPTY", "A_FULL", "A_NEAR_EMPTY"):
            self._alarms.end(code, self._events)
        if self.state == states.ALARM and not self._alarms.stopping():
            self._go(states.PAUSED if self.run and not self.run.ended else states.IDLE)
        return {"remaining_nl": self.motor.remaining_steps() * self.motor.al // 10**9}

    def clear(self):
        """Clear the alarms whose cause is gone; a resumable run is then paused."""
        self._need_stand()
        standing = self._alarms.standing()
        if "A_STOP_INPUT" in standing and self.motor.blocked(1) == "A_STOP_INPUT":
            raise Refused("E_STOP_OPEN", "the stop input is open")
        held = self.button is not None and self.button.down
        for code in standing:
            if self._alarms.until_load(code) or (code == "A_BUTTON" and held):
                continue  # load ends those; the other stands as long as its cause
            self._alarms.end(code, self._events)
        if self._patient is not None:
            self._patient.acknowledge()
        if self.state == states.ALARM and not self._alarms.stopping():
            self._go(states.PAUSED if self._resumable else states.IDLE)
            if not self._resumable:
                self._close("alarm")
        return {"alarms": self._alarms.standing()}

    def occlusion(self, threshold_npa):
        """Propose another occlusion threshold; without one, return threshold and pressure."""
        if self.sensing is None:
            raise Refused("E_CONFIG", "this board has no force sensor", next_step="see `help`")
        return borrow.threshold().answer(self, threshold_npa)

    # -- time ---------------------------------------------------------------------------------

    def service(self):
        """Look after motion and deadlines. Call it in every pass of the main loop."""
        self._serve()
        self._remind()
        self._alarms.service()
        self._keep()

    def _serve(self):
        self._watchdog.feed()
        if self._patient is not None:
            self._patient.service()
        if self.button is not None:
            self._see_button()
        if self.guard is not None:
            self._heed()
        if self.sensing is not None and self.sensing.serve(self):
            return  # the motor backs off
        if self.motor is not None and self.motor.moving:
            if self._bolus.held and not self._bolus.hold_left_ms(self._clock.ms()):
                self._bolus.let_go()
                self._halt("released")
                return
            ended = self.motor.poll()
            if ended is None:
                self._follow()
                self._warn()
                if self.sensing is not None:
                    self.sensing.look(self)
            elif ended == "break":
                self._break()
            else:
                self._motion_ended(ended)
        elif self._resume_at is not None and self._clock.ms() >= self._resume_at:
            self._resume_at = None
            self.run.next_item()
            self._events.add("resume", run=self.run.id)
            self._next_leg()

    def wait_ms(self):
        """Return how long the main loop may wait."""
        wait = self._alarms.wait_ms(self._motion_wait_ms())
        if self.sensing is not None:
            wait = min(wait, self.sensing.wait_ms(self.motor.moving))
        return wait if self.button is None else min(wait, self.button.wait_ms())

    def _motion_wait_ms(self):
        if self._resume_at is not None:
            return max(0, min(_WAIT_PAUSED_MS, self._resume_at - self._clock.ms()))
        if self.motor is None or not self.motor.moving:
            return _WAIT_IDLE_MS
        if self._bolus.held:
            return self._bolus.hold_left_ms(self._clock.ms())
        # The tick wakes main earlier when it must.
        return _WAIT_ENDING_MS if self.motor.draining() else self.motor.wait_ms()

    def link_lost(self, silent_ms):
        """Tell how long the host has been silent; the order chose what that means."""
        if states.moving(self.state) or self.state == states.PAUSED:
            if silent_ms >= self.run.order.stop_ms and not self._alarms.stopping():
                self._leave_pause()
                self._halt("link")

    def fault(self):
        """Something broke inside: motion off by the shortest way, then the alarm."""
        if self.motor is not None:
            self.motor.kill()
        if self.state == states.READY:
            self.order = None
        self._then = None
        if self.state != states.ALARM:
            self.state = states.ALARM  # from any state, also one the table would not let go
        self._alarm("A_FAULT")

    # -- inside -------------------------------------------------------------------------------

    def _load(self, volume_al):
        self.motor.load(volume_al)
        self.journal.touch()
        self._events.add("load", volume_al=volume_al)

    def _totals(self):
        return dict(self.run.totals(), run=self.run.id, state=self.state)

    def _need(self, request):
        if not states.answers(self.state, request):
            raise Refused("E_STATE", "not while %s" % self.state)

    def _need_stand(self):
        if self.sensing is not None:
            self.sensing.need_stand()

    def _need_config(self):
        if self.config is None:
            raise Refused("E_CONFIG", "the pump has no configuration")
        if self.reset_due:
            raise Refused("E_CONFIG", "another board's configuration waits", next_step="reset it")

    # -- what status shows --------------------------------------------------------------------

    def rate(self):
        """Return the rate in effect in aL/h, 0 at standstill."""
        motor = self.motor
        if motor is None or not motor.moving or (motor.taking_up and not motor.refilling):
            return 0
        item = self.run.item()
        return item.rate if item is not None and item.way else 0

    def pause_left_ms(self):
        """Return what is left of an ordered pause, 0 when there is none."""
        return 0 if self._resume_at is None else max(0, self._resume_at - self._clock.ms())

    def silent_since_matters(self):
        """True while a run is under way that chose to stop when the host is silent."""
        return self.run is not None and self.run.order.stop_ms is not None
