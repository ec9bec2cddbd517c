"""The simulated board's engine with a bench around it, and the firmware's motion parts on it.

Runs in MicroPython, for device.py; the bench takes the place of the board's mechanics.
"""

import sys
from array import array

import addresses
import engine
import kernel
import pioblock

sys.modules["uctypes"] = addresses
it = kernel.it

STEP, WITNESS, STOP = 2, 5, 6


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

# The firmware's hal asks the modules for their parts from here on.
import machine  # noqa: E402

from pump.dose_loop import DoseLoop  # noqa: E402
from pump.hal.clock import Clock  # noqa: E402
from pump.hal.step_generator import StepGenerator  # noqa: E402
from pump.hal.tick_timer import TickTimer  # noqa: E402
from pump.hal.witness import Witness  # noqa: E402


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
        usb = array("I", [0, 0])
        return TickTimer(state, self.generator, ends, segs, self.pio.sio, self.witness, usb)

    def fresh(self):
        """Nothing moves, nothing is pressed, a new list of edges."""
        bench.stop = 0
        bench.edges = []
        it.timer = None
        it.schedule = []
        bench.faults.clear()
        self.generator.arm()
        self.witness.zero(0)
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


def plain_tick(folder, at):
    """Return tick.py's names as bytecode, because viper writes to memory and tells nobody.

    at: the buffers by address; ptr32 and the like look them up there.
    """
    with open(folder + "/pump/tick.py") as file:
        source = file.read()
    for mark in ("@micropython.viper", "@micropython.native"):
        source = source.replace(mark, "")
    space = {"__name__": "plain_tick", "ptr16": at.get, "ptr32": at.get}
    exec(source, space)
    return space


parts = Parts()
