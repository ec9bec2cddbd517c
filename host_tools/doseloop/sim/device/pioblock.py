"""PIO and DMA of the simulated board, as far as step generator, witness and annunciator use them.

A model exists for exactly three programs, known by their opcodes; tests/pio runs those opcodes in
a PIO emulator and compares every edge. Registers that the firmware's tick reads are kept in arrays
and brought up to date before each call of it (`sync_out`); what it wrote is taken in after.
"""

import micropython

from array import array

from annunciator import Annunciator
from engine import (
    E_BLOCK, E_EDGE, E_STARVED, G_DEAD, G_EVENT, G_HIGH, G_LEFT, G_PULL, G_READ, G_REM,
    G_WORDS, RING_MASK, play, prefetch, show,
)  # fmt: skip

PIO0 = 0x50200000
DMA0 = 0x50000000
SIO_IN = 0xD0000004
USB = 0x50100000
SCRATCH = 0x4005800C  # the watchdog's; four of the eight
_CTRL, _IRQ, _ADDR = 0, 12, 53
_AT_PULL, _IN_PASS, _LATCHED = 0, 3, 8
_PULL_NOBLOCK = 0x8080
_SET_PINS_0 = 0xE000

# Opcodes with delays, checked by tests/pio against firmware/pump/hal.
STEP_GENERATOR = (0x80A0, 0x622F, 0xA242, 0x00C7, 0x0042, 0x6901, 0xE000, 0xC000, 0x0008)
EDGE_WITNESS = (0xE020, 0x2020, 0x20A0, 0x0044, 0xA0C1, 0x8000)
ALARM_SIGNAL = (
    0x80A0, 0x6002, 0x6041, 0x603D, 0x0067, 0xF601, 0x0008, 0xB742, 0xF700, 0x0044,
)  # fmt: skip
_SIGNAL_SM, _SIGNAL_DREQ = 7, 11


class PioBlock:
    """Both PIO blocks and the DMA. ``edge`` is called for every rising STEP edge made."""

    def __init__(self, board):
        self._board = board
        board.on_inputs = self.inputs_changed
        self.pio = array("I", [0] * 80)
        self.sio = array("I", [0])
        self.usb = array("I", [0, 0])
        self.scratch = bytearray(16)
        self._channels = []
        self.signal = Annunciator()
        self.signal_pins = None
        self.clock = lambda: 0  # kernel's now
        self.reset()

    def reset(self):
        """As the chip leaves reset: nothing runs, pins are inputs; `scratch` is as it was."""
        self.signal.halt(self.clock())
        self.signal.stop(self.clock())
        self._channels = []
        self._windows = {}
        self._data_window = self._chain_window = array("I", [0] * 16)
        for i in range(len(self.pio)):
            self.pio[i] = 0
        self.usb[0] = self.usb[1] = 0
        self.g = array("i", [0] * G_WORDS)
        self.g[G_DEAD] = 1
        self._ring = array("H", [0] * (RING_MASK + 1))
        self._ctrl = array("i", [0] * 512)
        self.running = False
        self._latched = False
        self._starved = True
        self.tick_wanted = True
        self._step_pin = None
        self._stop_pin = None
        self._stop_open = False
        self._witness_pin = None
        self._witness_on = False
        self._witness_word = None
        self._count = 0
        self.inputs_changed()

    def power_lost(self):
        """What only power keeps is gone."""
        for i in range(len(self.scratch)):
            self.scratch[i] = 0

    # -- state machines -----------------------------------------------------------------------

    def remove_programs(self, block):
        pass

    def sm_init(self, number, program, freq, out_base, set_base, in_base, jmp_pin):
        code = tuple(program.code)
        if number == 0 and code == STEP_GENERATOR:
            if freq != 5_000_000:
                raise ValueError("no model of the step generator at %d Hz" % freq)
            self._step_pin = out_base.number
            self._stop_pin = jmp_pin.number
            self._board.step_pin = self._step_pin
            self._board.step_level = self._step_level
            self.sm_active(0, 0)
            self.sm_restart(0)
        elif number == 4 and code == EDGE_WITNESS:
            self._witness_pin = in_base.number
            self._witness_on = False
            self._count = 0
        elif number == _SIGNAL_SM and code == ALARM_SIGNAL:
            if freq != 25_000:
                raise ValueError("no model of the annunciator at %d Hz" % freq)
            self.signal_pins = set_base.number, out_base.number
            self.signal.stop(self.clock())
        else:
            raise ValueError("no model of PIO program %s: %r" % (program.name, code))

    def sm_restart(self, number):
        if number == 0:
            self.g[G_REM] = 0
            self.g[G_HIGH] = 0
            self._latched = False
            self.pio[_IRQ] = 0

    def sm_active(self, number, on):
        if number == 4:
            self._witness_on = bool(on)
            return
        if number == _SIGNAL_SM:
            if on:
                self.signal.start(self.clock())
            else:
                self.signal.halt(self.clock())
            return
        self.running = bool(on)
        self.pio[_CTRL] = 1 if on else 0
        self.sync_out()  # main reads the registers next, as they are
        if on:
            self._starved = False
            self.tick_wanted = True
            self._check_stop()

    def sm_put(self, number, word):
        if number != _SIGNAL_SM:
            raise ValueError("no model of put on state machine %d" % number)
        self.signal.put(word)

    def sm_exec(self, number, code):
        if number == _SIGNAL_SM:
            if code != _PULL_NOBLOCK or self.signal.running:
                raise ValueError("no model of exec 0x%04x" % code)
            return  # the FIFO is empty: sm_init has seen to that
        if code == _SET_PINS_0:
            self.g[G_HIGH] = 0
        elif code == _PULL_NOBLOCK:
            g = self.g
            if g[G_PULL] != g[G_READ]:
                g[G_PULL] = (g[G_PULL] + 1) & RING_MASK
                prefetch(g, self._ctrl)
        else:
            raise ValueError("no model of exec 0x%04x" % code)

    def _step_level(self):
        return self.g[G_HIGH]

    # -- DMA ----------------------------------------------------------------------------------

    def dma_claim(self, channel):
        self._channels.append(channel)
        return len(self._channels) - 1

    def dma_registers(self, number):
        window = array("I", [0] * 16)
        self._windows[DMA0 + 64 * number] = window
        if number == 0:
            self._data_window = window
        elif number == 1:
            self._chain_window = window
        return window

    def dma_active(self, channel, on):
        setup = channel.setup
        if setup.get("ctrl", {}).get("treq_sel") == _SIGNAL_DREQ:
            if on:
                self.signal.feed(setup["read"], setup["count"])
            else:
                self.signal.feed(None, 0)
            return
        if not on:
            if self._is_data(channel) or self._is_chain(channel):
                self.g[G_LEFT] = 0
                self.g[G_DEAD] = 1
            return
        if self._is_chain(channel):
            data = self._channels[setup["write"] // 64 % 16]
            self._ring = data.setup["read"]
            self._ctrl = setup["read"]
            g = self.g
            for i in range(G_WORDS):
                g[i] = 0
            prefetch(g, self._ctrl)
        elif setup["ctrl"].get("treq_sel") == 12:
            self._witness_word = setup["write"]
        else:
            raise ValueError("no model of this DMA set-up: %r" % setup)

    def _is_chain(self, channel):
        return type(channel.setup.get("write")) is int

    def _is_data(self, channel):
        return channel.setup.get("ctrl", {}).get("treq_sel") == 0

    # -- registers ----------------------------------------------------------------------------

    def address_of(self, buffer):
        for address, window in self._windows.items():
            if window is buffer:
                return address
        return None

    def window(self, address, size):
        if address == PIO0:
            return self.pio
        if address == SIO_IN:
            return self.sio
        if address == USB:
            return self.usb
        if address == SCRATCH:
            return self.scratch
        raise ValueError("no register window at 0x%08x" % address)

    def read32(self, address):
        self.sync_out()
        if PIO0 <= address < PIO0 + 320:
            return self.pio[(address - PIO0) // 4]
        if SCRATCH <= address < SCRATCH + 16:
            at = address - SCRATCH
            return int.from_bytes(self.scratch[at : at + 4], "little")
        raise ValueError("no register at 0x%08x" % address)

    def write32(self, address, value):
        if address == PIO0 + 4 * _IRQ:
            self.pio[_IRQ] &= ~value
            return
        if SCRATCH <= address < SCRATCH + 16:
            at = address - SCRATCH
            self.scratch[at : at + 4] = (value & 0xFFFFFFFF).to_bytes(4, "little")
            return
        raise ValueError("no register at 0x%08x" % address)

    def sync_out(self):
        """Show the firmware where generator and DMA stand."""
        if self._latched:
            self.pio[_ADDR] = _LATCHED
        else:
            self.pio[_ADDR] = _AT_PULL if self.g[G_REM] == 0 else _IN_PASS
        show(self.g, self.pio, self._data_window, self._chain_window)

    @micropython.native
    def sync_in(self):
        """Take in what the tick wrote: it can switch the generator off."""
        if self.running and not self.pio[_CTRL] & 1:
            self.running = False

    # -- time ---------------------------------------------------------------------------------

    def moving(self):
        """True while words are being played."""
        return self.running and not self._latched and not self._starved

    def usb_setup(self, first, second):
        """The host sent a SETUP packet, of two words: hardware takes it whatever main does."""
        self.usb[0], self.usb[1] = first, second
        self.tick_wanted = True

    def inputs_changed(self):
        """A pin changed from outside: the tick may have something to do."""
        self.sio[0] = self._board.inputs()
        self.tick_wanted = True
        if self.running:
            self._check_stop()

    def _check_stop(self):
        g = self.g
        self._stop_open = self._stop_pin is not None and bool(self._board.level(self._stop_pin))
        # Looked at on every pass: the word's step is not made. In a pulse, and between words, the
        # program does not look: advance() takes it to the next word's first pass, where it halts.
        if self._stop_open and g[G_REM] > 2:
            self._latch()

    def _latch(self):
        self._latched = True
        self.pio[_IRQ] |= 1
        self.tick_wanted = True

    @micropython.native
    def advance(self, now, until):
        """Play from ``now`` to ``until``; return the instant reached: earlier when a block was
        taken or the queue ran dry, because then the tick has work."""
        g = self.g
        ring = self._ring
        ctrl = self._ctrl
        while now < until:
            if not self.running or self._latched or self._starved:
                return until
            if self._stop_open:
                # Only the word under way is played; what it pulls then halts before its edge.
                end = min(until, now + g[G_REM])
                now += play(g, ring, ctrl, end - now)
                if g[G_REM] > 2:
                    self._latch()
                    return now
            else:
                now += play(g, ring, ctrl, until - now)
            event = g[G_EVENT]
            if event & E_EDGE:
                self._edge(now)
                if self.tick_wanted:
                    return now
            if event & E_STARVED:
                self._starved = True
                self.tick_wanted = True
                return now
            if event & E_BLOCK:
                self.tick_wanted = True
                return now
        return now

    def cruising(self, timer):
        """True while words are played, the tick lives, and nothing waits for its attention."""
        return (
            timer is not None
            and timer.alive
            and self.moving()
            and not self.tick_wanted
            and not self._stop_open
        )

    @micropython.native
    def cruise(self, kernel, until, timer, woken):
        """Play and tick from now until ``until``, or until something out of the ordinary.

        The same as kernel.run_to's own loop, with everything in locals: a month has ten million
        ticks. tests/simulated compares it with the loop that calls every tick.
        """
        g, ring, ctrl, pio = self.g, self._ring, self._ctrl, self.pio
        data, chain, edge = self._data_window, self._chain_window, self._edge
        begin, period, callback = timer.begin, timer.period, timer.callback
        playing, showing = play, show
        now = kernel.now
        due, wanted = until, False
        while now < until:
            now += playing(g, ring, ctrl, due - now)
            event = g[6]  # G_EVENT; bits: 1 edge, 2 block, 4 starved
            if event:
                if event & 1:
                    edge(now)
                if event & 4:
                    self._starved = True
                    self.tick_wanted = True
                if self.tick_wanted:
                    break
                if event & 2 and not wanted:
                    tick = begin + ((now - begin) // period + 1) * period
                    if tick > until:
                        self.tick_wanted = True
                        break
                    due, wanted = tick, True
            if wanted and now == due:
                kernel.now = now
                due, wanted = until, False
                showing(g, pio, data, chain)
                callback(timer)
                if not pio[0] & 1:
                    self.running = False
                    break
                if woken is not None and woken():
                    break
        kernel.now = now

    @micropython.native
    def _edge(self, now):
        board = self._board
        if not board.step_edge(now):
            self.tick_wanted = True  # not as commanded: that is news for the tick
        elif self._witness_on:
            self._count += 1
            word = self._witness_word
            if word is not None:
                n = -self._count & 0xFFFFFFFF
                word[0] = n & 255
                word[1] = n >> 8 & 255
                word[2] = n >> 16 & 255
                word[3] = n >> 24
