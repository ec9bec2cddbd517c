"""MicroPython's half of the tests in this folder: a server for JSON lines, run by conftest.py.

    micropython device.py <sim device folder> <firmware folder>

Drives the simulated board's engine, and the firmware's own hal, tick and dose loop on it, with a
bench in place of the mechanics. Times are ticks (= us) from the start of a case.
"""

import json
import sys

sys.path[:] = [sys.argv[1], sys.argv[2]]
from array import array  # noqa: E402

import addresses  # noqa: E402
import engine  # noqa: E402
import kernel  # noqa: E402
import pioblock  # noqa: E402

sys.modules["uctypes"] = addresses
it = kernel.it

STEP, WITNESS, STOP = 2, 5, 6
SECOND = 1_000_000


class Bench:
    """A board without mechanics: it notes the edges and has a stop input."""

    def __init__(self):
        self.on_inputs = lambda: None
        self.faults = {}
        self.step_pin = None
        self.step_level = lambda: 0
        self.stop = 0
        self.edges = []

    def drive(self, number, level):
        pass

    def pull(self, number, pull):
        pass

    def level(self, number):
        if number == self.step_pin:
            return self.step_level()
        return self.stop if number == STOP else 0

    def inputs(self):
        return self.stop << STOP

    def step_edge(self, now):
        self.edges.append(now)
        return True

    def press(self, level):
        self.stop = level
        self.on_inputs()


class Note:
    """Kernel's line: what it is told would hide a failure, so it raises."""

    def note(self, text):
        raise RuntimeError(text)


bench = it.board = Bench()
it.line = Note()
it.pioblock = pioblock.PioBlock(bench)

import machine  # noqa: E402
from pump import planner, tick  # noqa: E402
from pump.dose_loop import DoseLoop  # noqa: E402
from pump.hal.clock import Clock  # noqa: E402
from pump.hal.step_generator import StepGenerator, step_generator  # noqa: E402
from pump.hal.tick_timer import TickTimer  # noqa: E402
from pump.hal.witness import Witness, edge_witness  # noqa: E402


class Parts:
    """The firmware's motion parts, built once, as its composition root builds them."""

    def __init__(self):
        self.pio = it.pioblock
        step = machine.Pin(STEP, machine.Pin.OUT, value=0)
        stop = machine.Pin(STOP, machine.Pin.IN, machine.Pin.PULL_UP)
        self.generator = StepGenerator(step, stop)
        self.witness = Witness(machine.Pin(WITNESS, machine.Pin.IN))
        self.loop = DoseLoop(self.generator, self.witness, Clock(), self._timer)

    def _timer(self, state, ends, segs):
        self.ends = ends
        self.segs = segs
        return TickTimer(state, self.generator, ends, segs, self.pio.sio, self.witness)

    def fresh(self):
        """Nothing moves, nothing is pressed, a new list of edges."""
        bench.stop = 0
        bench.edges = []
        it.timer = None
        it.schedule = []
        bench.faults.clear()
        self.generator.arm()
        self.witness.zero()
        bench.on_inputs()

    def publish(self, words, blocks):
        """Write words and block lengths as fill() leaves them."""
        g = self.generator
        for i in range(len(words)):
            g.ring[2 * i] = words[i] & 255
            g.ring[2 * i + 1] = words[i] >> 8
        for i in range(len(blocks)):
            g.ctrl[4 * i] = blocks[i] & 255
            g.ctrl[4 * i + 1] = blocks[i] >> 8

    def play_until(self, end):
        while it.now < end:
            it.now = self.pio.advance(it.now, end)

    def queue(self):
        """Return the words that the finite chain still delivers, by walking it."""
        g = array("i", self.pio.g)
        ring, ctrl = views(self.generator)
        words = []
        at, n = g[engine.G_PULL], (g[engine.G_READ] - g[engine.G_PULL]) & engine.RING_MASK
        n += g[engine.G_LEFT]
        c = g[engine.G_CREAD]
        while True:
            for _ in range(n):
                words.append(ring[at])
                at = (at + 1) & engine.RING_MASK
            if g[engine.G_DEAD]:
                return words
            n = ctrl[c]
            c = (c + 1) & engine.CTRL_MASK
            if n == 0:
                return words


def views(generator):
    """Return copies of queue and chain as arrays of their words."""
    return array("H", bytes(generator.ring)), array("i", bytes(generator.ctrl))


def programs(_):
    """Return what the MicroPython side assembles, and the opcodes that the model stands for."""
    out = {}
    for program, known in (
        (step_generator, pioblock.STEP_GENERATOR),
        (edge_witness, pioblock.EDGE_WITNESS),
    ):
        out[program.name] = {
            "code": list(program.code),
            "wrap": [program.wrap_target, program.wrap],
            "known": list(known),
        }
    out["addresses"] = [pioblock._AT_PULL, pioblock._IN_PASS, pioblock._LATCHED]
    return out


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

    ``presses`` is [[tick, level], ...]; one at 0 is there before the launch.
    """
    parts.fresh()
    parts.publish(case["words"], case["blocks"])
    start = it.now
    for at, level in case["presses"]:
        if at == 0:
            bench.press(level)
    parts.generator.feed()
    parts.generator.launch()
    for at, level in case["presses"]:
        if at:
            parts.play_until(start + at)
            bench.press(level)
    parts.play_until(start + case["until"])
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
    begin = it.now
    kill = begin + case["kill"]
    segments = planner.stretch_segments(case["num"], case["den"], 0, 1, case["steps"], 0)
    parts.loop.begin(segments, case["hz"], [], 0, 0)
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


class Recorder:
    """An array whose every write is reported after it was made."""

    def __init__(self, data, wrote):
        self._data = data
        self._wrote = wrote

    def __getitem__(self, index):
        return self._data[index]

    def __setitem__(self, index, value):
        self._data[index] = value
        self._wrote(index, value)


def _plain_fill():
    # The same source as bytecode, because viper writes to memory and tells nobody. `ptr32` and
    # the like are annotations only.
    with open(sys.argv[2] + "/pump/tick.py") as file:
        source = file.read()
    for mark in ("@micropython.viper", "@micropython.native"):
        source = source.replace(mark, "")
    space = {"__name__": "plain_tick"}
    exec(source, space)
    return space["fill"]


def fill_deaths(case):
    """Serve a motion up to ``kill`` and on to a tick that fills control word ``slot`` (any: null).

    Let the CPU die before that fill() and after each of its writes to queue and chain, and play
    each of those memories to its end.
    """
    _run(case)
    it.timer.alive = False
    s = parts.loop.state
    generator, pio = parts.generator, parts.pio
    while True:
        it.run_to(it.now + 1000)
        pio.sync_out()
        tick.retire(s, generator.ring, generator.data, generator.pio, parts.witness.word)
        what = tick.check(s, parts.ends, generator.data, generator.chain, generator.pio, pio.sio)
        if what == tick.DO_FILL:
            if case["slot"] in (None, s[tick.S_CHEAD]):
                break
            tick.fill(s, generator.ring, generator.ctrl, parts.ends, parts.segs)
            parts.loop.service()
        elif what or s[tick.S_FLAGS]:
            raise RuntimeError("tick wants %d, flags %d" % (what, s[tick.S_FLAGS]))
    ring, ctrl = views(generator)
    state = array("i", s)
    deaths = []

    def die(what, index, value):
        g = array("i", pio.g)
        memory = array("H", ring)
        chain = array("i", ctrl)
        edges, last, t = 0, 0, 0
        starved = False
        while t < case["after"] and not starved:
            t += engine.play(g, memory, chain, case["after"] - t)
            if g[engine.G_EVENT] & engine.E_EDGE:
                edges += 1
                last = t
            starved = bool(g[engine.G_EVENT] & engine.E_STARVED)
        deaths.append({
            "wrote": [what, index, value], "edges": edges, "last": last, "ends": t,
            "dead": g[engine.G_DEAD], "starved": starved,
        })  # fmt: skip

    out = {"made": len(bench.edges), "fed_before": s[tick.S_FED], "slot": s[tick.S_CHEAD]}
    die("", 0, 0)
    out["words"] = plain_fill(
        state,
        Recorder(ring, lambda index, value: die("ring", index, value)),
        Recorder(ctrl, lambda index, value: die("ctrl", index, value)),
        array("H", parts.ends),
        parts.segs,
    )
    # The same call by the code that the tick runs must leave the same memory.
    wrote = tick.fill(s, generator.ring, generator.ctrl, parts.ends, parts.segs)
    viper = views(generator)
    out["same"] = (wrote, viper[0], viper[1], s) == (out["words"], ring, ctrl, state)
    out["fed_after"] = s[tick.S_FED]
    out["deaths"] = deaths
    parts.loop.end()
    return out


parts = Parts()
plain_fill = _plain_fill()
ops = {op.__name__: op for op in (programs, play, stop, kill, fill_deaths)}

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
