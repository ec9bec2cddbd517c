"""Starts the pump's firmware on a simulated board. Run by the unix port of MicroPython:

    DOSELOOP_WORLD='<json>' micropython world.py

Sets up the physical model, puts this folder's `machine`, `rp2`, `time` and `select` in front of
the unix port's, mounts a littlefs flash, and runs the firmware again after each reset. The JSON
and the control lines are described in host_tools/doseloop/sim/world.py.
"""

import sys

_HERE = sys.argv[0].rsplit("/", 1)[0]
sys.path[:] = []  # the real modules first
import gc  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import select as real_select  # noqa: E402
import time as real_time  # noqa: E402

import vfs  # noqa: E402
from binascii import unhexlify  # noqa: E402

_HOST = "/host"
_PRESS_US = 500_000  # how long a person keeps a button pressed
_OF_LINE = ("occlusion", "disconnect")  # faults that hydraulics.py has
_BOUNCE = ((0, True), (700, False), (1_900, True), (2_100, False), (5_000, True))  # its contact
# Collect often: in a large heap full of garbage each allocation searches for room from the start.
gc.threshold(200_000)


class Flash:
    """The file system's blocks: 352 of 4 KiB, as the stock image has them, in a file or in RAM."""

    BLOCK = 4096
    BLOCKS = 352

    def __init__(self, path):
        self._data = None
        self.fresh = False
        self.failing = False
        if path is None:
            self._data = bytearray(self.BLOCK * self.BLOCKS)
            self.fresh = True
            return
        name = path + "/flash.bin"
        try:
            self._file = open(name, "r+b")
        except OSError:
            with open(name, "wb") as file:
                file.write(bytes(self.BLOCK * self.BLOCKS))
            self._file = open(name, "r+b")
            self.fresh = True

    def readblocks(self, block, buffer, offset=0):
        at = block * self.BLOCK + offset
        if self._data is not None:
            buffer[:] = self._data[at : at + len(buffer)]
        else:
            self._file.seek(at)
            self._file.readinto(buffer)

    def writeblocks(self, block, buffer, offset=0):
        if self.failing:
            return -5
        at = block * self.BLOCK + offset
        if self._data is not None:
            self._data[at : at + len(buffer)] = buffer
        else:
            self._file.seek(at)
            self._file.write(buffer)
            self._file.flush()

    def ioctl(self, op, argument):
        if op == 4:
            return self.BLOCKS
        if op == 5:
            return self.BLOCK
        return 0


def _mount(flash):
    if flash.fresh:
        vfs.VfsLfs2.mkfs(flash)
    vfs.umount("/")
    vfs.mount(vfs.VfsPosix("/"), _HOST)
    vfs.mount(vfs.VfsLfs2(flash), "/")


def _stored():
    """Return the sealed configuration that the board has on flash, or None."""
    from pump import sealed, slots
    from pump.hal import storage

    try:
        return slots.Slots(storage, "config").read()
    except sealed.SealError:
        return None


class World:
    """Kernel, board, flash and line of one simulated pump."""

    def __init__(self, options):
        trace = open(options["trace"], "w") if options.get("trace") else None
        stdin, control_in = open(0, "rb"), open(3, "rb")
        control_out, err = open(4, "wb"), open(2, "w")
        self.flash = Flash(options.get("state"))
        _mount(self.flash)
        sys.path[:] = [_HOST + _HERE, _HOST + options["firmware"]]
        import addresses
        import kernel
        from board import Board
        from geometry import geometry_of
        from hydraulics import Hydraulics
        from line import Line
        from pioblock import PioBlock

        sys.modules["uctypes"] = addresses
        self.kernel = kernel.it
        self.reset_type = kernel.Reset
        self._addresses = addresses
        text = options.get("config") or _stored()
        geometry = geometry_of(text)
        geometry["unique_id"] = unhexlify(options.get("serial") or "0000000000000001")
        self.board = Board(geometry, trace)
        self._hydraulics, self._geometry_of = Hydraulics, geometry_of
        self._fill(geometry)
        commands = {
            "fault": self._fault,
            "clear": self._clear,
            "press": self._press,
            "break": self._break,
            "power": self._power,
            "line": self._line,
            "status": self._status,
            "signals": self._signals,
            "quit": self._quit,
        }
        streams = (stdin, open(1, "wb"), control_in, control_out, err)
        self.line = Line(real_select, real_time.ticks_us, json, streams, commands)
        self._err = err
        self.line.attached = bool(options.get("attached"))
        it = self.kernel
        it.board, it.line = self.board, self.line
        self.board.now = lambda: it.now
        it.pioblock = PioBlock(self.board)
        it.pioblock.clock = lambda: it.now
        it.speed = None if options.get("speed", "max") == "max" else options["speed"]
        it.held = bool(options.get("hold"))
        it.dense = bool(options.get("dense"))
        self.line.rebase(it)
        for fault in options.get("faults") or ():
            try:
                self.board.check_fault(fault["name"], fault.get("value"))
            except ValueError as error:
                err.write("sim: %s: %s\n" % (fault["name"], error))
                sys.exit(1)
            it.at(
                fault["at_ns"] // 1000,
                _later(self._inject, fault["name"], fault.get("value")),
                False,
            )
        self._config = options.get("config")

    def run(self):
        """Boot the firmware, again after each reset, until the launcher ends it."""
        cause = "power"
        while True:
            try:
                self._boot(cause)
                cause = "reset"  # it left its main loop for a REPL that this board has not
                self.line.note("maintenance: no REPL on the simulated board; it resets")
            except self.reset_type as reset:
                cause = reset.cause
            except (SystemExit, KeyboardInterrupt):
                break
            except Exception as error:  # on a board: a traceback at the REPL
                sys.print_exception(error, self._err)
                self.board.flush()
                sys.exit(1)
        self.board.flush()

    def _boot(self, cause):
        it = self.kernel
        for name in list(sys.modules):
            if name == "pump" or name.startswith("pump."):
                del sys.modules[name]
        try:
            vfs.umount("/pump")  # a reset leaves the flash alone mounted
        except OSError:
            pass  # the first boot
        it.timer = None
        it.watchdog_due = None
        it.wakes = []
        it.boot_at = it.now
        it.pioblock.reset()
        if cause == "power":
            it.pioblock.power_lost()
        self.board.release_pins()
        self.board.faults.pop("main_hang", None)
        self.board.faults.pop("tick_dead", None)
        self.board.faults.pop("isr_exception", None)
        self._addresses.forget()
        import machine

        machine.set_cause(cause)
        self._configure()
        from pump import events

        record = events.Events.add

        def add(log, e, **fields):
            event = record(log, e, **fields)
            if e == "config":
                geometry = self._geometry_of(_stored())
                self.board.reshape(geometry)
                self._fill(geometry)
            elif e == "load":
                self.board.mount()
                if self.board.line is not None:
                    self.board.line.mount(self.board.plunger, self.kernel.now)
            self.line.saw(it, e)
            return event

        events.Events.add = add
        from pump.app import main

        main()

    def _configure(self):
        """Store the configuration given on the command line, as `config push` would."""
        text, self._config = self._config, None
        if text is not None and text != _stored():
            from pump import config, slots
            from pump.hal import storage

            config.check(text)
            slots.Slots(storage, "config").write(text)

    def _fill(self, geometry):
        """Fill syringe and line, for the syringe in the configuration."""
        line = geometry["line"] and self._hydraulics(geometry["line"])
        if line is not None and self.board.line is not None:
            line.set = self.board.line.set  # the surroundings stay
        self.board.line = line

    # -- control ------------------------------------------------------------------------------

    def _inject(self, name, value):
        if name == "power_cut":
            raise self.reset_type("power")
        if name == "host_deaf":
            self.line.deaf_room = 64  # the packet in the endpoint
        elif name == "main_hang":
            self.board.fault(name, None)
            self.kernel.hang(_us(value))
            self.board.clear(name)
        elif name == "irq_off":
            self.kernel.hang(_us(value or "1"), True)
        elif name == "main_exception":
            raise RuntimeError("as injected")
        elif name == "flash_fail":
            self.flash.failing = True
        elif name in _OF_LINE:
            self.board.line_at(self.kernel.now).fault(name, value)
        elif name in (
            "tick_dead",
            "isr_exception",
            "step_lost",
            "end_switch",
            "open_wire",
            "stall",
            "button_stuck",
            "syringe_out",
            "overtemp",
            "battery",
            "supply",
            "driver",
        ):
            self.board.fault(name, value)
        else:
            raise ValueError("no model of fault " + name)

    def _fault(self, kernel, message):
        name, value = message["name"], message.get("value")
        if name in ("power_cut", "main_hang", "irq_off", "main_exception"):
            kernel.at(kernel.now, _later(self._inject, name, value))
        else:
            self._inject(name, value)
        return {}, None

    def _clear(self, kernel, message):
        name = message["name"]
        if name == "host_deaf":
            self.line.deaf_room = None
        elif name == "flash_fail":
            self.flash.failing = False
        elif name in _OF_LINE:
            self.board.line_at(kernel.now).clear(name)
        else:
            self.board.clear(name)
        return {}, None

    def _press(self, kernel, message):
        if message["what"] == "stop":
            self.board.press_stop(True)
            for at, down in _BOUNCE[1:]:
                kernel.at(kernel.now + at, _later(self.board.press_stop, down))
            for at, down in _BOUNCE:
                kernel.at(kernel.now + _PRESS_US + at, _later(self.board.press_stop, not down))
            return {}, None
        self.board.need_button()
        for at, down in _BOUNCE:
            kernel.at(kernel.now + at, _later(self.board.press_bolus, down))
            kernel.at(kernel.now + _PRESS_US + at, _later(self.board.press_bolus, not down))
        return {}, None

    def _break(self, kernel, message):
        kernel.pioblock.usb_setup(0xFFFF2321, 0)  # CDC's SEND_BREAK, "until further notice"
        return {}, None

    def _line(self, kernel, message):
        line = self.board.line_at(kernel.now)
        if message.get("key") is not None:
            line.adjust(message["key"], message["value"])
        return line.view(), None

    def _power(self, kernel, message):
        return {}, self.reset_type("power")

    def _quit(self, kernel, message):
        self.board.flush()
        return {}, SystemExit(0)

    def _signals(self, kernel, message):
        """What buzzer and lamps have done since this was asked last, times in ns, and their pins.

        Tone: [from, "buzzer", to, periods of 2 ms]; lamps: [at, "red" or "yellow", level].
        """
        log = kernel.pioblock.signal.take(kernel.now)
        for entry in log:
            entry[0] *= 1000
            if len(entry) > 3:
                entry[2] *= 1000
        return {
            "now_ns": kernel.now * 1000,
            "pins": kernel.pioblock.signal_pins,
            "signals": log,
        }, None

    def _status(self, kernel, message):
        self.board.flush()
        board = self.board
        return {
            "now_ns": kernel.now * 1000, "held": kernel.held, "moving": kernel.pioblock.moving(),
            "position": board.position, "plunger": board.plunger, "edges": board.edges,
            "lost": board.lost, "faults": sorted(board.faults), "enabled": board.enabled(),
        }, None  # fmt: skip


def _us(seconds):
    """Return a text of seconds, such as 0.9, in us; None stays None."""
    if seconds is None:
        return None
    whole, _, part = seconds.partition(".")
    return int(whole) * 1_000_000 + int((part + "000000")[:6])


def _later(function, *args):
    return lambda: function(*args)


World(json.loads(os.getenv("DOSELOOP_WORLD"))).run()
