"""The motor as therapy sees it: runs legs, books what was witnessed, knows where the plunger is.

Between controller (states, rules) and dose loop (queue, steps). It owns position and backlash.
"""

from micropython import const

from pump import arith, planner
from pump import tick as t
from pump.journal import STEPS

_ERASE_US = const(500_000)  # a flash sector takes 0.4 s at worst
_QUIET_HZ = const(10_000)  # up to here the queue is that long, so the record is kept (course.py)

# What ended a motion, by the tick's flags; the first that fits names the alarm, None: pins does.
_CAUSES = (
    (t.F_STOP, "A_STOP_INPUT"),
    (t.F_END, None),
    (t.F_DRIFT, "A_DRIFT"),
    (t.F_UNDERRUN, "A_UNDERRUN"),
    (t.F_LEASE, "A_LEASE"),
    (t.F_ERROR, "A_TICK"),
)


class Motor:
    """Built from the configuration in force and hal parts; ``events`` records stretches."""

    def __init__(self, config, pins, dose, events):
        motion = config["motion"]
        self.al = motion["al_per_step"]
        self._capacity = config["syringe"]["capacity_al"] // self.al
        self._backlash = motion["backlash_steps"]
        self._takeup_hz = motion["takeup_hz"]
        self._ramp = planner.Ramp(motion["pull_in_hz"], motion["accel_hz_per_s"])
        self._pull_in = motion["pull_in_hz"]
        self._pins = pins
        self._dose = dose
        self._events = events
        self.position = 0  # steps since load, infused counted up
        self._loaded = 0  # steps that the syringe held at load
        self._slack = {1: 0, -1: self._backlash}  # steps until screw and nut touch in each way
        self._leg = None
        self._run = None
        self._started = 0
        self._announced = 0
        self._taking_up = 0
        self._refill = 0  # steps that were backed off, to be made again before the run goes on
        self._booked = (0, 0)
        self._stopping = False
        self._lease = arith.LEASE_TICKS

    def load(self, volume_al):
        """Take note of a mounted syringe that holds this volume, its plunger against the nut."""
        self._loaded = arith.steps_of(volume_al, self.al)
        self.position = self._refill = 0
        self._slack = {1: 0, -1: self._backlash}

    def remaining_steps(self):
        """Return the steps that the plunger can still infuse."""
        return max(0, self._loaded - self.position)

    def room(self, way):
        """Return the steps that the plunger can still travel."""
        left = self.remaining_steps()
        return left if way > 0 else max(0, self._capacity - left)

    # -- over a reset -------------------------------------------------------------------------

    def dump(self):
        """Return plunger and latest motion as lists of integers, for JSON, and the most steps that
        it makes until this is asked again (journal.py)."""
        slack, leg, (made, seen) = self._slack, self._leg, self._booked
        ahead = 0
        if self._dose.active:
            ahead = leg.steps - seen
            if leg.max_hz <= _QUIET_HZ:
                ahead = min(ahead, STEPS + 2 * leg.max_hz + 1)
        motion = [
            self._dose.number,
            leg.way if leg else 0,
            1 if self._taking_up else 0,
            made,
            seen,
        ]
        plunger = [self.position, self._loaded, slack[1], slack[-1], self._refill]
        return plunger, motion, ahead

    def take_over(self, plunger, number, run):
        """Take over what dump() said of the plunger before a reset, the number of the latest
        motion, and the run that it was for, None when there is none any more."""
        self.position, self._loaded, self._slack[1], self._slack[-1], self._refill = plunger
        self._dose.number, self._run = number, run

    @property
    def moving(self):
        """True from start() until poll() or stop() reports the end."""
        return self._dose.active

    @property
    def number(self):
        """Which motion it is: each start has another one."""
        return self._dose.number

    def way(self):
        """Return the level at DIR while it moves, else None."""
        return self._pins.way if self._dose.active else None

    def draining(self):
        """True when only the last words are being played: the end is milliseconds away."""
        return self._dose.drained()

    def wait_ms(self):
        """Return how long the main loop may wait, so that the lease never runs out on it."""
        return 1000 if self._lease == arith.LEASE_TICKS else 100

    def may_wait(self):
        """True when the CPU may be gone for a flash erase: nothing moves, or enough is queued."""
        return not self._dose.active or self._dose.queued_us() >= _ERASE_US

    def release(self):
        """Take the current off the motor. Only at standstill."""
        self._pins.enable(False)

    @property
    def taking_up(self):
        """True while backlash is being taken up: nothing is delivered."""
        return self._taking_up != 0

    @property
    def refilling(self):
        """True while what was backed off is pushed in again: pressure rises, nothing is booked."""
        return self._taking_up > 0 and not self._slack[1]

    def blocked(self, way):
        """Return the alarm that forbids starting this way, or None."""
        if self._pins.stop_open():
            return "A_STOP_INPUT"
        if self._pins.syringe_out():
            return "A_SYRINGE_OUT"
        if self._pins.ends_hit():
            return "A_ENDS"
        return "A_END_SWITCH" if self._pins.end_hit(way) else None

    def start(self, run):
        """Begin the run's next leg, taking up backlash first where the direction turns."""
        from pump.leg import Leg

        way = run.item().way
        if run is not self._run or way < 0:
            self._refill = 0  # what was drawn back is in the syringe, and no longer this run's
        self._run = run
        self._pins.direction(way)
        self._pins.enable(True)
        if self._slack[way]:
            self._taking_up = way
            self._begin(_Takeup(way, self._slack[way], arith.TICK_HZ, self._takeup_hz))
            return
        if self._refill and way > 0:
            # At the run's own rate: what the line lets through of it is no bolus.
            self._taking_up = way
            num, den = arith.period(self.al, run.item().rate)
            if arith.TICK_HZ * den > num * self._takeup_hz:
                num, den = arith.TICK_HZ, self._takeup_hz
            self._begin(_Takeup(way, self._refill, num, den))
            return
        self._slack[-way] = self._backlash
        leg = Leg(run.leg_items(), self.al, self.room(way), self._ramp)
        if leg.max_hz <= self._pull_in:
            leg.stop_ramp = []
        self._begin(leg)

    def _begin(self, leg):
        self._leg = leg
        self._announced = 0
        self._booked = (0, 0)
        bias = 0 if self._taking_up else self._run.commanded - self._run.witnessed
        self._lease = arith.lease_of(leg.max_hz * self.al * 3600)
        self._started = self._dose.begin(
            leg.segments(),
            leg.steps,
            leg.max_hz,
            leg.stop_ramp,
            self._pins.end_mask(leg.way),
            bias,
            (2 if self._taking_up else 0) | (1 if leg.way > 0 else 0),
            self._lease,
        )
        self._announce()

    def forget_break(self):
        """A person starts or resumes: a break that came before is answered."""
        self._dose.forget_break()

    def poll(self):
        """Serve a motion. Return None while it goes on, else what ended it: "done", "cut" (the
        plunger's travel ended first), "takeup", "stopped" (a requested ramp) or an alarm code; or
        "break": the host wants it stopped, and stop() is yet to be called."""
        flags = self._dose.service()
        code = self._cause(flags)
        self._book()
        if code is None and self._dose.tick_dead():
            code = "A_TICK"
        if code is None and self._dose.stalled():
            code = "A_UNDERRUN"
        if code is not None:
            self._finish()
            return code
        if flags & t.F_BREAK and not self._stopping:
            return "break"
        if not self._dose.finished():
            return None
        taking_up, leg, asked = self._taking_up, self._leg, self._stopping
        self._finish()
        if self._dose.made < leg.steps:
            # Cut short: as asked, or by something that came in this very moment.
            code = self._cause(self._dose.flags)
            if code or not asked:
                return code or "A_UNDERRUN"
        if self._run.adrift():
            return "A_DRIFT"
        if asked:
            return "stopped"
        if taking_up:
            return "takeup"
        return "cut" if leg.cut else "done"

    def stop(self):
        """End the motion. Return None when the declared ramp has begun and poll() will report the
        end; else "stopped", or the alarm that had stopped it already."""
        if self._leg.stop_ramp:
            self._dose.service()
            if self._current()[0].fast:
                if not self._stopping:
                    self._stopping = True
                    self._dose.request_stop()
                    self._events.add("ramp", run=self._run.id, why="stop")
                return None
        return self.halt()

    def halt(self):
        """End the motion at once, whatever its rate; what the screw does then is not known above
        the pull-in rate. Return "stopped", or the alarm that had stopped it already."""
        self._finish()
        code = self._cause(self._dose.flags)
        return code or ("A_DRIFT" if self._run.adrift() else "stopped")

    def back_off(self, steps):
        """Draw the plunger back by so many steps, at the take-up rate. Witnessed as take-up, never
        booked; poll() ends it with "takeup"."""
        self._pins.direction(-1)
        self._pins.enable(True)
        self._taking_up = -1
        self._begin(_Takeup(-1, self._slack[-1] + steps, arith.TICK_HZ, self._takeup_hz))

    def kill(self):
        """Motion off whatever state things are in; the books are closed as far as they can be."""
        self._pins.enable(False)
        if self._dose.active:
            self._finish()

    def _finish(self):
        at = self._dose.end()
        self._stopping = False
        self._book()
        if self._taking_up:
            # An interrupted take-up goes on where it stood.
            way = self._taking_up
            self._slack[way] = max(0, self._slack[way] - self._dose.made)
            self._slack[-way] = self._backlash - self._slack[way]
            self._taking_up = 0
        else:
            self._keep_phase(at)

    def _keep_phase(self, at):
        """Leave in the run the volume that had flowed since the last step, for the next leg."""
        stretch, done = self._current()
        if done >= stretch.steps:
            return  # complete: next_item() has set the phase
        if stretch.fast:
            self._run.phase_al = 0  # a ramp is no constant rate: begin at a whole step
            return
        flowed = arith.volume_in(max(0, at - self._started - stretch.t0), stretch.rate)
        self._run.phase_al = min(max(0, flowed - done * self.al), self.al - 1)
        self._events.add("stretch_end", run=self._run.id, steps=done, at=at)

    def _cause(self, flags):
        for flag, code in _CAUSES:
            if flags & flag:
                return code or self._pins.cause(self._dose.met())
        return None

    def _current(self):
        """Return the stretch that the motion is in, and the steps made of it."""
        done = self._dose.made
        for stretch in self._leg.stretches:
            if done < stretch.steps:
                return stretch, done
            done -= stretch.steps
        return stretch, done + stretch.steps

    def _book(self):
        made, seen = self._dose.made, self._dose.seen
        if made > seen:
            made -= self._dose.flying()  # a stop would take it back
        elif not self._dose.active:
            made = seen  # at standstill what was seen was made: it must not be made again
        made = max(made, self._booked[0])
        d_made, d_seen = made - self._booked[0], seen - self._booked[1]
        self._booked = (made, seen)
        if self._taking_up:
            self._run.takeup += d_seen
            # Beyond the backlash it backs off, or pushes that in again.
            beyond = min(d_seen, max(0, seen - self._slack[self._taking_up]))
            self.position += self._taking_up * beyond
            self._refill -= self._taking_up * beyond
            return
        if d_made or d_seen:
            self.position += self._leg.way * d_seen
            self._run.book(self._leg.way, d_made, d_seen)
            self._announce()

    def _announce(self):
        """Record each stretch, with the tick its step count starts from, as it is reached."""
        leg, run = self._leg, self._run
        if self._taking_up:
            name = "refill" if self.refilling else "takeup"
            self._events.add(name, run=run.id, steps=leg.steps)
            return
        before = 0
        for i, stretch in enumerate(leg.stretches):
            if i >= self._announced and before <= self._dose.made:
                self._announced = i + 1
                self._stretch_events(run, leg, stretch)
            before += stretch.steps

    def _stretch_events(self, run, leg, stretch):
        t0 = self._started + stretch.t0
        flat = stretch.steps
        for name, ramp in (("up", stretch.up), ("down", stretch.down)):
            if ramp:
                steps = sum(n for n, _ in ramp)
                flat -= steps
                self._events.add(
                    "ramp",
                    run=run.id,
                    why=name,
                    steps=steps,
                    ticks=sum(ticks for _, ticks in ramp),
                    to=t0,
                )
        self._events.add(
            "stretch",
            run=run.id,
            t0=t0,
            rate=stretch.rate,
            tick_hz=arith.TICK_HZ,
            al_per_step=self.al,
            steps=flat,
            dir=leg.way,
        )


class _Takeup:
    """A leg of backlash: steps num / den ticks apart, no volume."""

    cut = False
    stop_ramp = ()
    stretches = ()

    def __init__(self, way, steps, num, den):
        self.way = way
        self.steps = steps
        self.max_hz = -(-arith.TICK_HZ * den // num)
        self._period = (num, den)

    def segments(self):
        """Yield its segments."""
        return planner.stretch_segments(*self._period, 0, 1, self.steps, 0)
