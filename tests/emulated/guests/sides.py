# Runs on the board after perf.py: what may go wrong on a chip, made to go wrong.
# ruff: noqa
import pump.tick as t

true_tick = t.tick


def after(ms, act):
    """Start, and in the middle of the run do one thing between two passes of the main loop."""
    c.start()
    begun = time.ticks_ms()
    while c.motor.moving:
        one_pass()
        if act and time.ticks_diff(time.ticks_ms(), begun) > ms:
            flag(1)
            act()
            act = None
    print("\nresult alarm=" + ",".join(app.alarms.standing() or ["none"]))


def raise_in_tick():
    def tick(*_):
        raise ValueError("on purpose")

    t.tick = tick


def slow_tick():
    # Longer than its period: the interrupt never ends, main never runs again.
    @micropython.native
    def tick(s, now):
        true_tick(s, now)
        until = time.ticks_us() + 2500
        while time.ticks_diff(until, time.ticks_us()) > 0:
            pass

    t.tick = tick
    dose.state[t.S_LEASE] = 300_000
    until = time.ticks_us() + 5000  # main must not renew the lease before the first slow tick
    while time.ticks_diff(until, time.ticks_us()) > 0:
        pass


def eat(keep):
    eaten = []
    if keep:
        kept.append(eaten)
    size = 16384
    while True:
        try:
            eaten.append(bytearray(size))
        except MemoryError:
            size //= 2
            if size < 16:
                eaten.append(bytearray(64))  # raises


kept = []


def locked(ms):
    """Run with the heap locked: a tick that allocates ends with an error."""
    c.start()
    micropython.heap_lock()
    until = time.ticks_ms() + ms
    while time.ticks_diff(until, time.ticks_ms()) > 0:
        pass
    micropython.heap_unlock()
    print(
        "result ticks=%d flags=%d run=%d"
        % (dose.state[t.S_TICKS], dose.state[t.S_FLAGS], dose.state[t.S_RUN])
    )
    c.stop()


def allocating_tick():
    @micropython.native
    def tick(s, now):
        true_tick(s, now)
        bytearray(16)

    t.tick = tick


def reset_in(state, how):
    """Bring the pump into a state, then reset the chip under it."""
    if state == "ready":
        pass
    elif state == "idle":
        c.stop()
    else:
        run_for(60)
        if state == "paused":
            c.pause()
        elif state == "alarm":
            c.fault()
    print("\nresult state=" + c.state)
    time.sleep_ms(20)
    flag(1)
    if how == "soft":
        machine.soft_reset()
    machine.reset()
