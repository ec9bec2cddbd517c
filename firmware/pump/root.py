"""The composition root: what the pump is made of, and its main loop.

The parts are built, and passed to each other, by assembly.py. Not medical equipment: laboratory
and research use.
"""

import gc
import io
import sys

from pump import borrow, states
from pump.alarms import Alarms
from pump.commands import Commands
from pump.controller import Controller
from pump.errors import Refused
from pump.events import Events
from pump.hal import chip, storage
from pump.hal.clock import Clock
from pump.hal.serial import Serial
from pump.link import Link
from pump.slots import Slots
from pump.version import FIRMWARE, PROTOCOL


class App:
    """Everything the pump is made of."""

    def __init__(self):
        self.clock = Clock()
        self.cause = chip.reset_cause()
        self.events = Events(self.clock, borrow.assembly().next_boot())
        self.alarms = Alarms(self.clock)
        self.controller = Controller(
            self.clock, self.events, self.alarms, chip.Watchdog(), storage
        )
        self.serial = Serial()
        self.link = Link(self.serial, self.clock, self, Commands(self))
        self.events.listener = self.link.event
        self.settings = Slots(storage, "config")
        self.sealed_config = None  # the one in force
        self.wake = None  # assembly.py fills these two
        self.hardware = None
        self._leave = False
        self.who = {  # made once: telemetry has it 50 times a second
            "serial": chip.serial_number(),
            "firmware": FIRMWARE,
            "protocol": PROTOCOL,
            "board": None,
            "tier": chip.tier(),
        }
        self.events.add("boot", cause=self.cause, firmware=FIRMWARE)
        borrow.assembly().begin(self)
        borrow.attended().remember(self)
        self.free_heap()

    # -- what commands ask --------------------------------------------------------------------

    def free_heap(self):
        """Return what a collection leaves free. It takes 20 ms: not at motion, then the figure is
        the last one."""
        motor = self.controller.motor
        if motor is None or not motor.moving:
            gc.collect()
            self._heap_free = gc.mem_free()  # pyright: ignore[reportAttributeAccessIssue]
        return self._heap_free

    def configure(self, text):
        """Check, store and put in force a sealed configuration."""
        self.controller.may_plan()
        return borrow.assembly().configure(self, text)

    def config_text(self):
        """Return the sealed configuration in force."""
        if self.sealed_config is None:
            raise Refused("E_CONFIG", "the pump has no configuration")
        return self.sealed_config

    def identity(self):
        """Return what hello answers."""
        heap_free = self.free_heap()  # before something is borrowed for this answer
        return borrow.assembly().identity(self, heap_free)

    def status(self):
        """Return the status of contracts.md, without what only the host knows."""
        controller = self.controller
        config, motor, run = controller.config, controller.motor, controller.run
        # A frame has 1024 bytes: the three alarms that matter most, two beside a drug library;
        # beside two of these neither name nor take-up; beside three, the pressure one of them, no
        # digest of the order.
        library = 1 if controller.library or run and run.order.library else 0
        alarms = self.alarms.as_list()[: 3 - library]
        view = run.as_dict(controller.pause_left_ms()) if run else None
        if view and len(alarms) + 2 * library > 1:
            del view["name"], view["takeup_steps"]
        if view and len(alarms) + 3 * library + (controller.sensing is not None) > 2:
            del view["order_crc"]
            if view["library"] and len(alarms) > 1:
                view["library"] = "+"  # the item is in the start event
        status = {
            "schema": 1,
            "pump": self.who,
            "state": controller.state,
            "device_ms": self.clock.ms(),
            "last_event": self.events.last,
            "run": view,
            "rate_al_per_h": controller.rate(),
            "tick_hz": 1_000_000,
            "syringe": {
                "model": config["syringe"]["model"] if config else None,
                "al_per_step": motor.al if motor else 0,
                "position_steps": motor.position if motor else 0,
                "remaining_nl": motor.remaining_steps() * motor.al // 10**9 if motor else 0,
                "calibrated": False,
            },
            "library": controller.library,
            "alarms": alarms,
            "dropped": self.link.dropped,
        }
        if controller.sensing is not None and len(alarms) + library < 3:
            status["pressure_pa"] = controller.sensing.now_pa(controller)
        return status

    def may_break_in(self):
        """True when Ctrl-C may reach the REPL: idle, and this release has no lock yet."""
        return states.answers(self.controller.state, "maintenance")

    def maintenance(self):
        """Leave the main loop for the REPL after the reply is out."""
        if not self.may_break_in():
            raise Refused("E_STATE", "not while %s" % self.controller.state)
        self._leave = True
        return {"state": states.MAINTENANCE}

    # -- main loop ----------------------------------------------------------------------------

    def loop(self):
        """Run until a person breaks in. Motion is off when it returns."""
        while not self._leave:
            try:
                if self._pass():
                    break
            except Exception as error:  # whatever broke: stop, say so, stay reachable
                self._broken(error)
        link = self.link
        until = self.clock.ms() + 50  # let the reply go out, but not for a host that doesn't read
        while link.waiting() and self.clock.ms() < until:
            link.flush()
            self.serial.wait(1)
        if self.alarms.voice is not None:
            self.alarms.voice.show(None, False)  # who is at the REPL would hear it for ever
        chip.stop_watchdog()

    def _pass(self):
        controller, link = self.controller, self.link
        self.clock.us()  # in every pass: else it would miss a wrap of its counter in a silence
        if link.poll():
            return True
        if self.wake is not None:
            self.wake.acknowledge()
        controller.service()
        if controller.silent_since_matters():
            controller.link_lost(self.clock.ms() - link.heard_ms)
        link.flush()
        self.serial.wait(link.wait_ms(controller.wait_ms()))
        return False

    def off(self):
        """Something broke: motion off, whatever it takes."""
        try:
            self.controller.fault()
        except BaseException:
            chip.reset()  # even stopping failed: out of reset nothing moves and the driver is off

    def _broken(self, error):
        self.off()
        text = io.StringIO()
        sys.print_exception(error, text)
        self.events.add("fault", code="E_INTERNAL", text=text.getvalue()[-240:])  # pyright: ignore[reportAttributeAccessIssue]
