"""The firmware's PIO programs, and what an instruction-by-instruction emulator makes of them.

Used by the tests of this folder only. `programs` assembles the two programs on CPython, with
stand-ins for the chip's modules; `StepMachine` and `count_edges` run opcodes in `pioemu`.
Times are PIO cycles unless a name says ticks; a level seen "at cycle c" lasts from c to c + 1.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import sys
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from types import ModuleType, SimpleNamespace
from typing import Any

from pioemu import State, emulate

from doseloop import resources

STEP_PIN, STOP_PIN = 2, 6  # of the reference board; any two that differ would do
CYCLES = 5  # per tick
FIFO_WORDS = 8  # the transmit FIFO with the receive FIFO joined to it
RX_WORDS = 4

# Addresses in the step program, and what the emulator can't do by itself: it knows no IRQ.
PULL, PASS, JMP_PIN, OUT_EDGE, SET_LOW, HALT, LATCHED = 0, 2, 3, 5, 6, 7, 8
_IRQ_0 = 0xC000


def programs(monkeypatch: Any) -> SimpleNamespace:
    """Assemble with the simulated board's `rp2`. Return `step`, `witness`, `signal`, modules.

    Everything put on sys.path and in sys.modules goes again with `monkeypatch`.
    """
    resources.firmware_module("version")  # brings the stand-in for `micropython`
    for name in _pump_modules():
        monkeypatch.delitem(sys.modules, name)  # to be had again by whoever imported them
    for viper_type in ("ptr8", "ptr16", "ptr32", "uint"):
        monkeypatch.setattr(builtins, viper_type, int, raising=False)
    kernel = ModuleType("kernel")
    kernel.it = None  # type: ignore[attr-defined]
    machine = ModuleType("machine")
    machine.Pin = None  # type: ignore[attr-defined]
    for module in (kernel, machine, ModuleType("uctypes")):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    device = resources.sim_device_root()
    spec = importlib.util.spec_from_file_location("rp2", device / "rp2.py")
    assert spec is not None and spec.loader is not None
    rp2 = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(rp2)
    monkeypatch.setitem(sys.modules, "rp2", rp2)
    generator = importlib.import_module("pump.hal.step_generator")
    witness = importlib.import_module("pump.hal.witness")
    hx711 = importlib.import_module("pump.hal.hx711")
    annunciator = importlib.import_module("pump.hal.annunciator")
    tick = importlib.import_module("pump.tick")
    for name in _pump_modules():
        del sys.modules[name]
    return SimpleNamespace(
        step=generator.step_generator,
        witness=witness.edge_witness,
        signal=annunciator.alarm_signal,
        generator=generator,
        hx711=hx711,
        annunciator=annunciator,
        tick=tick,
        rp2=rp2,
    )


def _pump_modules() -> list[str]:
    return [name for name in sys.modules if name.split(".")[0] == "pump"]


@dataclass
class Trace:
    """What one run of the step program did."""

    rises: list[int] = field(default_factory=list)  # cycle at which STEP went high
    falls: list[int] = field(default_factory=list)
    pulls: list[int] = field(default_factory=list)  # cycle of each pull that got a word
    irq_at: int | None = None  # cycle of `irq 0`
    state: State = field(default_factory=State)  # at the end
    stalled: int = 0  # cycles spent waiting at the pull

    def edge_ticks(self) -> list[int]:
        """Return the rising edges in ticks; each lies on a tick."""
        assert all(rise % CYCLES == 0 for rise in self.rises)
        return [rise // CYCLES for rise in self.rises]


def step_machine(
    program: Any,
    words: Iterable[int],
    *,
    stop: Callable[[int], int] | None = None,
    until: int | None = None,
    start: State | None = None,
    fifo: int | None = FIFO_WORDS,
    leap: bool = False,
    visit: Callable[[tuple[int, int]], None] | None = None,
) -> Trace:
    """Run the step program on queue words until it starves, latches or reaches cycle `until`.

    stop: level of the stop input at a cycle. fifo: its depth; the words behind it come as DMA
    brings them, a 16-bit transfer, which the bus repeats in both halves; None: all are there.
    until: if given, a starved or latched machine goes on, so that its staying there is seen.
    leap: skip passes of the delay loop whose only effect is x - 1 and five cycles (every one of
    them is run in test_step_program.py); not with `stop`. visit: told (cycle, x) at the start of
    every further pass.
    """
    level = stop or (lambda _cycle: 0)
    assert not (leap and stop)

    def inputs(state: State) -> int:
        return level(state.clock) << STOP_PIN

    coming = deque((word & 0xFFFF) * 0x10001 for word in words)
    state = start or State(pin_directions=1 << STEP_PIN)
    state = replace(state, transmit_fifo=deque(state.transmit_fifo))

    def top_up() -> None:
        while coming and (fifo is None or len(state.transmit_fifo) < fifo):
            state.transmit_fifo.append(coming.popleft())

    trace = Trace()
    top_up()
    while True:
        if program.code[state.program_counter] == _IRQ_0:
            trace.irq_at = state.clock
            state = replace(state, clock=state.clock + 1, program_counter=HALT + 1)
        landed = False
        for before, after in emulate(
            program.code,
            stop_when=lambda opcode, at: until is not None and at.clock >= until,
            initial_state=state,
            input_source=_typed(inputs),
            out_base=STEP_PIN,
            out_count=1,
            set_base=STEP_PIN,
            set_count=1,
            jmp_pin=STOP_PIN,
            wrap_target=program.wrap_target,
            wrap_top=program.wrap,
        ):
            state = after
            rose = (after.pin_values & ~before.pin_values) >> STEP_PIN & 1
            fell = (before.pin_values & ~after.pin_values) >> STEP_PIN & 1
            if rose:  # the new level stands from the cycle after the instruction's first
                trace.rises.append(before.clock + 1)
            if fell:
                trace.falls.append(before.clock + 1)
            if before.program_counter == PULL:
                if after.program_counter == PULL:
                    trace.stalled += 1
                    if until is None:
                        break
                else:
                    trace.pulls.append(before.clock)
                    top_up()
            elif after.program_counter == LATCHED and until is None:
                break
            elif visit and after.program_counter == PASS:
                visit((after.clock, after.x_register))
            elif leap and after.program_counter == PASS and after.x_register > 2:
                landed = True
                break
        if landed:
            passes = state.x_register - 1
            state = replace(state, x_register=1, clock=state.clock + CYCLES * passes)
            continue
        halting = program.code[state.program_counter] == _IRQ_0
        if halting and (until is None or state.clock < until):
            continue
        trace.state = state
        return trace


def _typed(source: Callable[[State], int]) -> Callable[[State], int]:
    # The emulator looks at the annotation's object, and here annotations are text.
    source.__annotations__ = {"state": State, "return": int}
    return source


def count_edges(
    program: Any, levels: list[int], start: State | None = None, drained_from: int = 0
) -> list[int]:
    """Run the witness on one level a cycle; return every value that came out of its FIFO.

    The FIFO is emptied at once, as DMA does, from cycle `drained_from` on.
    """
    out: list[int] = []

    def inputs(state: State) -> int:
        return levels[state.clock] if state.clock < len(levels) else levels[-1]

    for _, after in emulate(
        program.code,
        stop_when=lambda _opcode, at: at.clock >= len(levels),
        initial_state=start or State(),
        input_source=_typed(inputs),
        wrap_target=program.wrap_target,
        wrap_top=program.wrap,
    ):
        while after.receive_fifo and after.clock >= drained_from:
            out.append(after.receive_fifo.popleft())
    return out


def word(ticks: int, step: bool) -> int:
    """Return the queue word of a duration."""
    return (ticks - 4) | (0x8000 if step else 0)
