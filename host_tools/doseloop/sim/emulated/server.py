"""Serve the emulated board on a pseudo-terminal until told to stop.

Device time never runs faster than real time; while the CPU works it runs at a small part of it,
because an instruction takes longer to emulate than to execute.
"""

from __future__ import annotations

import os
import select
import signal
import time
from pathlib import Path
from types import FrameType

from doseloop.errors import DoseloopError
from doseloop.sim import registry
from doseloop.sim.emulated import BOARD
from doseloop.sim.emulated import image as images
from doseloop.sim.emulated.bench import Bench, Mechanism
from doseloop.sim.emulated.chip import Chip
from doseloop.sim.emulated.control import Control
from doseloop.sim.emulated.kept import Kept
from doseloop.sim.emulated.placing import place, untouched
from doseloop.sim.faults import Fault
from doseloop.sim.port import Port

_SLICE_NS = 5_000_000
_READY_NS = 30 * 10**9  # boot to ready takes 2 s; then something is wrong
_IDLE_S = 0.005
_SAVE_S = 0.25  # how much real time of flash writes a kill -9 may cost
_STARTED = b" boot cause="  # the first line of the pump, for people; out when its main loop runs
_PROMPT = b">>> "


class Server:
    """One emulated pump. Construct, `boot`, `serve`, `close`.

    `config` is a sealed configuration that replaces the one on the flash; `default` is written
    where there is none. With `blank` neither they nor the firmware are written: the flash is as
    `state` holds it, erased at first. Raises what image lookup and deploy raise.
    """

    def __init__(
        self,
        *,
        uf2: Path | None,
        config: str | None,
        default: str,
        state: Path | None,
        trace: Path | None,
        link: Path | None,
        linger_s: float | None = None,
        blank: bool = False,
        control: Path | None = None,
        faults: tuple[Fault, ...] = (),
        hold: bool = False,
    ) -> None:
        self._image = images.find(uf2)
        self._config, self._default = config, default
        self._kept = None if state is None else Kept(state)
        self._trace = trace
        self._linger_s = linger_s
        self._blank = blank
        self._stopping = False
        self._attached = False
        self._said = bytearray()  # before the pump was ready, for the error
        self._bench: Bench | None = None
        self._control = Control(control, faults, hold, self._cut_power)
        try:
            self.port = Port(link)
        except DoseloopError:
            self._control.close()
            raise
        self._registration = registry.Registration(
            registry.Entry(
                pid=os.getpid(),
                port=self.port.path,
                link=None if link is None else str(link.absolute()),
                control=None if control is None else str(control.absolute()),
                board=BOARD,
                syringe=None,
                speed="at most 1",
            )
        )

    def stop(self, signum: int = 0, frame: FrameType | None = None) -> None:
        """Ask `serve` to return. Fits as a signal handler."""
        self._stopping = True

    def boot(self) -> int | None:
        """Place firmware and configuration, power on, run until the pump answers.

        Return the device time that took in ms, None when told to stop meanwhile. Raises what a
        deploy raises, and DoseloopError when the firmware ends up at the prompt instead.
        """
        kept = self._kept
        held = kept.read() if kept else None
        if self._blank:
            placed = untouched(held, self._config, self._default)
        else:
            placed = place(self._image, held, self._config, self._default)
        if kept is not None:
            kept.begin(placed)
        chip = Chip(self._image, self._say, placed.file_system)
        mechanism = Mechanism.of(placed.config)
        bench = self._bench = Bench(chip, placed.board, self._trace, mechanism)
        while _STARTED not in self._said and not self._stopping:
            if self._blank and bench.chip.connected:
                break  # what is on the flash may never say a word; now it can be talked to
            if _PROMPT in self._said or bench.ns > _READY_NS:
                said = self._said.decode("utf-8", "replace").strip()
                raise DoseloopError(
                    f"the emulated board does not start the pump; it says: {said[-300:]}",
                    code="E_EMULATOR",
                )
            self._control.run(bench, _SLICE_NS)
        self._control.booted()
        return None if self._stopping else bench.ns // 10**6

    def serve(self) -> None:
        """Run until `stop`. The board has booted."""
        assert self._bench is not None
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        old = signal.set_wakeup_fd(wake_write)
        try:
            self._loop(self._bench, wake_read)
        finally:
            signal.set_wakeup_fd(old)
            os.close(wake_read)
            os.close(wake_write)

    def close(self) -> None:
        """Keep the flash, write the trace out, remove link, socket and registry entry."""
        if self._bench is not None:
            self._save(self._bench.chip)
            self._bench.close()
        self._control.close()
        self._registration.close()
        self.port.close()

    # -- running ------------------------------------------------------------------------------

    def _loop(self, bench: Bench, wake: int) -> None:
        now = saved = alone = time.monotonic()
        while not self._stopping:
            before, now = now, time.monotonic()
            # No more than has really passed, and nothing is caught up on later.
            allowed_ns = min(int((now - before) * 10**9), _SLICE_NS)
            start_ns = bench.ns
            if allowed_ns:
                self._control.run(bench, allowed_ns)
            commands = self._control.ready()
            self._exchange(bench.chip)  # what came before a command is in front of it
            if commands:
                self._control.serve(bench)
            if self._control.held or bench.ns - start_ns >= allowed_ns:  # it may rest
                self._rest(bench.chip, wake)
            if now - saved > _SAVE_S:
                saved = now
                self._save(bench.chip)
                bench.flush()
            if self._attached:
                alone = now
            elif self._linger_s is not None and now - alone > self._linger_s:
                self._stopping = True

    def _rest(self, chip: Chip, wake: int) -> None:
        poll = select.poll()
        poll.register(wake, select.POLLIN)
        for fd in self._control.filenos():
            poll.register(fd, select.POLLIN)
        if self._attached and chip.room:
            poll.register(self.port.fileno(), select.POLLIN)
        poll.poll(_IDLE_S * 1000)

    def _exchange(self, chip: Chip) -> None:
        attached = self.port.attached()
        if self._attached and not attached:
            self.port.forget_unread()
        self._attached = attached
        if chip.room:
            data = self.port.read()
            if data and chip.connected:  # off the bus, as in a reset: lost
                chip.send(data)
        self.port.flush()

    def _say(self, data: bytes) -> None:
        if len(self._said) < 4096:
            self._said += data
        self.port.write(data)

    def _cut_power(self) -> None:
        assert self._bench is not None
        flash = self._bench.chip.file_system()
        self._bench.rewire(Chip(self._image, self._say, flash))

    def _save(self, chip: Chip) -> None:
        # Between two batches the flash is what it would be after a power cut there.
        if self._kept is not None:
            self._kept.save(chip.file_system())
