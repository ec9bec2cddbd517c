"""`rp2` for the simulated board: the PIO assembler, state machines and DMA channels.

The assembler makes the real opcodes (tests/pio compares them with the chip's own assembler's
rules and runs them in an emulator). A StateMachine runs no opcodes: it hands its program to
pioblock.py, which knows a model for exactly the programs whose opcodes were checked, and refuses
any other.
"""

from kernel import it

_X, _Y, _NULL, _PINS, _PC, _ISR, _OSR = 1, 2, 3, 0, 5, 6, 7
_MOV_SRC = {"pins": 0, "x": 1, "y": 2, "null": 3, "isr": 6, "osr": 7}
_JMP = {"not_x": 1, "x_dec": 2, "not_y": 3, "y_dec": 4, "x_not_y": 5, "pin": 6, "not_osre": 7}
_DEST = {"pins": 0, "x": 1, "y": 2, "null": 3, "pindirs": 4, "pc": 5, "isr": 6}


class PIO:
    IN_LOW, IN_HIGH, OUT_LOW, OUT_HIGH = 0, 1, 2, 3
    SHIFT_LEFT, SHIFT_RIGHT = 0, 1
    JOIN_NONE, JOIN_TX, JOIN_RX = 0, 1, 2

    def __init__(self, number):
        self._number = number

    def remove_program(self):
        it.pioblock.remove_programs(self._number)


class _Word:
    """An instruction whose delay follows in brackets: ``nop() [2]``."""

    def __init__(self, code, index):
        self._code = code
        self._index = index

    def __getitem__(self, delay):
        if not 0 <= delay < 32:
            raise ValueError("delay")
        self._code[self._index] |= delay << 8
        return self


class Program:
    """Opcodes with addresses relative to 0, and the wrap."""

    def __init__(self, name, options):
        self.name = name
        self.options = options
        self.code = []
        self.wrap_target = 0
        self.wrap = None
        self._labels = {}
        self._fixups = []

    def _put(self, word):
        self.code.append(word)
        return _Word(self.code, len(self.code) - 1)

    def names(self):
        def jmp(condition, target=None):
            if target is None:
                condition, target = None, condition
            self._fixups.append((len(self.code), target))
            return self._put((_JMP[condition] << 5) if condition else 0)

        def set_wrap():
            self.wrap = len(self.code) - 1

        def set_target():
            self.wrap_target = len(self.code)

        return {
            "wrap_target": set_target,
            "wrap": set_wrap,
            "label": lambda name: self._labels.update({name: len(self.code)}),
            "jmp": jmp,
            "wait": lambda level, source, index: self._put(
                0x2000 | level << 7 | {"gpio": 0, "pin": 1, "irq": 2}[source] << 5 | index
            ),
            "out": lambda dest, count: self._put(0x6000 | _DEST[dest] << 5 | (count & 31)),
            "in_": lambda source, count: self._put(0x4000 | _DEST[source] << 5 | (count & 31)),
            "push": lambda how: self._put(0x8000 | (0x20 if how == "block" else 0)),
            "pull": lambda how: self._put(0x8080 | (0x20 if how == "block" else 0)),
            "mov": lambda dest, source: self._put(
                0xA000 | {"pins": 0, "x": 1, "y": 2, "isr": 6, "osr": 7}[dest] << 5
                | _MOV_SRC[source]
            ),
            "irq": lambda index: self._put(0xC000 | index),
            "set": lambda dest, value: self._put(0xE000 | _DEST[dest] << 5 | value),
            "nop": lambda: self._put(0xA042),
            "block": "block", "noblock": "noblock", "pin": "pin", "gpio": "gpio", "x": "x",
            "y": "y", "null": "null", "isr": "isr", "osr": "osr", "pins": "pins",
            "x_dec": "x_dec", "y_dec": "y_dec", "not_x": "not_x", "not_y": "not_y",
        }  # fmt: skip

    def finish(self):
        for index, label in self._fixups:
            self.code[index] |= self._labels[label]
        if self.wrap is None:
            self.wrap = len(self.code) - 1


def asm_pio(**options):
    """Assemble the decorated function, in its own module's globals, as MicroPython does."""

    def assemble(function):
        program = Program(function.__name__, options)
        space = function.__globals__
        names = program.names()
        held = dict((name, space[name]) for name in names if name in space)
        space.update(names)
        try:
            function()
        finally:
            for name in names:
                if name in held:
                    space[name] = held[name]
                else:
                    space.pop(name, None)
        program.finish()
        return program

    return assemble


class StateMachine:
    def __init__(self, number):
        self.number = number

    def init(self, program, freq=-1, out_base=None, set_base=None, in_base=None, jmp_pin=None):
        it.pioblock.sm_init(self.number, program, freq, out_base, set_base, in_base, jmp_pin)

    def active(self, on):
        it.pioblock.sm_active(self.number, on)

    def exec(self, code):
        it.pioblock.sm_exec(self.number, code)

    def put(self, word):
        it.pioblock.sm_put(self.number, word)

    def restart(self):
        it.pioblock.sm_restart(self.number)


class DMA:
    def __init__(self):
        self.channel = it.pioblock.dma_claim(self)
        self.registers = it.pioblock.dma_registers(self.channel)
        self.setup = {}

    def pack_ctrl(self, **options):
        return dict(options)

    def config(self, read=None, write=None, count=None, ctrl=None, trigger=False):
        for key, value in (("read", read), ("write", write), ("count", count), ("ctrl", ctrl)):
            if value is not None:
                self.setup[key] = value
        if trigger:
            self.active(1)

    def active(self, on):
        it.pioblock.dma_active(self, on)
