"""The controller: one state at a time, what may happen in it, and what each request does.

Owns the run. Asks the motor to move, never the hardware. States are states.TABLE; a change that
the table doesn't hold is a fault, not a guess.
"""

from micropython import const

from pump import alarms as alarm_table
from pump import arith, order, quantity, states
from pump.errors import Refused
from pump.run import Run

_WAIT_MOVING_MS = const(1000)  # the tick wakes main earlier when it must
_WAIT_ENDING_MS = const(2)
_WAIT_IDLE_MS = const(2000)
# What waits for a standstill, weakest first: a stronger request replaces a weaker one.
_RANK = {"rate": 0, "bolus": 0, "pause": 1, "link": 2, "stop": 3, "released": 3}
_HOLD_MS = const(300)  # a bolus that is held ends so long after the last `hold`


class Controller:
    """``motor`` is None until a configuration is in force."""

    def __init__(self, clock, events, alarms, watchdog):
        self._clock = clock
        self._events = events
        self._alarms = alarms
        self._watchdog = watchdog
        self.state = states.IDLE
        self.config = None
        self.reset_due = False  # another board's configuration is stored
        self.motor = None
        self.run = None
        self.order = None
        self._runs = 0
        self._resume_at = None  # end of an ordered pause, ms
        self._then = None  # what to do when a stop ramp is done: a key of _RANK
        self._new_rate = (None, 0)  # item and rate that a change of rate is for
        self._new_bolus = None  # volume and rate of a dose that waits for a standstill
        self._bolus = None  # the item of a dose on top, while it runs
        self._held = None  # when the last `hold` came, ms
        self._resumable = False

    # -- configuration ------------------------------------------------------------------------

    def configure(self, config, motor):
        """Put a configuration in force. Nothing is loaded and no order is kept."""
        self.config = config
        self.motor = motor
        self.order = None
        self._go(states.IDLE)

    # -- requests -----------------------------------------------------------------------------

    def plan(self, new_order, direct):
        """Take an order and wait for start. ``direct``: it came as a command, without a fill."""
        self._need(states.IDLE, states.READY)
        self._need_config()
        if direct:
            motor = self.motor
            order.check_room(new_order, motor.room(1), motor.room(-1), motor.al)
        self.order = new_order
        self._go(states.READY)
        self._events.add(
            "order", name=new_order.name, crc=new_order.crc, ordered_steps=new_order.total_steps()
        )
        return self.plan_view()

    def plan_view(self):
        """Return the plan of the order that waits or runs."""
        if self.order is None:
            raise Refused("E_STATE", "there is no order")
        return self.order.view(self.config["syringe"], self.motor.al)

    def start(self, crc=None):
        """Begin the order. ``crc``: that of the order the host has shown, to be sure."""
        self._need(states.READY)
        if crc is not None and crc != self.order.crc:
            raise Refused("E_ORDER", "the pump holds another order", next_step="send it again")
        self._check_way(next(self.order.items()))
        if self.order.fill_al is not None:
            self._load(self.order.fill_al)
        self._runs += 1
        self.run = Run("%d-%d" % (self._events.boot, self._runs), self.order, self.motor.al)
        self._watchdog.arm()
        self.motor.forget_break()
        self._events.add(
            "start",
            run=self.run.id,
            ordered_steps=self.run.ordered,
            duration_ms=self.order.duration_ms(),
            name=self.order.name,
        )
        self._next_leg()
        return {"run": self.run.id}

    def pause(self):
        """Stand still; the order stays. Pausing twice changes nothing."""
        if self.state == states.PAUSED and self._resume_at is None:
            return self._totals()
        self._need_run()
        self._leave_pause()
        self._halt("pause")
        return self._totals()

    def resume(self):
        """Go on with the exact remainder."""
        self._need(states.PAUSED)
        if self._resume_at is not None:
            raise Refused("E_STATE", "the order itself pauses here; `stop` ends it")
        item = self.run.item()
        if item is not None:
            self._check_way(item)
        self.motor.forget_break()
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
                self._end_alarm(code)
        self._resume_at = None
        self._halt("stop")
        return self._totals() if self.run else {}

    def change_rate(self, rate_al_per_h):
        """Change the rate in effect; the ordered volume stays, the end moves."""
        self._need_run()
        item = self.run.item()
        if item is None or not item.way or self.motor.taking_up or self._then is not None:
            raise Refused("E_STATE", "nothing is being delivered", next_step="try again")
        if item.kind not in ("infuse", "withdraw"):
            raise Refused("E_STATE", "the rate of a %s is the order's" % item.kind)
        order.check_rate(rate_al_per_h, self.config["limits"])
        self._new_rate = (item, rate_al_per_h)
        if self.state == states.PAUSED:
            self._apply_rate()
        else:
            self._halt("rate")
        return {"rate_al_per_h": rate_al_per_h}

    def bolus_now(self, volume_al, rate_al_per_h):
        """Give a dose on top of the run; the order's own rate and volume stay."""
        self._need_run()
        item, motor = self.run.item(), self.motor
        free = self._bolus is None and self._then is None and not motor.taking_up
        if item is None or item.way < 0 or item.kind == "bolus" or not free:
            raise Refused("E_STATE", "no bolus can begin now", next_step="try again, or see `status`")
        if self.state == states.PAUSED and self._resume_at is None:
            raise Refused("E_STATE", "not while paused", next_step="resume first")
        flowing = item.rate if item.way and item.kind != "kvo" else 0
        order.check_bolus(volume_al, rate_al_per_h, flowing, self.config, motor.room(1))
        self._check_way(item)
        self._new_bolus = (volume_al, rate_al_per_h)
        if self.state == states.PAUSED:
            self._leave_pause()
            self._apply_bolus()
            self._next_leg()
        else:
            self._halt("bolus")
        return {"volume_al": volume_al, "rate_al_per_h": rate_al_per_h}

    def hold(self):
        """Start the bolus that is planned, or keep it going: it ends soon after the last of these."""
        if self.state == states.READY and [s.mode for s in self.order.steps] == ["bolus"]:
            self.start()
        elif self.state != states.BOLUS or self._held is None:
            raise Refused("E_STATE", "no bolus is planned to be held", next_step="bolus VOLUME RATE")
        self._held = self._clock.ms()
        return self._totals()

    def load(self, volume_al):
        """Take note of a syringe with this volume. Also answers the empty and full alarms."""
        self._need_config()
        self._need(states.IDLE, states.READY, states.PAUSED, states.ALARM)
        capacity = self.config["syringe"]["capacity_al"]
        if not 0 < volume_al <= capacity:
            text = quantity.format(capacity, "volume")
            raise Refused("E_VOLUME", "the syringe holds %s" % text, limit=text, nearest=text)
        self._load(volume_al)
        for code in ("A_EMPTY", "A_FULL", "A_NEAR_EMPTY"):
            if self._alarms.clear(code):
                self._events.add("clear", code=code)
        if self.state == states.ALARM and not self._alarms.stopping():
            self._go(states.PAUSED if self.run and not self.run.ended else states.IDLE)
        return {"remaining_nl": self.motor.remaining_steps() * self.motor.al // 10**9}

    def clear(self):
        """Clear the alarms whose cause is gone; a resumable run is then paused."""
        standing = self._alarms.standing()
        if "A_STOP_INPUT" in standing and self.motor.blocked(1) == "A_STOP_INPUT":
            raise Refused("E_STOP_OPEN", "the stop input is open")
        for code in standing:
            if code not in ("A_EMPTY", "A_FULL"):  # load does that
                self._end_alarm(code)
        if self.state == states.ALARM and not self._alarms.stopping():
            self._go(states.PAUSED if self._resumable else states.IDLE)
            if not self._resumable:
                self._close("alarm")
        return {"alarms": self._alarms.standing()}

    # -- time ---------------------------------------------------------------------------------

    def service(self):
        """Look after motion and deadlines. Call it in every pass of the main loop."""
        self._watchdog.feed()
        if self.motor is not None and self.motor.moving:
            if self._held is not None and self._clock.ms() - self._held > _HOLD_MS:
                self._held = None
                self._halt("released")
                return
            ended = self.motor.poll()
            if ended is None:
                self._follow()
                self._warn()
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
        if self._resume_at is not None:
            return max(0, min(_WAIT_MOVING_MS, self._resume_at - self._clock.ms()))
        if self.motor is None or not self.motor.moving:
            return _WAIT_IDLE_MS
        if self._held is not None:
            return max(0, self._held + _HOLD_MS + 1 - self._clock.ms())
        return _WAIT_ENDING_MS if self.motor.draining() else _WAIT_MOVING_MS

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

    def _next_leg(self):
        run = self.run
        item = run.item()
        while item is not None and item.way and not sum(i.left() for i in run.leg_items()):
            run.next_item()  # less than a step, all of it
            item = run.item()
        if item is None:
            self._close("done")
            self._after(run)
        elif not item.way:
            self._go(states.PAUSED)
            # The stretch before it ends with its volume, not with its last whole step.
            wait = item.duration_ms + run.rest_ms()
            self._resume_at = self._clock.ms() + wait
            self._events.add("pause", run=run.id, ms_long=wait)
        else:
            self._go(states.OF_KIND[item.kind])
            self.motor.start(run)

    def _follow(self):
        """One motion may run several items: the state is that of the item under way."""
        item = self.run.item()
        if self._bolus is not None and item is not self._bolus:
            self._end_bolus()
        if item is not None and item.way:
            self._go(states.OF_KIND[item.kind])

    def _after(self, run):
        room = self.motor.room(1)
        if run.order.kvo is None or self.state == states.WITHDRAWING or not room:
            self._go(states.IDLE)
            return
        run.keep_open(run.order.kvo, room)
        self._go(states.KVO)
        self._events.add("kvo", run=run.id, rate=run.kvo.rate)
        self.motor.start(run)

    def _motion_ended(self, ended):
        then, self._then = self._then, None
        if ended == "done" and self.run.ended:
            self._alarm("A_EMPTY")  # keeping the vein open has no other end
        elif ended in ("stopped", "done") and then is not None:
            self._settle(then)  # "done": it was over before the ramp could begin
        elif ended in ("done", "takeup"):
            self._next_leg()
        elif ended == "cut":
            self._alarm("A_FULL" if self.state == states.WITHDRAWING else "A_EMPTY")
        else:
            self._alarm(ended)

    def _break(self):
        # Whatever the host wants next: standing still loses nothing, and can be resumed.
        self._events.add("break", run=self.run.id)
        self._halt("stop" if self.run.ended else "pause")

    def _leave_pause(self):
        """An ordered pause is interrupted: what is left of it stays to be waited."""
        if self._resume_at is not None:
            self.run.item().duration_ms = self.pause_left_ms()
            self._resume_at = None

    def _halt(self, then):
        ended = "stopped"
        if self.motor is not None and self.motor.moving:
            ended = self.motor.stop()
        if ended is None:
            if self._then is None or _RANK[then] > _RANK[self._then]:
                self._then = then
            return
        self._then = None
        if ended == "stopped":
            self._settle(then)
        else:
            self._alarm(ended)  # it had stopped by itself before it was asked

    def _settle(self, then):
        """The motor stands: do what it was stopped for."""
        run = self.run
        self._apply_rate()
        self._apply_bolus()
        if then not in ("rate", "bolus"):
            self._end_bolus()
        if then == "link":
            self._alarm("A_LINK")
        elif then in ("stop", "released"):
            if run.ended:
                self._events.add("stop", run=run.id, reason="kvo", kvo_steps=run.kvo_steps)
                self.motor.release()
            self._close(then)
            self._go(states.IDLE)
        elif then == "pause" and run.item() is not None:
            self._go(states.PAUSED)
            self._events.add("pause", run=run.id)
        else:
            self._next_leg()  # a new rate; or the last step was made before the pause

    def _apply_rate(self):
        (item, rate), self._new_rate = self._new_rate, (None, 0)
        if item is not None:
            applies = item is self.run.item()  # else it was completed meanwhile
            self._events.add("rate", run=self.run.id, old=item.rate, rate=rate, applies=applies)
            if applies:
                self.run.change_rate(rate)

    def _apply_bolus(self):
        new, self._new_bolus = self._new_bolus, None
        item = self.run.item()
        if new is None:
            return
        if item is None:  # the order was completed before the motor stood
            self._events.add("bolus_end", run=self.run.id, given_al=0)
            return
        self._bolus = self.run.add_bolus(*new)
        self._events.add("bolus", run=self.run.id, volume_al=new[0], rate=new[1])

    def _end_bolus(self):
        """A dose on top is over; what is left of one that was cut short is not given later."""
        bolus, self._bolus = self._bolus, None
        if bolus is not None:
            if self.run.item() is bolus:
                self.run.cancel_bolus()
            self._events.add("bolus_end", run=self.run.id, given_al=bolus.dose_al)

    def _alarm(self, code):
        priority, stops, resumable, text, _ = alarm_table.TABLE[code]
        if self._alarms.raise_(code):
            self._events.add("alarm", code=code, priority=priority, text=text)
        if stops:
            self._resumable = resumable and self.run is not None and not self.run.ended
            self._leave_pause()
            self._new_rate = (None, 0)
            self._new_bolus = None
            self._end_bolus()
            self._go(states.ALARM)
            if self.motor is not None:
                self.motor.release()
            if self.run is not None and not resumable:
                self._close("alarm")

    def _end_alarm(self, code):
        self._alarms.clear(code)
        self._events.add("clear", code=code)

    def _close(self, reason):
        if self.run is None or self.run.ended:
            return
        self._end_bolus()
        self._held = None
        self.run.ended = True
        self.order = None
        self._alarms.clear("A_NEAR_EMPTY")
        self.motor.release()
        totals = self.run.totals()
        self._events.add(
            "stop" if reason in ("stop", "released") else "end", run=self.run.id, reason=reason, **totals
        )

    def _warn(self):
        item = self.run.item()
        if item is None or item.way <= 0 or self.run.ended or self.motor.taking_up:
            return
        left = self.motor.remaining_steps() * self.motor.al
        if arith.duration_of(max(0, left), item.rate) <= self.config["alarms"]["near_empty_ms"]:
            if self._alarms.raise_("A_NEAR_EMPTY"):
                self._events.add("near_empty", run=self.run.id, remaining_nl=left // 10**9)

    def _load(self, volume_al):
        self.motor.load(volume_al)
        self._events.add("load", volume_al=volume_al)

    def _check_way(self, item):
        code = self.motor.blocked(item.way or 1)
        if code == "A_STOP_INPUT":
            raise Refused("E_STOP_OPEN", "the stop input is open")
        if code is not None and item.way:
            raise Refused("E_END_SWITCH", "the end switch in this direction is hit, or open")

    def _totals(self):
        return dict(self.run.totals(), run=self.run.id, state=self.state)

    def _need(self, *allowed):
        if self.state not in allowed:
            raise Refused("E_STATE", "not while %s" % self.state)

    def _need_run(self):
        """An order is under way, moving or not; one that is done and keeps the vein open is not."""
        if self.run is None or self.run.ended:
            raise Refused("E_STATE", "not while %s" % self.state)
        if not states.moving(self.state) and self.state != states.PAUSED:
            raise Refused("E_STATE", "not while %s" % self.state)

    def _need_config(self):
        if self.config is None:
            raise Refused("E_CONFIG", "the pump has no configuration")
        if self.reset_due:
            raise Refused("E_CONFIG", "another board's configuration waits", next_step="reset it")

    def _go(self, state):
        if state != self.state and not states.may_follow(self.state, state):
            raise RuntimeError("state %s can't follow %s" % (state, self.state))
        self.state = state

    # -- what status shows --------------------------------------------------------------------

    def rate(self):
        """Return the rate in effect in aL/h, 0 at standstill."""
        if self.motor is None or not self.motor.moving or self.motor.taking_up:
            return 0
        item = self.run.item()
        return item.rate if item is not None and item.way else 0

    def pause_left_ms(self):
        """Return what is left of an ordered pause, 0 when there is none."""
        return 0 if self._resume_at is None else max(0, self._resume_at - self._clock.ms())

    def silent_since_matters(self):
        """True while a run is under way that chose to stop when the host is silent."""
        return self.run is not None and self.run.order.stop_ms is not None
