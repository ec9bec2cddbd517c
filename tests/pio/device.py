"""MicroPython's half of the tests in this folder: a server for JSON lines, run by conftest.py.

    micropython device.py <sim device folder> <firmware folder>

Drives the simulated board's engine, and the firmware's own hal, tick and dose loop on it
(bench.py). Times are ticks (= us) from the start of a case.
"""

import json
import sys

FIRMWARE = sys.argv[2]
sys.path[:] = [sys.argv[1], FIRMWARE, sys.argv[0].rsplit("/", 1)[0]]
from array import array  # noqa: E402

import engine  # noqa: E402
import machine  # noqa: E402
import pioblock  # noqa: E402
from bench import Recorder, bench, it, parts, plain_tick, views  # noqa: E402

from pump import planner, tick  # noqa: E402
from pump.hal.annunciator import Annunciator, alarm_signal  # noqa: E402
from pump.hal.step_generator import step_generator  # noqa: E402
from pump.hal.witness import edge_witness  # noqa: E402

SECOND = 1_000_000


def programs(_):
    """Return what the MicroPython side assembles, and the opcodes that the model stands for."""
    out = {}
    for program, known in (
        (step_generator, pioblock.STEP_GENERATOR),
        (edge_witness, pioblock.EDGE_WITNESS),
        (alarm_signal, pioblock.ALARM_SIGNAL),
    ):
        out[program.name] = {
            "code": list(program.code),
            "wrap": [program.wrap_target, program.wrap],
            "known": list(known),
        }
    out["addresses"] = [pioblock._AT_PULL, pioblock._IN_PASS, pioblock._LATCHED]
    return out


def signal(case):
    """Play words with the firmware's annunciator; return the log of its pins up to ``until``, and
    with ``then`` also what another pattern, played in that moment, does to it at once."""
    it.pioblock.clock = lambda: it.now
    if "a" not in annunciators:
        annunciators["a"] = Annunciator(20, 21)
    annunciators["a"].play((), False)
    it.pioblock.signal.take(it.now)
    start = it.now
    annunciators["a"].play(case["words"], case.get("again", False), case["first"])
    it.now += case["until"]
    if "then" in case:
        annunciators["a"].play(case["then"], False)
    log = it.pioblock.signal.take(it.now)
    for entry in log:
        entry[0] -= start
        if len(entry) > 3:
            entry[2] -= start
    return log


annunciators = {}  # one, made when it is first asked for


def play(case):
    """Play words through the engine in slices of ``budgets`` ticks, then to the end."""
    words, blocks = case["words"], case["blocks"]
    g = array("i", [0] * engine.G_WORDS)
    ring = array("H", [0] * (engine.RING_MASK + 1))
    ctrl = array("i", [0] * (engine.CTRL_MASK + 1))
    at = case["at"]
    for i in range(len(words)):
        ring[(at + i) & engine.RING_MASK] = words[i]
    for i in range(len(blocks)):
        ctrl[i] = blocks[i]
    g[engine.G_PULL] = g[engine.G_READ] = at
    engine.prefetch(g, ctrl)
    edges, now, k = [], 0, 0
    budgets = case["budgets"]
    while not g[engine.G_EVENT] & engine.E_STARVED:
        end = now + (budgets[k] if k < len(budgets) else SECOND)
        k += 1
        while now < end and not g[engine.G_EVENT] & engine.E_STARVED:
            now += engine.play(g, ring, ctrl, end - now)
            if g[engine.G_EVENT] & engine.E_EDGE:
                edges.append(now)
    return {"edges": edges, "dead": g[engine.G_DEAD], "high": g[engine.G_HIGH]}


def stop(case):
    """Play words with the stop input opened and closed at instants; then halt, as the pump does.

    ``presses`` is [[tick, level], ...]; one at 0 is there before the launch. A timer interrupt
    that does nothing comes at ``grid`` (null: never) and every millisecond from there.
    """
    parts.fresh()
    parts.publish(case["words"], case["blocks"])
    if case["grid"] is not None:
        machine.Timer(-1, period=1, hard=True, callback=lambda _timer: None)
        it.now += 1000 - case["grid"]
    start = it.now
    for at, level in case["presses"]:
        if at == 0:
            bench.press(level)
    parts.generator.feed()
    parts.generator.launch()
    for at, level in case["presses"]:
        if at:
            it.run_to(start + at)
            bench.press(level)
    it.run_to(start + case["until"])
    latched = parts.generator.latched()
    witnessed = -int.from_bytes(parts.witness.word, "little") & 0xFFFFFFFF
    complete = parts.generator.halt()
    return {
        "edges": [edge - start for edge in bench.edges],
        "latched": latched,
        "pulled": parts.pio.g[engine.G_PULL],
        "complete": bool(complete),
        "witnessed": witnessed,
    }


def _run(case):
    """Begin a motion with the firmware's dose loop and serve it up to ``kill``.

    Return the instants at which it began and at which it is to die.
    """
    parts.fresh()
    it.dense = case["dense"]  # else ticks are left out when nothing was due
    begin = it.now
    kill = begin + case["kill"]
    segments = planner.stretch_segments(case["num"], case["den"], 0, 1, case["steps"], 0)
    pieces = planner.Ramp(1000, 20000).up(case["ramp_steps"]) if case["ramp_steps"] else []
    stop_ramp = planner.ramp_segments([pieces[-1 - i] for i in range(len(pieces))])
    parts.loop.begin(segments, case["steps"], case["hz"], stop_ramp, (0, 0))
    while it.now < kill:
        it.run_to(min(it.now + SECOND, kill))
        flags = parts.loop.service()
        if flags & ~tick.F_DRAINED:
            raise RuntimeError("flags %d at %d" % (flags, it.now - begin))
    return begin, kill


def kill(case):
    """Serve a motion, then never call the tick again; play on for ``after`` ticks."""
    begin, dies = _run(case)
    g = parts.pio.g
    bench.faults["tick_dead"] = True
    out = {
        "before": [edge - begin for edge in bench.edges],
        "queue": parts.queue(),
        "rem": g[engine.G_REM],
        "pending": g[engine.G_EDGE] if g[engine.G_REM] else 0,
        "fed": parts.loop.state[tick.S_FED],
    }
    made = len(bench.edges)
    it.run_to(dies + case["after"])
    out["after"] = [edge - begin for edge in bench.edges[made:]]
    out["dead"] = g[engine.G_DEAD]
    out["starved"] = g[engine.G_PULL] == g[engine.G_READ] and g[engine.G_REM] == 0
    out["fed_later"] = parts.loop.state[tick.S_FED]
    out["idle"] = parts.generator.idle()
    parts.loop.end()
    return out


class Deaths:
    """Plays queue and chain to their end as they are after each write to them."""

    def __init__(self, limit):
        self._limit = limit
        self.ring, self.ctrl = views(parts.generator)
        self.to_ring = Recorder(self.ring, lambda at, value: self.die("ring", at, value))
        self.to_ctrl = Recorder(self.ctrl, lambda at, value: self.die("ctrl", at, value))
        self.seen = []
        self.die("", 0, 0)

    def die(self, what, index, value):
        """The CPU is dead from now on: only DMA and state machine go on, on copies."""
        g = array("i", parts.pio.g)
        memory = array("H", self.ring)
        chain = array("i", self.ctrl)
        edges, last, t = 0, 0, 0
        starved = False
        while t < self._limit and not starved:
            t += engine.play(g, memory, chain, self._limit - t)
            if g[engine.G_EVENT] & engine.E_EDGE:
                edges += 1
                last = t
            starved = bool(g[engine.G_EVENT] & engine.E_STARVED)
        self.seen.append({
            "wrote": [what, index, value], "edges": edges, "last": last, "ends": t,
            "dead": g[engine.G_DEAD], "starved": starved,
        })  # fmt: skip


def deaths(case):
    """Serve a motion up to ``kill``, and on to a tick that fills control word ``slot`` (null: any)
    or, with ``stop``, cuts the queue for the stop ramp. Let the CPU die before that tick and after
    each of its writes to queue and chain, and play each of those memories to its end."""
    _run(case)
    it.timer.alive = False
    if case["stop"]:
        parts.loop.request_stop()
    s = parts.loop.state
    generator, pio = parts.generator, parts.pio
    while True:
        it.run_to(it.now + 1000)
        pio.sync_out()
        what = tick.look(s, it.now)
        if what == tick.DO_REWIND:
            break
        if what == tick.DO_FILL:
            if case["slot"] in (None, s[tick.S_CHEAD]):
                break
            tick.fill(s)
            parts.loop.service()
        elif what or s[tick.S_FLAGS]:
            raise RuntimeError("tick wants %d, flags %d" % (what, s[tick.S_FLAGS]))
    out = {"made": len(bench.edges), "before": s[tick.S_FED]}
    all_deaths = Deaths(case["after"])
    # The same state on buffers that record: small numbers for addresses, known to `plain`.
    state = array("i", s)
    buffers = {
        tick.A_RING: all_deaths.to_ring,
        tick.A_CTRL: all_deaths.to_ctrl,
        tick.A_ENDS: array("H", parts.ends),
        tick.A_SEGS: parts.segs,
        tick.A_CHAIN: generator.chain,
    }
    for name in buffers:
        state[name], state[name + 1] = name, 0
    plain_at.clear()
    plain_at.update(buffers)
    if what == tick.DO_REWIND:
        plain["rewind"](state)
        tick.rewind(s)
        out["cut"] = s[tick.S_FED]
    out["slot"] = s[tick.S_CHEAD]
    out["words"] = plain["fill"](state)
    # The same calls of the code that the tick runs must leave the same memory.
    wrote = tick.fill(s)
    for name in buffers:
        state[name : name + 2] = s[name : name + 2]
    here, there = views(generator), (all_deaths.ring, all_deaths.ctrl)
    out["same"] = (wrote, here[0], here[1], s) == (out["words"], there[0], there[1], state)
    out["fed"] = s[tick.S_FED]
    out["deaths"] = all_deaths.seen
    parts.loop.end()
    return out


plain_at = {}
plain = plain_tick(FIRMWARE, plain_at)
ops = {op.__name__: op for op in (programs, play, signal, stop, kill, deaths)}

while True:
    line = sys.stdin.readline()
    if not line:
        break
    request = json.loads(line)
    try:
        answer = {"ok": ops[request["op"]](request)}
    except Exception as error:
        sys.print_exception(error, sys.stderr)
        answer = {"error": repr(error)}
    sys.stdout.write(json.dumps(answer) + "\n")
