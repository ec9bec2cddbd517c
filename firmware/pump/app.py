"""The composition root: builds the parts, passes them to each other, runs the main loop.

Not medical equipment: laboratory and research use.
"""

import gc
import io
import sys

from pump import borrow, sealed, states
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
        self.events = Events(self.clock, _next_boot())
        self.alarms = Alarms(self.clock)
        self.controller = Controller(
            self.clock, self.events, self.alarms, chip.Watchdog(), storage
        )
        self.serial = Serial()
        self.link = Link(self.serial, self.clock, self, Commands(self))
        self.events.listener = self.link.event
        self._settings = Slots(storage, "config")
        self._config_text = None  # sealed, the one in force
        self._wake = None
        self._hardware = None
        self._leave = False
        self._who = {  # made once: telemetry has it 50 times a second
            "serial": chip.serial_number(),
            "firmware": FIRMWARE,
            "protocol": PROTOCOL,
            "board": None,
            "tier": chip.tier(),
        }
        self.events.add("boot", cause=self.cause, firmware=FIRMWARE)
        try:
            config = self._stored()
        except Refused as error:
            config = None
            self.events.add("fault", code=error.code, text=error.message)
        if config is not None:
            self._build(config)  # first: the queue needs 16 kB in one piece
        borrow.take("library").boot(self.controller)
        found = self._recall(config)
        if found is not None:
            self.controller.interrupted(found)
        borrow.attended().remember(self)
        self._free_heap()

    def _stored(self):
        """Return the configuration on flash, None when there is none; Refused when damaged."""
        try:
            text = self._settings.read()
        except sealed.SealError as error:
            raise Refused("E_CONFIG", "what is stored is damaged: " + error.message)
        if text is None:
            return None
        config = borrow.config().check(text)
        self._config_text = text
        return config

    def _recall(self, config):
        """Return the run that a reset cut short, or None."""
        from pump.hal import witness

        journal, found = self.controller.journal, None
        try:
            record = journal.recall()
            if record is not None:
                found = borrow.recovery().recover(journal, record, config, witness.kept())
        except Exception as error:  # damaged, or another release's: the pump must start
            self.alarms.raise_("A_STORE")
            text = "the record of a run is damaged: %r" % error
            self.events.add("fault", code="A_STORE", text=text)
        witness.forget()
        return found

    # -- parts --------------------------------------------------------------------------------

    def _build(self, config):
        """Make the motion parts for a configuration; its pins are fixed until the next reset."""
        from pump import hal
        from pump.dose_loop import DoseLoop, TickWake
        from pump.hal import registers, watched
        from pump.hal.pins import Pins
        from pump.hal.step_generator import StepGenerator
        from pump.hal.tick_timer import TickTimer
        from pump.hal.witness import Witness
        from pump.motor import Motor

        if self._hardware is None:
            pins = Pins(config["board"])
            generator = StepGenerator(pins.step, pins.stop)
            witness = Witness(pins.witness)

            def timer_of(state, ends, segs):
                usb = registers.window(registers.USB_SETUP, 2)
                return TickTimer(state, generator, ends, segs, pins.inputs, witness, usb)

            dose = DoseLoop(generator, witness, self.clock, timer_of)
            button = pins.button
            self.controller.button = button  # pyright: ignore[reportAttributeAccessIssue]
            self._wake = TickWake(dose.state, button.news) if button else TickWake(dose.state)
            self.serial.wake_on(self._wake)
            guard = watched.guard(config["board"], self.clock)
            self.controller.guard = guard  # pyright: ignore[reportAttributeAccessIssue]
            # As borrow.py does, which may not see hal.
            del sys.modules["pump.hal.watched"], hal.watched  # pyright: ignore[reportAttributeAccessIssue]
            used = config["board"]["pins"]
            if used.get("buzzer") is not None:
                from pump.hal.annunciator import Annunciator
                from pump.signals import Signals

                annunciator = Annunciator(used["buzzer"], used["lamp_red"])
                self.alarms.voice = Signals(annunciator)  # pyright: ignore[reportAttributeAccessIssue]
            self._hardware = (config["board"], pins, dose)
            gc.collect()
        _, pins, dose = self._hardware
        self.controller.configure(config, Motor(config, pins, dose, self.events))
        if "force" in config:
            from pump.hal.force_adc import ForceAdc
            from pump.occlusion import Sensing

            sensor = ForceAdc(config["board"]["pins"]["force"])
            self.controller.sensing = Sensing(  # pyright: ignore[reportAttributeAccessIssue]
                self.clock, self.events, self.alarms, sensor, config
            )
        self._who["board"] = config["board"]["name"]

    # -- what commands ask --------------------------------------------------------------------

    def configure(self, text):
        """Check, store and put in force a sealed configuration."""
        if self.controller.state not in (states.IDLE, states.READY):
            raise Refused("E_STATE", "not while %s" % self.controller.state)
        config = borrow.config().check(text)
        try:
            self._settings.write(text)
        except OSError as error:
            raise Refused("E_STORE", "configuration not stored: %s" % error)
        crc = config["crc"]
        if self._hardware is not None and self._hardware[0] != config["board"]:
            # Its pins can not change under way: stored for the next boot; till then no start.
            self.controller.reset_due = True
            self.events.add("config", crc=crc, reset=True)
            return {"config_crc": crc, "reset": True}
        self._config_text = text
        self._build(config)
        self.events.add("config", crc=crc)
        return {"config_crc": crc, "reset": False}

    def config_text(self):
        """Return the sealed configuration in force."""
        if self._config_text is None:
            raise Refused("E_CONFIG", "the pump has no configuration")
        return self._config_text

    def identity(self):
        """Return what hello answers."""
        config = self.controller.config
        return {
            "serial": self._who["serial"],
            "firmware": FIRMWARE,
            "protocol": PROTOCOL,
            "board": self._who["board"],
            "syringe": config["syringe"]["model"] if config else None,
            "tier": self._who["tier"],
            "micropython": chip.micropython_version(),
            "boot": self.events.boot,
            "cause": self.cause,
            "tick_hz": 1_000_000,
            "config_crc": config["crc"] if config else None,
            # flash puts it beside the firmware, so that one rename switches both.
            "hash": (storage.read(sys.path[0] + "/firmware.hash") or "").strip() or None,
            "state": self.controller.state,
            "open": True,
            "last_event": self.events.last,
            "device_ms": self.clock.ms(),
            "heap_free": self._free_heap(),
        }

    def _free_heap(self):
        """Return what a collection leaves free. It takes 20 ms: not at motion, then the figure is
        the last one."""
        motor = self.controller.motor
        if motor is None or not motor.moving:
            gc.collect()
            self._heap_free = gc.mem_free()  # pyright: ignore[reportAttributeAccessIssue]
        return self._heap_free

    def status(self):
        """Return the status of contracts.md, without what only the host knows."""
        controller = self.controller
        config, motor, run = controller.config, controller.motor, controller.run
        # A frame has 1024 bytes: the three alarms that matter most, two beside a drug library;
        # and beside two of these neither name nor take-up, beside three no digest of the order and
        # no pressure.
        library = 1 if controller.library or run and run.order.library else 0
        alarms = self.alarms.as_list()[: 3 - library]
        view = run.as_dict(controller.pause_left_ms()) if run else None
        if view and len(alarms) + 2 * library > 1:
            del view["name"], view["takeup_steps"]
        if view and len(alarms) + 3 * library > 2:
            del view["order_crc"]
            if view["library"] and len(alarms) > 1:
                view["library"] = "+"  # the item is in the start event
        status = {
            "schema": 1,
            "pump": self._who,
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
        return self.controller.state in (states.IDLE, states.MAINTENANCE, states.FAULT)

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
        if self._wake is not None:
            self._wake.acknowledge()
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


def _next_boot():
    slots = Slots(storage, "boot")
    try:
        boot = int(slots.read() or "0") + 1
    except (sealed.SealError, ValueError):
        boot = 1
    try:
        slots.write(str(boot))
    except OSError:
        pass  # a full flash must not keep the pump from starting; the event numbers suffer
    return boot


def main():
    """Run the pump; return to the REPL only when a person asked for it."""
    app = App()
    try:
        app.loop()
    except BaseException:  # not an Exception: those end inside loop()
        app.off()
        raise
