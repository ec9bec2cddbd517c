"""Builds the pump: at boot, and when another configuration is put in force. Borrowed (borrow.py).

``app`` is root.App; like it, this may see hal.
"""

import gc
import sys

from pump import borrow, sealed
from pump.errors import Refused
from pump.hal import chip, storage
from pump.slots import Slots
from pump.version import FIRMWARE, PROTOCOL


def next_boot():
    """Count a boot; return which one this is."""
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


def begin(app):
    """Build what the stored configuration says; show what a reset cut short."""
    try:
        config = _stored(app)
    except Refused as error:
        config = None
        app.events.add("fault", code=error.code, text=error.message)
    if config is not None:
        _build(app, config)
    borrow.take("library").boot(app.controller)
    recovery = borrow.recovery()
    found = _recall(app, config, recovery)
    if found is not None:
        recovery.show(app.controller, found)


def _stored(app):
    """Return the configuration on flash, None when there is none; Refused when damaged."""
    try:
        text = app.settings.read()
    except sealed.SealError as error:
        raise Refused("E_CONFIG", "what is stored is damaged: " + error.message)
    if text is None:
        return None
    config = borrow.config().check(text)
    app.sealed_config = text
    return config


def _recall(app, config, recovery):
    """Return the run that a reset cut short, or None."""
    from pump.hal import witness

    journal, found = app.controller.journal, None
    try:
        record = journal.recall()
        if record is not None:
            found = recovery.recover(journal, record, config, witness.kept())
    except Exception as error:  # damaged, or another release's: the pump must start
        app.alarms.raise_("A_STORE")
        text = "the record of a run is damaged: %r" % error
        app.events.add("fault", code="A_STORE", text=text)
    witness.forget()
    return found


def _build(app, config):
    """Make the motion parts for a configuration; its pins are fixed until the next reset."""
    from pump.motor import Motor

    hardware = app.hardware
    if hardware is None:
        hardware = app.hardware = _wire(app, config["board"])
        gc.collect()
    _, pins, dose = hardware
    app.controller.configure(config, Motor(config, pins, dose, app.events))
    if "force" in config:
        from pump.hal.force_adc import ForceAdc
        from pump.occlusion import Sensing

        sensor = ForceAdc(config["board"]["pins"]["force"])
        app.controller.sensing = Sensing(app.clock, app.events, app.alarms, sensor, config)
    app.who["board"] = config["board"]["name"]


def _wire(app, board):
    """Open the pins of a board section; return it, the pins and the dose loop.

    Imported are the modules of what the board has.
    """
    from pump import hal
    from pump.dose_loop import DoseLoop, TickWake
    from pump.hal import registers, watched
    from pump.hal.pins import Pins
    from pump.hal.step_generator import StepGenerator
    from pump.hal.tick_timer import TickTimer
    from pump.hal.witness import Witness

    pins = Pins(board)
    generator = StepGenerator(pins.step, pins.stop)
    witness = Witness(pins.witness)

    def timer_of(state, ends, segs):
        usb = registers.window(registers.USB_SETUP, 2)
        return TickTimer(state, generator, ends, segs, pins.inputs, witness, usb)

    dose = DoseLoop(generator, witness, app.clock, timer_of)
    button = app.controller.button = pins.button
    app.wake = TickWake(dose.state, button.news) if button else TickWake(dose.state)
    app.serial.wake_on(app.wake)
    app.controller.guard = watched.guard(board, app.clock)
    # As borrow.py does, which may not see hal.
    del sys.modules["pump.hal.watched"], hal.watched  # pyright: ignore[reportAttributeAccessIssue]
    used = board["pins"]
    if used.get("buzzer") is not None:
        from pump.hal.annunciator import Annunciator
        from pump.signals import Signals

        app.alarms.voice = Signals(Annunciator(used["buzzer"], used["lamp_red"]))
    return (board, pins, dose)


def configure(app, text):
    """Check, store and put in force a sealed configuration."""
    config = borrow.config().check(text)
    try:
        app.settings.write(text)
    except OSError as error:
        raise Refused("E_STORE", "configuration not stored: %s" % error)
    crc = config["crc"]
    if app.hardware is not None and app.hardware[0] != config["board"]:
        # Its pins can not change under way: stored for the next boot; till then no start.
        app.controller.reset_due = True
        app.events.add("config", crc=crc, reset=True)
        return {"config_crc": crc, "reset": True}
    app.sealed_config = text
    _build(app, config)
    app.events.add("config", crc=crc)
    return {"config_crc": crc, "reset": False}


def identity(app, heap_free):
    """Return what hello answers."""
    config = app.controller.config
    return {
        "serial": app.who["serial"],
        "firmware": FIRMWARE,
        "protocol": PROTOCOL,
        "board": app.who["board"],
        "syringe": config["syringe"]["model"] if config else None,
        "tier": app.who["tier"],
        "micropython": chip.micropython_version(),
        "boot": app.events.boot,
        "cause": app.cause,
        "tick_hz": 1_000_000,
        "config_crc": config["crc"] if config else None,
        # flash puts it beside the firmware, so that one rename switches both.
        "hash": (storage.read(sys.path[0] + "/firmware.hash") or "").strip() or None,
        "state": app.controller.state,
        "open": True,
        "last_event": app.events.last,
        "device_ms": app.clock.ms(),
        "heap_free": heap_free,
    }
