"""Run by the unix port of MicroPython: a month through dose loop, generator and pin model.

    micropython thirty_days.py FIRMWARE DEVICE DAYS RATE_AL_PER_H AL_PER_STEP

No link and no controller: DoseLoop with the firmware's hal on the simulated board. Each edge is
compared with t0 + floor(k * P) here, in big integers, as it leaves the driver's input. Prints one
JSON line: edges, worst_ticks, commanded, witnessed.
"""

import sys

firmware, device = sys.argv[1], sys.argv[2]
days, rate, al = int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])
sys.path[:] = []
import gc  # noqa: E402
import json  # noqa: E402
from array import array  # noqa: E402

gc.threshold(200_000)  # as world.py does, and why

sys.path[:] = [device, firmware]
import addresses  # noqa: E402
import kernel  # noqa: E402
from board import Board  # noqa: E402
from pioblock import PioBlock  # noqa: E402

sys.modules["uctypes"] = addresses


class NoLine:
    """Nobody is connected."""

    def serve(self, kernel):
        pass

    def settle(self, kernel):
        pass


class Judge(Board):
    """The board, and an oracle beside its STEP input."""

    k = 0
    worst = 0
    num, den = al * 3600 * 1_000_000, rate
    due = 0
    rest = 0

    def step_edge(self, now):
        self.k += 1
        # floor(k * num / den), carried along exactly
        self.due += self.num // self.den
        self.rest += self.num % self.den
        if self.rest >= self.den:
            self.rest -= self.den
            self.due += 1
        off = now - self.due
        if off > self.worst or -off > self.worst:
            self.worst = abs(off)
        return Board.step_edge(self, now)


it = kernel.it
board = Judge({"unique_id": bytes(8), "dir": 3, "dir_infuse": 1, "stop": 6, "end_front": 7,
               "end_back": 8, "end_open": 1, "enable": 4, "enable_active": 0, "bolus": None,
               "backlash": 64,
               "travel_front": 1 << 40, "travel_back": -(1 << 40)})  # fmt: skip
it.board, it.line, it.speed = board, NoLine(), None
it.pioblock = PioBlock(board)

from pump import arith, planner  # noqa: E402
from pump.dose_loop import DoseLoop  # noqa: E402
from pump.hal.clock import Clock  # noqa: E402
from pump.hal.pins import Pins  # noqa: E402
from pump.hal.step_generator import StepGenerator  # noqa: E402
from pump.hal.tick_timer import TickTimer  # noqa: E402
from pump.hal.witness import Witness  # noqa: E402

pins = Pins({"pins": {"step": 2, "dir": 3, "enable": 4, "witness": 5, "stop": 6, "end_front": 7,
                      "end_back": 8}, "stop_pull": "up", "enable_active": 0, "dir_infuse": 1,
             "end_open": 1})  # fmt: skip
generator, witness = StepGenerator(pins.step, pins.stop), Witness(pins.witness)
usb = array("i", [0, 0])
dose = DoseLoop(
    generator,
    witness,
    Clock(),
    lambda s, e, g: TickTimer(s, generator, e, g, pins.inputs, witness, usb),
)
steps = rate * 24 * days // al
num, den = arith.period(al, rate)
pins.enable(True)

dose.begin(planner.stretch_segments(num, den, 0, 1, steps, 0), steps, 1, (), pins.end_mask(1))
while not dose.finished():
    if dose.service() & ~64:
        break
    it.wait(2_500_000, None)
dose.end()
print(json.dumps({"edges": board.k, "worst_ticks": board.worst, "commanded": dose.made,
                  "witnessed": dose.seen, "position": board.position, "ordered": steps,
                  "days": it.now / 86_400_000_000}))  # fmt: skip
