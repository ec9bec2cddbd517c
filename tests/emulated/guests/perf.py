# Runs on the board, at MicroPython's prompt: the pump's own parts, driven through measured runs.
# ruff: noqa
import gc, os, time, machine, micropython

gc.collect()
print("heap_prompt", gc.mem_free())
import pump.app
import pump.tick as t

app = pump.app.App()
c = app.controller
gc.collect()
print("heap_app", gc.mem_free())
al = c.config["motion"]["al_per_step"]
dose = c.motor._dose
low = [10**9]


def prepare(hz, steps):
    from pump import order

    items = [{"mode": "infuse", "volume_al": steps * al, "rate_al_per_h": hz * 3600 * al}]
    c.load(40 * 10**15)
    c.plan(order.make("p", items, c.config), True)


def nothing():
    pass


log = [None, 0]


def load_small():
    gc.collect()
    low[0] = min(low[0], gc.mem_free())


def load_log():
    load_small()
    log[1] += 1
    if log[1] % 4 == 0:  # what an event log does: append a record, out at once
        with open("/perf.log", "ab") as f:
            f.write(b"%060d\n" % log[1])


def go(load=nothing, mask_at_us=None, mask_us=400000):
    passes = 0
    longest = 0
    c.start()
    begun = time.ticks_us()
    while c.state in ("infusing", "withdrawing"):
        at = time.ticks_us()
        app._pass()
        load()
        passes += 1
        longest = max(longest, time.ticks_diff(time.ticks_us(), at))
        if mask_at_us is not None and time.ticks_diff(time.ticks_us(), begun) > mask_at_us:
            mask_at_us = None
            masked(mask_us)
    run = c.run
    print()
    print(
        "result state=%s ordered=%d commanded=%d witnessed=%d flags=%d passes=%d longest_us=%d sent=%d dropped=%d heap_low=%d"
        % (c.state, run.ordered, run.commanded, run.witnessed, dose.flags, passes, longest, app.link._sent, app.link.dropped, low[0])
    )


def masked(us):
    irq = machine.disable_irq()
    t0 = time.ticks_us()
    while time.ticks_diff(time.ticks_us(), t0) < us:
        pass
    machine.enable_irq(irq)


def telemetry(ms):
    app.link._open = True
    app.link.watch(ms)


# -- the tick, from beneath: time stolen from a loop that does nothing but look at the clock -----
seen = bytearray(4 * 8)  # ticks, stolen us, worst us, worst gap us, last beat
import uctypes

raw = uctypes.bytearray_at(0x40054000, 64)


@micropython.viper
def stolen(out: ptr32, state: ptr32, timer: ptr32, for_us: int):
    begun = timer[10]
    last = begun
    ticks = state[25]
    beat = state[24]
    while last - begun < for_us:
        now = timer[10]
        took = now - last
        last = now
        if state[25] != ticks:
            ticks = state[25]
            out[0] += 1
            out[1] += took
            if took > out[2]:
                out[2] = took
            gap = (state[24] - beat) & 0x3FFFFFFF
            beat = state[24]
            if gap > out[3]:
                out[3] = gap


def cost(for_us):
    for i in range(len(seen)):
        seen[i] = 0
    c.start()
    stolen(seen, dose.state, raw, 20000)  # the first fill is main's; let the first ticks pass
    for i in range(len(seen)):
        seen[i] = 0
    t0 = time.ticks_us()
    stolen(seen, dose.state, raw, for_us)
    took = time.ticks_diff(time.ticks_us(), t0)
    w = [int.from_bytes(seen[i : i + 4], "little") for i in range(0, 16, 4)]
    print("cost ticks=%d stolen_us=%d worst_us=%d gap_us=%d over_us=%d" % (w[0], w[1], w[2], w[3], took))
    while c.state == "infusing":
        app._pass()
