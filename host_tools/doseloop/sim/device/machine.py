"""`machine` for the simulated board: what the firmware's hal uses of it, no more.

An attribute the firmware reads that is not here raises, which is the point.
"""

import micropython

from kernel import Reset, it

TIER = "simulated"
PWRON_RESET = 1
WDT_RESET = 3

_state = {"cause": PWRON_RESET, "reason": 0}


def set_cause(cause):
    """Told by world.py before a boot: power, watchdog or reset."""
    _state["cause"] = PWRON_RESET if cause == "power" else WDT_RESET
    _state["reason"] = 1 if cause == "watchdog" else 2 if cause == "reset" else 0


def reset_cause():
    return _state["cause"]


def unique_id():
    return it.board.unique_id


def reset():
    raise Reset("reset")


def idle():
    it.wait(1000, None)


def freq():
    return 125_000_000


class _Mem32:
    """Registers by address; the ones this board has."""

    def __getitem__(self, address):
        if address == 0x40058008:
            return _state["reason"]
        if address == 0x50100090:  # what the serial line has out and the host has not fetched
            return 0 if it.line.fetched() else 1 << 10
        value = it.pioblock.read32(address)
        return value - (1 << 32) if value >> 31 else value  # signed, as on the chip

    def __setitem__(self, address, value):
        if address == 0x4005B000 and value & (1 << 30):
            it.watchdog_due = None
            return
        it.pioblock.write32(address, value)


mem32 = _Mem32()


def disable_irq():
    """Interrupts come while main waits only: there is nothing to mask."""
    return 0


def enable_irq(state):
    if state != 0:
        raise ValueError("not what disable_irq returned")


class ADC:
    """Converts what the board model has on GPIO 26, 27 or 28."""

    def __init__(self, pin):
        if pin.number not in (26, 27, 28):
            raise ValueError("Pin doesn't have ADC capabilities")
        self._number = pin.number

    def read_u16(self):
        return it.board.analog(self._number)


class _PinIrq:
    def __init__(self, pin, handler, trigger):
        self._pin = pin
        self._handler = handler
        self._trigger = trigger

    def trigger(self, mask):
        self._trigger = mask

    def edge(self, level):
        if self._trigger & (Pin.IRQ_RISING if level else Pin.IRQ_FALLING):
            self._handler(self._pin)


class Pin:
    IN = 0
    OUT = 1
    PULL_UP = 1
    PULL_DOWN = 2
    IRQ_FALLING = 4
    IRQ_RISING = 8

    def __init__(self, number, mode=-1, pull=None, value=None):
        self.number = number
        if mode == Pin.OUT:
            it.board.drive(number, value or 0)
        elif mode == Pin.IN:
            it.board.pull(number, pull)

    def value(self, level=None):
        if level is None:
            return it.board.level(self.number)
        it.board.drive(self.number, level)
        return None

    def irq(self, handler, trigger, hard):
        if not hard:
            raise ValueError("this board has hard pin interrupts only")
        irq = _PinIrq(self, handler, trigger)
        it.board.watch(self.number, irq.edge)
        return irq


class UART:
    """A line on which everything sent comes back: transmitter and receiver share the wire.

    It takes no time: what would be waited for is there, or is not going to come.
    """

    def __init__(self, number, baudrate, tx, rx, timeout, timeout_char):
        if number != (tx.number + 4) // 8 % 2 or rx.number != tx.number + 1:
            raise ValueError("no UART has these pins")
        if timeout <= 0 or timeout_char <= 0:
            raise ValueError("a read of this line must give up by itself")
        self._tx = tx.number
        self._there = b""

    def any(self):
        return len(self._there)

    def write(self, data):
        self._there += it.board.uart(self._tx, bytes(data))
        return len(data)

    def read(self, most):
        got, self._there = self._there[:most], self._there[most:]
        return got or None


class Timer:
    PERIODIC = 1
    ONE_SHOT = 0

    def __init__(self, number, period=1, mode=PERIODIC, hard=False, callback=None):
        if number != -1 or not hard or mode != Timer.PERIODIC:
            raise ValueError("this board has hard periodic timers only")
        self.period = period * 1000
        self.begin = it.now
        self.callback = callback
        self.alive = True
        it.timer = self
        it.pioblock.tick_wanted = True

    def deinit(self):
        self.alive = False
        if it.timer is self:
            it.timer = None

    @micropython.native
    def next_after(self, now):
        """Return the next instant of this timer's grid after ``now``."""
        return self.begin + ((now - self.begin) // self.period + 1) * self.period

    @micropython.native
    def fire(self):
        """Call the callback as the alarm does: an exception that leaves it ends the timer."""
        faults = it.board.faults
        if faults and "tick_dead" in faults:
            self.alive = False
            return
        try:
            if faults and "isr_exception" in faults:
                raise OSError("isr_exception")
            self.callback(self)
        except Exception as error:
            self.alive = False
            it.line.note("hard timer ended: %r" % error)


class WDT:
    def __init__(self, id=0, timeout=5000):
        if timeout > 8388:
            raise ValueError("timeout exceeds 8388")
        it.watchdog_us = timeout * 1000
        self.feed()

    def feed(self):
        it.watchdog_due = it.now + it.watchdog_us
