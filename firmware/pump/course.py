"""The course of a run: which leg comes next, what a stop leads to, how a run and an alarm end it.

The half of the controller that follows from what happened; requests are controller.py's. States
are states.TABLE; a change that the table doesn't hold is a fault, not a guess.
"""

# Half a class: what the other half sets and has, a type checker can't see here.
# pyright: reportAttributeAccessIssue=false, reportOptionalMemberAccess=false
from micropython import const

from pump import arith, states
from pump.bolus import Bolus
from pump.journal import Journal
from pump.pending import Pending
from pump.slots import Slots

_WARN_MS = const(1000)

# What waits for a standstill, weakest first: a stronger request replaces a weaker one.
_RANK = {"rate": 0, "bolus": 0, "pause": 1, "link": 2, "stop": 3, "released": 3}


class Course:
    """The controller's state. ``motor`` is None until a configuration is in force."""

    def __init__(self, clock, events, alarms, watchdog, storage):
        self._clock = clock
        self._events = events
        self._alarms = alarms
        self._watchdog = watchdog
        self.state = states.IDLE
        self.config = None
        self.library = None  # name, version and crc of the drug library in force
        self.library_fault = None  # why the one that was in force can't be used
        self.reset_due = False  # another board's configuration is stored
        self.motor = None
        self.run = None
        self.order = None
        self._runs = 0
        self._resume_at = None  # end of an ordered pause, ms
        self._then = None  # what to do when a stop ramp is done: a key of _RANK
        self._new_rate = (None, 0)  # item and rate that a change of rate is for
        self.pending = Pending(clock)
        self._bolus = Bolus(events)
        self._storage = storage
        self._patient = None  # patient.Patient, once an order was patient-controlled
        self._resumable = False
        self.journal = Journal(clock, storage)
        self._kept_alarms = Slots(storage, "alarms")
        self.button = None  # hal's, where the board has one
        self.guard = None  # guard.Guard, where the board has what it watches
        self.sensing = None  # occlusion.Sensing, where the board has a force sensor
        self._unmet = 0  # demands since the order was planned, before it began
        self._warn_ms = 0  # when to look again whether the syringe is nearly empty

    # -- what follows -------------------------------------------------------------------------

    def _next_leg(self):
        run = self.run
        item = run.item()
        self.journal.touch()
        self._bolus.follow(run)
        while item is not None and item.way and not sum(i.left() for i in run.leg_items()):
            run.next_item()  # less than a step, all of it
            item = run.item()
        if item is None:
            self._close("done")
            self._after(run)
        elif not item.way:
            self._go(states.PAUSED)
            # The stretch before it ends with its volume, not with its last whole step.
            wait = item.duration_ms + run.take_rest_ms()
            self._resume_at = self._clock.ms() + wait
            self._events.add("pause", run=run.id, ms_long=wait)
        else:
            self._move(states.OF_KIND[item.kind], item.way)

    def _move(self, state, way):
        """Begin a leg. An input that forbids it may have come in a pause of the order's own."""
        code = self.motor.blocked(way)
        if code is not None:
            self._alarm(code)
            return
        self._go(state)
        self.motor.start(self.run)

    def _controlled(self):
        """True while the run is patient-controlled."""
        return self.run is not None and self.run.order.steps[0].pca is not None

    def _patient_stands(self):
        if self._patient is not None and self._patient.flowing:
            self._patient.halt()

    def _follow(self):
        """One motion may run several items: the state is that of the item under way."""
        item = self.run.item()
        self._bolus.follow(self.run)
        if item is not None and item.way:
            self._go(states.OF_KIND[item.kind])

    def _after(self, run):
        room, kvo = self.motor.room(1), run.order.kvo
        if kvo and self._controlled():
            kvo = self._patient.kvo(kvo)
        if not kvo or self.state in (states.WITHDRAWING, states.PRIMING) or not room:
            self._go(states.IDLE)
            return
        run.keep_open(kvo, room)
        if self._controlled():
            self._patient.halt(run.kvo.rate)
        self._events.add("kvo", run=run.id, rate=run.kvo.rate)
        self._move(states.KVO, 1)

    def _heed(self):
        """Act on what the guard sees. Only a motion is stopped; at rest a start is refused."""
        moving = self.motor is not None and self.motor.moving
        codes = self.guard.look(self.motor)
        for code in codes:
            stops = self._alarms.stops(code)
            if not stops:
                self._alarm(code)
            elif moving:
                if code == "A_DRIVER":
                    self._events.add("fault", code=code, text=self.guard.why)
                self.motor.kill()  # current off: no ramp that a failing driver or supply may miss
                self._then = None
                self._alarm(code)
                return
        if "A_BATTERY" not in codes:
            self._alarms.end("A_BATTERY", self._events)

    def _motion_ended(self, ended):
        then, self._then = self._then, None
        if ended == "A_STALL" and self.guard is not None:
            ended = self.guard.stalled()
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
        ends = self.run.ended or self.state == states.PRIMING
        self._halt("stop" if ends else "pause")

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

    def halt_now(self):
        """Stand at once, whatever the rate; what waited for a standstill is dropped. Return
        "stopped", or the alarm that had stopped it already. An alarm is to follow."""
        self._then = None
        return self.motor.halt()

    def alarm(self, code):
        """Raise an alarm; one that stops leaves the run as its table says."""
        self._alarm(code)

    def _settle(self, then):
        """The motor stands: do what it was stopped for."""
        run = self.run
        self._apply_rate()
        self._bolus.begin(run)
        if then not in ("rate", "bolus"):
            self._bolus.end(run)
            self._patient_stands()
        if then == "link":
            self._alarm("A_LINK")
        elif then in ("stop", "released"):
            if self.state == states.KVO and run.ended:
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

    def _alarm(self, code):
        again = not self._alarms.stands(code) and self._alarms.strike(code)
        self._alarms.tell(code, self._events)
        if self._alarms.stops(code):
            resumable = self._alarms.resumable(code) and self.state != states.PRIMING
            self.pending.drop()
            self._resumable = resumable and self.run is not None and not self.run.ended
            self._leave_pause()
            self._apply_rate()  # it was accepted, and a patient's rules reckon with it
            self._bolus.end(self.run)
            self._patient_stands()
            self._go(states.ALARM)
            if self.motor is not None:
                self.motor.release()
            if self.run is not None and not resumable:
                self._close("alarm")
        if again:
            self._alarm("A_REPEATED")

    def _close(self, reason):
        if self.run is None or self.run.ended:
            return
        self.pending.drop()
        self._bolus.end(self.run)
        self._bolus.let_go()
        self._patient_stands()
        self.run.ended = True
        self.journal.touch()
        self.order = None
        for code in ("A_NEAR_EMPTY", "A_LIMIT"):
            self._alarms.clear(code)
        self.motor.release()
        totals = self.run.totals()
        self._events.add(
            "stop" if reason in ("stop", "released") else "end",
            run=self.run.id,
            reason=reason,
            **totals,
        )

    # -- near empty ---------------------------------------------------------------------------

    def _warn(self):
        # Once a second: a division takes the chip a millisecond.
        now = self._clock.ms()
        if now < self._warn_ms or self._alarms.stands("A_NEAR_EMPTY"):
            return
        self._warn_ms = now + _WARN_MS
        item = self.run.item()
        if item is None or item.way <= 0 or self.run.ended or self.motor.taking_up:
            return
        left = self.motor.remaining_steps()
        if self._empty_within(left, self.config["alarms"]["near_empty_ms"]):
            self._alarms.raise_("A_NEAR_EMPTY")
            nl = left * self.motor.al // 10**9
            self._events.add("near_empty", run=self.run.id, remaining_nl=nl)

    def _empty_within(self, left, most_ms):
        """Return whether the syringe, with so many steps left, can be empty within a time.

        A bolus is fast and short: judged by its rate, most of a syringe would seem to be gone in
        minutes. So each takes its own volume and time, and what it leaves is judged by the rate
        that goes on after it. Where the patient decides, that is a dose in every lockout: else no
        warning would come before the dose that empties it.
        """
        run, al = self.run, self.motor.al
        rate = run.order.kvo or 0  # when only boluses are left
        ms = asked = 0
        if self._controlled():
            dose, _, lockout = run.order.steps[0].pca[:3]
            asked = dose * arith.HOUR_MS // lockout
        for item in run.ahead():
            if item.kind in ("bolus", "prime"):
                # The patient may ask beside a square one, which lasts at least the lockout.
                flow = item.rate
                if asked and item.duration_ms >= lockout:
                    flow += asked
                part = min(left, item.left() * flow // item.rate)
                ms += arith.duration_of(part * al, flow)
                left -= part
            elif item.kind == "pause":
                ms += item.duration_ms
            else:
                rate = item.rate if item.way > 0 else 0
                break
            if ms > most_ms or not left:
                break
        rate += asked
        if left:
            if not rate:
                return False
            ms += arith.duration_of(left * al, rate)
        return ms <= most_ms

    def _keep(self):
        """Keep the run over a reset, when it is time. Whatever begins or ends says so by touch."""
        self._keep_alarms()
        run = self.run
        if run is None or not self.journal.due():
            return
        crc, left = self.config.get("crc"), self.pause_left_ms()
        if not self.journal.look(run, self.motor, crc, left, self._bolus.held):
            self._alarm("A_STORE")

    def _go(self, state):
        if state != self.state and not states.may_follow(self.state, state):
            raise RuntimeError("state %s can't follow %s" % (state, self.state))
        if state != self.state:
            self.journal.touch()
        self.state = state
