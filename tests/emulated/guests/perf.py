# Runs on the board, at MicroPython's prompt: the pump's own parts, driven through measured runs.
# Line by line, because the prompt's memory counts: what is here is missing in `heap_app`.
# ruff: noqa
import gc, time, machine, micropython, uctypes

gc.collect()
print("heap_prompt", gc.mem_free())
from pump.hal import registers

registers.reserve(registers.QUEUE_BYTES)
import pump.root

app = pump.root.App()
c = app.controller
gc.collect()
print("heap_app", gc.mem_free())
al = c.config["motion"]["al_per_step"]
dose = c.motor._dose
low = [10**9, 10**9]  # free heap right after a collection, right before one
wait = app.serial.wait
app.serial.wait = lambda ms: wait(min(ms, 200))  # the end of a run is what is waited for here
records = [0, 0]
lasted = [0]


def prepare(hz, steps):
    from pump import order

    items = [{"mode": "infuse", "volume_al": steps * al, "rate_al_per_h": hz * 3600 * al}]
    c.load(50 * 10**15)
    c.plan(order.make("p", items, c.config), True)


def collect():
    records[1] += 1
    turn = records[1] % 8  # asking takes as long as collecting: never twice in a pass
    if turn == 5:
        low[1] = min(low[1], gc.mem_free())
    gc.collect()
    if turn == 1:
        low[0] = min(low[0], gc.mem_free())


def collect_and_log():
    collect()
    records[0] += 1
    if records[0] % 8 == 0:  # as an event log does it: append a record, out at once
        with open("/perf.log", "ab") as f:
            f.write(b"%060d\n" % records[0])


def go(load=None, mask_at_us=None):
    longest = 0
    passes = 0
    c.start()
    begun = time.ticks_us()
    while c.motor.moving:
        at = time.ticks_us()
        app._pass()
        if load:
            load()
        if c.motor.moving:
            passes += 1
            longest = max(longest, time.ticks_diff(time.ticks_us(), at))
        if mask_at_us is not None and time.ticks_diff(time.ticks_us(), begun) > mask_at_us:
            mask_at_us = None
            masked()
    r = c.run
    print()
    print(
        "result ordered=%d commanded=%d witnessed=%d flags=%d passes=%d longest_us=%d sent=%d dropped=%d heap_low=%d heap_low_before=%d records=%d masked=%d"
        % (
            r.ordered,
            r.commanded,
            r.witnessed,
            dose.flags & ~64,
            passes,
            longest,
            app.link._sent,
            app.link.dropped,
            low[0],
            low[1],
            records[0],
            lasted[0],
        )
    )


def masked():
    irq = machine.disable_irq()
    t0 = time.ticks_us()
    while time.ticks_diff(time.ticks_us(), t0) < 400000:
        pass
    lasted[0] = time.ticks_diff(time.ticks_us(), t0)
    machine.enable_irq(irq)


def telemetry(ms):
    app.link._open = True
    app.link.watch(ms)


# -- the tick, from beneath: time stolen from a loop that does nothing but look at the clock -----
seen = bytearray(12)  # stolen us, worst us, worst us from one theft to the next
timer = uctypes.bytearray_at(0x40054000, 64)


@micropython.viper
def stolen(out: ptr32, timer: ptr32, for_us: int):
    begun = timer[10]
    last = begun
    theft = begun
    while last - begun < for_us:
        now = timer[10]
        took = now - last
        if took > 3:  # a pass takes 1 or 2
            out[0] += took
            if took > out[1]:
                out[1] = took
            if last - theft > out[2]:
                out[2] = last - theft
            theft = last
        last = now


def cost(for_us):
    import pump.tick as t

    c.start()
    stolen(seen, timer, 20000)  # main has filled the queue; now the tick takes over
    seen[:] = bytes(12)
    before = dose.state[t.S_TICKS]
    stolen(seen, timer, for_us)
    ticks = dose.state[t.S_TICKS] - before
    w = [int.from_bytes(seen[i : i + 4], "little") for i in range(0, 12, 4)]
    print(
        "\nresult ticks=%d stolen_us=%d worst_us=%d gap_us=%d for_us=%d"
        % (ticks, w[0], w[1], w[2], for_us)
    )
    c.stop()


# -- stops: GPIO 15 goes high the moment the cause happens ---------------------------------------
flag = machine.Pin(15, machine.Pin.OUT, value=0)


def one_pass():
    """As root.App.loop does it."""
    try:
        app._pass()
    except Exception as error:
        app._broken(error)


def run_for(ms):
    c.start()
    begun = time.ticks_ms()
    while time.ticks_diff(time.ticks_ms(), begun) < ms:
        app._pass()


def raise_in_main(after_ms):
    flush = app.link.flush

    def broken():
        if time.ticks_diff(time.ticks_ms(), begun) > after_ms:
            app.link.flush = flush
            flag(1)
            raise RuntimeError("on purpose")
        flush()

    app.link.flush = broken
    c.start()
    begun = time.ticks_ms()
    while c.motor.moving:
        one_pass()
    print("\nresult alarm=" + ",".join(app.alarms.standing()))


def die(after_ms):
    run_for(after_ms)
    irq = machine.disable_irq()
    flag(1)
    while True:
        pass


def hang(after_ms):
    run_for(after_ms)
    flag(1)
    while True:
        pass


def serve(load=None):
    c.start()
    while c.motor.moving:
        app._pass()
        if load:
            load()
