"""One emulated RP2040 with its flash and USB serial line: the only user of rp2040py.

Time is the chip's own, in nanoseconds since power-on, and moves only inside `run`. Everything
happens in the caller's thread.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rp2040py.boards import BoardSpec
from rp2040py.device import BaseDevice
from rp2040py.execute_batch import execute_batch
from rp2040py.gpio_pin import GPIOPin
from rp2040py.memory_map import FLASH_START_ADDRESS

# The stock RPI_PICO image keeps the last 1408 KiB of its 2 MiB for the file system.
FS_START = 0xA0000
FS_SIZE = 1408 * 1024
# Flash that the emulator has and a Pico has not: a way in for files, faster than the serial line.
WINDOW = 0x800000
XIP = FLASH_START_ADDRESS

_CYCLE_NS = 8  # 125 MHz
_CYCLE_FP = 256  # the emulator counts PIO time in 1/256 cycles
# With the CPU asleep the emulator jumps to its next alarm, however far, and gives each state
# machine one instruction for the jump. An alarm of our own ends each jump where a machine is due.
_LOOK_NS = 20_000.0  # how long a sleep, or a machine started meanwhile, may go unnoticed


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
        self.connected = False
        self._device.cdc.on_serial_data = lambda data: on_serial(bytes(data))
        self._device.cdc.on_device_connected = self._enumerated
        self._to_chip = bytearray()
        self._limit = self._clock.create_alarm(self._end_batch)
        self._pace = self._clock.create_alarm(self._keep_pio_in_step)
        self._pace.schedule(_LOOK_NS)
        self._mcu.core.pc = FLASH_START_ADDRESS

    @property
    def ns(self) -> int:
        """Get the time since power-on in ns; it goes on over resets."""
        return int(self._clock.nanos)

    def run(self, duration_ns: int) -> None:
        """Let at most `duration_ns` pass; returns earlier after some ms of real time."""
        self._feed()
        self._limit.schedule(float(duration_ns))
        self._device.simulator.stopped = False
        execute_batch(self._device.simulator, 1)
        self._limit.cancel()

    def send(self, data: bytes) -> None:
        """Queue bytes for the firmware; see `room`."""
        self._to_chip += data

    @property
    def room(self) -> bool:
        """Whether all that was sent has gone into the emulated USB line."""
        return not self._to_chip

    def pin(self, number: int) -> GPIOPin:
        """Return a GPIO, to listen to and to drive."""
        return self._mcu.gpio[number]

    def poke(self, offset: int, data: bytes) -> None:
        """Write flash behind the firmware's back."""
        self._mcu.flash[offset : offset + len(data)] = data

    def file_system(self) -> bytes:
        """Return the part of the flash that holds the file system."""
        return bytes(self._mcu.flash[FS_START : FS_START + FS_SIZE])

    def _enumerated(self) -> None:
        self.connected = True

    def _end_batch(self) -> None:
        self._device.simulator.stopped = True

    def _feed(self) -> None:
        fifo = self._device.cdc.tx_fifo
        room = fifo.size - fifo.item_count
        for byte in self._to_chip[:room]:
            self._device.cdc.send_serial_byte(byte)
        del self._to_chip[:room]

    def _keep_pio_in_step(self) -> None:
        soonest_ns = _LOOK_NS
        if self._mcu.core.waiting:
            for pio in self._mcu.pio:
                due_ns = (pio.next_due_fp - pio.cycle_fp) * _CYCLE_NS / _CYCLE_FP
                soonest_ns = min(soonest_ns, due_ns)
        self._pace.schedule(max(soonest_ns, float(_CYCLE_NS)))
