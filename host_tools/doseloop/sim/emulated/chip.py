"""One emulated RP2040 with its flash and USB serial line: the only user of rp2040py.

Time is the chip's own, in nanoseconds since power-on, and moves only inside `run`. Everything
happens in the caller's thread.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rp2040py.boards import BoardSpec
from rp2040py.device import BaseDevice
from rp2040py.execute_batch import execute_batch
from rp2040py.gpio_pin import GPIOPin
from rp2040py.memory_map import FLASH_START_ADDRESS

from doseloop.sim.emulated import device_time

# The stock RPI_PICO image keeps the last 1408 KiB of its 2 MiB for the file system.
FS_START = 0xA0000
FS_SIZE = 1408 * 1024
# Flash that the emulator has and a Pico has not: a way in for files, faster than the serial line.
WINDOW = 0x800000
XIP = FLASH_START_ADDRESS
RAM = 0x20000000

_CYCLE_NS = 8  # 125 MHz
_FP_PER_NS = 32  # the emulator counts PIO time in 1/256 cycles
_EP2_IN = 0x90  # buffer control of the serial line, from the start of the USB memory
_AVAILABLE = 1 << 10
_SEND_BREAK = bytes((0x21, 0x23, 0xFF, 0xFF, 0, 0, 0, 0))  # USB CDC 1.2, 6.3.6; interface 0
_JMP_X_DEC = 2  # conditions of PIO's jmp
_JMP_PIN = 6
_NOP = 0xA042  # mov y, y
# How long a state machine that just came to have work may go unnoticed.
_LOOK_FP = 20_000 * _FP_PER_NS


class Chip:
    """A board of the image at `image`, powered on but not yet running.

    `on_serial` gets what the firmware sends. `file_system` is what its flash holds, blank if None.
    """

    def __init__(
        self,
        image: Path,
        on_serial: Callable[[bytes], None],
        file_system: bytes | None = None,
    ) -> None:
        self._device = BaseDevice(board=BoardSpec(image=image))
        self._mcu = self._device.mcu
        self._clock = self._device.simulator.clock
        if file_system is not None:
            self.poke(FS_START, file_system)
        self.connected = False  # to USB, since the last reset
        self.resets = 0
        self._device.cdc.on_serial_data = lambda data: on_serial(bytes(data))
        self._device.cdc.on_device_connected = self._enumerated
        self._clear_line = self._mcu.usb_ctrl.on_reset
        self._mcu.usb_ctrl.on_reset = self._reset
        take_out = self._mcu.usb_ctrl.on_endpoint_read
        assert take_out is not None, "the device's serial line has put it there"
        self._take_out = take_out
        self._mcu.usb_ctrl.on_endpoint_read = self._out_armed
        self._armed: tuple[int, int] | None = None  # endpoint that waits for bytes, how many
        self._to_chip = bytearray()
        self._limit = self._clock.create_alarm(self._end_batch)
        self._pace = self._clock.create_alarm(self._run_pio)
        self._pace.schedule(0.0)
        self._unfetched: list[int] = []  # packets in the endpoint of a deaf computer
        # machine: passes skipped, their length, when the last one begins; all until it has begun
        self._skipped: dict[Any, tuple[int, int, int]] = {}
        self._mcu.core.pc = FLASH_START_ADDRESS

    @property
    def ns(self) -> int:
        """Get the time since power-on in ns; it goes on over resets."""
        return int(self._clock.nanos)

    def run(self, duration_ns: int) -> None:
        """Let at most `duration_ns` pass; returns earlier after some ms of real time."""
        self._feed()
        begun_ns = self.ns
        # Whole cycles: else the emulator's loop loses the rest of one at each jump.
        self._limit.schedule(float(-(-duration_ns // _CYCLE_NS) * _CYCLE_NS))
        self._device.simulator.stopped = False
        execute_batch(self._device.simulator, 1)
        self._limit.cancel()
        device_time.count(self.ns - begun_ns)

    def send(self, data: bytes) -> None:
        """Queue bytes for the firmware; see `room`."""
        self._to_chip += data

    def send_break(self) -> None:
        """Let the computer send a break on the serial line: a USB request to its interface."""
        self._mcu.usb_ctrl.send_setup_packet(_SEND_BREAK)

    @property
    def room(self) -> bool:
        """Whether all that was sent has gone into the emulated USB line."""
        return not self._to_chip

    @property
    def delivered(self) -> bool:
        """Whether the firmware's USB has taken all that was sent."""
        return self.room and self._device.cdc.tx_fifo.empty

    def pin(self, number: int) -> GPIOPin:
        """Return a GPIO, to listen to; `drive` sets it."""
        return self._mcu.gpio[number]

    def drive(self, number: int, high: bool) -> None:
        """Set the level at a GPIO from outside."""
        self._unskip()
        self._mcu.gpio[number].set_input_value(high)

    def analog(self, channel: int, value: int) -> None:
        """Set what an ADC channel (0 ... 3 are GPIO 26 ... 29) converts: 0 ... 4095."""
        self._mcu.adc.channel_values[channel] = value

    def one_wire(self, uart: int, answer: Callable[[bytes], bytes]) -> None:
        """Wire a TMC2209 to a UART: what is sent comes back, then what `answer` says to it."""
        line = self._mcu.uart[uart]
        sent = bytearray()

        def byte(value: int) -> None:
            line.feed_byte(value)
            sent.append(value)
            # A read request has four bytes, a write eight (TMC2209 datasheet, 4.1).
            if len(sent) == (8 if sent[2:3] and sent[2] & 0x80 else 4):
                for reply in answer(bytes(sent)):
                    line.feed_byte(reply)
                sent.clear()

        def interrupts() -> None:
            # The emulator says "room to send" for ever, cleared or not; a PL011 says it once.
            status = line._interrupt_status & line._interrupt_mask  # pyright: ignore[reportPrivateUsage]
            self._mcu.set_interrupt(line.irq, bool(status))

        line.on_byte = byte
        line.check_interrupts = interrupts

    def deafen(self, deaf: bool) -> None:
        """Let the computer leave lying what the board sends, or fetch it again."""
        usb = self._mcu.usb_ctrl
        if deaf:
            fetch = usb.dpram_updated

            def leave(offset: int, value: int) -> None:
                if offset == _EP2_IN and value & _AVAILABLE:
                    self._unfetched.append(value)
                else:
                    fetch(offset, value)

            usb.dpram_updated = leave
            return
        del usb.dpram_updated
        unfetched, self._unfetched = self._unfetched, []
        for value in unfetched:
            usb.dpram_updated(_EP2_IN, value)

    def hasten_watchdog(self, left_ms: int) -> float:
        """Leave the running watchdog `left_ms`; return how many ms it had left. It counts on."""
        timer = self._mcu.watchdog.timer
        had: float = timer.counter / 2000  # two counts a microsecond: RP2040-E1
        timer.set(left_ms * 2000)
        return had

    def preset_clock(self, us: int) -> None:
        """Put the microsecond counter to `us`, as if the board had been on for so long."""
        self._mcu.timer._epoch_nanos = self._clock.nanos - us * 1000.0  # pyright: ignore[reportPrivateUsage]

    def poke(self, offset: int, data: bytes) -> None:
        """Write flash behind the firmware's back."""
        self._mcu.flash[offset : offset + len(data)] = data

    def ram(self) -> bytes:
        """Return the chip's memory, as it is from RAM on: for who only looks."""
        return bytes(self._mcu.sram)

    def file_system(self) -> bytes:
        """Return the part of the flash that holds the file system."""
        return bytes(self._mcu.flash[FS_START : FS_START + FS_SIZE])

    def _enumerated(self) -> None:
        self.connected = True

    def _reset(self) -> None:
        # The chip has reset itself: it is off the USB bus till it has booted, its PIO is blank.
        if self._clear_line is not None:
            self._clear_line()
        self.connected = False
        self.resets += 1
        self._to_chip.clear()
        self._armed = None
        self._unfetched.clear()
        self._skipped.clear()

    def _end_batch(self) -> None:
        self._device.simulator.stopped = True

    def _feed(self) -> None:
        fifo = self._device.cdc.tx_fifo
        room = fifo.size - fifo.item_count
        for byte in self._to_chip[:room]:
            self._device.cdc.send_serial_byte(byte)
        del self._to_chip[:room]
        if self._armed is not None and not fifo.empty:
            armed, self._armed = self._armed, None
            self._take_out(*armed)

    def _out_armed(self, endpoint: int, size: int) -> None:
        # The emulator's computer has an empty packet for whoever waits and nothing to send, at
        # once and again: an interrupt every 0.1 ms, and a CPU that never sleeps. A real one waits.
        if endpoint != 0 and self._device.cdc.tx_fifo.empty:
            self._armed = endpoint, size
        else:
            self._take_out(endpoint, size)

    # -- programmable I/O -----------------------------------------------------------------------
    # The emulator itself gives a state machine at most one instruction for each instruction of
    # the CPU, writes off what it could not give, and gives next to none while the CPU sleeps.
    # Here an alarm of ours runs each instruction at its own time: exact to the cycle, and faster.

    def _run_pio(self) -> None:
        now_fp = int(self._clock.nanos) * _FP_PER_NS
        pios = self._mcu.pio
        for pio in pios:
            if not pio.stopped:  # the firmware has just started a machine: take it over
                late_fp = now_fp - pio.cycle_fp
                for machine in pio.machines:
                    machine.next_due_fp += late_fp
                pio.stopped = True  # for the emulator's own loop only
            pio.cycle_fp = now_fp
        due_fp = now_fp
        while due_fp <= now_fp:
            due_fp = now_fp + _LOOK_FP
            for pio in pios:  # generator before witness: an edge is counted when it is made
                pio.advance(0)
                for machine in pio.machines:
                    if machine.enabled and not machine.waiting:
                        self._skip(pio, machine)
                        due_fp = min(due_fp, machine.next_due_fp)
        self._pace.schedule(float((due_fp - now_fp) // _FP_PER_NS))

    def _skip(self, pio: Any, machine: Any) -> None:
        """Leave out the passes of a delay loop: all but the last, where anything may follow."""
        if machine in self._skipped:
            if machine.next_due_fp == self._skipped[machine][2]:
                return
            del self._skipped[machine]
        if machine.x < 2 or machine.exec_valid:
            return
        length_fp = self._delay_loop(pio, machine)
        if length_fp:
            passes = machine.x - 1
            machine.x = 1
            machine.next_due_fp += passes * length_fp
            self._skipped[machine] = (passes, length_fp, machine.next_due_fp)

    def _delay_loop(self, pio: Any, machine: Any) -> int:
        # How long a pass takes when the machine stands before a loop that only waits, else 0.
        length = 0
        for at in range(machine.pc, min(machine.pc + 4, len(pio.instructions))):
            word = pio.instructions[at]
            length += 1 + (word >> 8 & 31)
            condition = word >> 5 & 7
            if word & 0xE0FF == _NOP:
                continue
            if word >> 13 == 0 and condition == _JMP_PIN:
                if self.pin(machine.exec_ctrl >> 24 & 31).input_value:
                    return 0
                continue
            if word >> 13 == 0 and condition == _JMP_X_DEC and word & 31 == machine.pc:
                return length * int(machine.div_fp)
            return 0
        return 0

    def _unskip(self) -> None:
        # Something is about to happen that a waiting machine may look at.
        now_fp = int(self._clock.nanos) * _FP_PER_NS
        for machine, (passes, length_fp, due_fp) in self._skipped.items():
            if machine.next_due_fp != due_fp:  # it has gone on from there, or was set anew
                continue
            back = min(passes, max(0, (machine.next_due_fp - now_fp) // length_fp))
            machine.x += back
            machine.next_due_fp -= back * length_fp
        self._skipped.clear()
        for pio in self._mcu.pio:  # it keeps the earliest of its machines' times
            pio.recompute_due()
        self._pace.schedule(0.0)
