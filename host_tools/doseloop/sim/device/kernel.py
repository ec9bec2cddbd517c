"""The simulated board's heart: virtual time, what is due next, and the world outside.

Time is an integer of microseconds since the simulation began, and moves only in `wait`, which the
firmware reaches through its own waits (select, time.sleep). Parts of the board are plain objects
set by world.py: ``board`` (pins and mechanics), ``pioblock`` (state machines and DMA), ``line``
(the serial port and the control channel).

Ticks in which the firmware's hard timer has nothing to notice are skipped: it is called when the
chain has taken a block, a pin has changed, an edge got lost or the queue is empty. The queue may
then hold less than on a chip (0.36 s, not 0.52 s), never so little that an edge would differ;
`doseloop sim --every-tick` calls them all.
"""

import micropython

IDLE_WAIT_US = 2_000_000  # the firmware's wait when nothing is timed


class Reset(BaseException):
    """Raised through the firmware when the chip resets. ``cause``: power, watchdog or reset."""

    def __init__(self, cause):
        super().__init__(cause)
        self.cause = cause


class Kernel:
    """One instance, `kernel.it`, shared by the modules that stand in for the chip's."""

    def __init__(self):
        self.now = 0  # us since the simulation began
        self.boot_at = 0  # when the chip last left reset
        self.board = None
        self.pioblock = None
        self.line = None
        self.speed = None  # None: as fast as possible; else virtual seconds per real second
        self.held = False
        self.hold_at = None  # stop here: `advance`
        self.timer = None  # the hard timer, one is enough for this firmware
        self.dense = False  # call the tick every period, due or not
        self.schedule = []  # (us, callable): faults and other timed events
        self.watchdog_due = None
        self.watchdog_us = 0
        self.wakes = []

    # -- scheduling ---------------------------------------------------------------------------

    def at(self, when, what, awaited=True):
        """Call ``what`` at an instant. ``awaited``: time races there even if nothing moves."""
        self.schedule.append((when, what, awaited))
        self.schedule.sort(key=lambda item: item[0])

    def _awaited(self):
        for item in self.schedule:
            if item[2]:
                return True
        return False

    @micropython.native
    def _next(self, horizon):
        if self.schedule and self.schedule[0][0] < horizon:
            horizon = self.schedule[0][0]
        if self.watchdog_due is not None and self.watchdog_due < horizon:
            horizon = self.watchdog_due
        if self.hold_at is not None and self.hold_at < horizon:
            horizon = self.hold_at
        return horizon

    def _due(self):
        now = self.now
        while self.schedule and self.schedule[0][0] <= now:
            self.schedule.pop(0)[1]()
        if self.watchdog_due is not None and now >= self.watchdog_due:
            self.watchdog_due = None
            raise Reset("watchdog")

    def hang(self, us=None, deaf=False):
        """The firmware's main does not come back from where it waits: for so long, or never, and
        then only the watchdog helps. deaf: interrupts are off too, as while flash is erased."""
        end = None if us is None else self.now + us
        timer = self.timer
        if deaf:
            self.timer = None
        while end is None or self.now < end:
            self.line.serve(self)
            if self.held:
                self.line.block(self)
                continue
            horizon = self.now + IDLE_WAIT_US
            self.run_to(self._next(horizon if end is None else min(end, horizon)))
            if self.hold_at is not None and self.now >= self.hold_at:
                self.line.arrived(self)
        self.timer = timer
        self.pioblock.tick_wanted = True

    # -- waiting ------------------------------------------------------------------------------

    def wait(self, us, ready):
        """Let up to ``us`` microseconds pass; stop early when ``ready()`` says so.

        us < 0 waits for good. ``ready`` is None for a plain sleep.
        """
        line = self.line
        end = None if us < 0 else self.now + us
        idle = (us < 0 or us >= IDLE_WAIT_US) and ready is not None
        self.pioblock.tick_wanted = True  # main may have asked the tick for something
        while True:
            line.serve(self)
            if ready is not None and ready():
                return
            if end is not None and self.now >= end:
                return
            moving = self.pioblock.moving()
            if self.held or (
                self.speed is None
                and idle
                and not moving
                and not self._awaited()
                and self.hold_at is None
            ):
                line.block(self)
                continue
            horizon = self._next(end if end is not None else self.now + IDLE_WAIT_US)
            if self.speed is not None:
                horizon = line.pace(self, horizon)
            line.settle(self)
            self.run_to(horizon, ready)
            if self.hold_at is not None and self.now >= self.hold_at:
                line.arrived(self)

    @micropython.native
    def run_to(self, horizon, ready=None):
        """Let the board run up to an instant, calling the tick on its grid when it has work."""
        pio = self.pioblock
        woken = self._woken if ready is not None else None
        while self.now < horizon:
            timer = self.timer
            if pio.cruising(timer) and not self.dense and not self.board.faults:
                pio.cruise(self, horizon, timer, woken)
                if woken is not None and woken():
                    break
                continue
            stop = horizon
            tick_at = None
            if timer is not None and timer.alive and (pio.tick_wanted or self.dense):
                tick_at = timer.next_after(self.now)
                if tick_at < stop:
                    stop = tick_at
            reached = pio.advance(self.now, stop)
            self.now = reached
            if tick_at is not None and reached == tick_at:
                pio.tick_wanted = False
                pio.sync_out()
                timer.fire()
                pio.sync_in()
                if woken is not None and woken():
                    break
        self._due()

    def _woken(self):
        for stream in self.wakes:
            if stream.ioctl(3, 1):
                return True
        return False


it = Kernel()
