"""root.App with hal's parts replaced: what leaves the main loop, and what hello costs."""

import gc
import importlib
import sys
from types import SimpleNamespace

import pytest
from unit.firmware import bench as parts
from unit.firmware.bench import configuration

from doseloop import resources


class Board:
    """hal's modules as the composition root imports them, and what was asked of them."""

    def __init__(self):
        self.clock, self.port = parts.Clock(), parts.Serial()
        self.port.wait = lambda ms: None
        self.port.wake_on = lambda stream: None
        self.resets = self.collections = 0
        self.chip = SimpleNamespace(
            Watchdog=parts.Watchdog,
            reset=self.reset,
            reset_cause=lambda: "power",
            serial_number=lambda: "0",
            tier=lambda: "simulated",
            micropython_version=lambda: "1.28.0",
            stop_watchdog=lambda: None,
        )
        self.storage = SimpleNamespace(read=lambda name: None, write=lambda name, text: None)

    def reset(self):
        self.resets += 1

    def collect(self):
        self.collections += 1


@pytest.fixture
def board(monkeypatch):
    board = Board()
    resources.firmware_module("hal")
    package = sys.modules["pump.hal"]
    fakes = {
        "chip": board.chip,
        "storage": board.storage,
        "clock": SimpleNamespace(Clock=lambda: board.clock),
        "serial": SimpleNamespace(Serial=lambda: board.port),
        "witness": SimpleNamespace(kept=lambda: None, forget=lambda: None),
        "modules": SimpleNamespace(find_at_once=lambda: None),
        "registers": SimpleNamespace(QUEUE_BYTES=16384, reserve=lambda size: None),
    }
    for name, fake in fakes.items():
        monkeypatch.setitem(sys.modules, f"pump.hal.{name}", fake)
        monkeypatch.setattr(package, name, fake, raising=False)
    monkeypatch.setattr(gc, "collect", board.collect)
    monkeypatch.setattr(gc, "threshold", lambda size: None, raising=False)
    monkeypatch.setattr(gc, "mem_free", lambda: 100_000 + board.collections, raising=False)
    monkeypatch.setattr(
        sys, "print_exception", lambda error, out: out.write(repr(error)), raising=False
    )
    monkeypatch.delitem(sys.modules, "pump.root", raising=False)
    board.main = resources.firmware_module("app").main
    board.module = importlib.import_module("pump.root")
    yield board
    sys.modules.pop("pump.root", None)  # it holds the fakes


@pytest.fixture
def app(board, monkeypatch):
    """An App that infuses."""
    app = board.module.App()
    config = configuration()
    board.pins = parts.Pins()
    board.dose = parts.PlayedDose(board.clock, board.pins)
    motor = parts.motor_module.Motor(config, board.pins, board.dose, app.events)
    app.controller.configure(config, motor)
    monkeypatch.setattr(board.module, "App", lambda: app)
    words = "load 40 mL\ninfuse 1 mL 60 mL/h\nstart\n"
    board.port.to_pump += words.encode()
    for _ in range(3):
        app._pass()
    assert motor.moving and board.pins.on
    return app


@pytest.mark.parametrize("leaves", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_leaves_the_main_loop_ends_motion_first(app, board, leaves):
    passes = []

    def poll():
        passes.append(0)
        if len(passes) > 3:
            raise leaves
        return False

    app.link.poll = poll
    with pytest.raises(leaves):
        board.main()
    assert len(passes) == 4
    assert not board.dose.active and not board.pins.on
    assert app.controller.state == "alarm" and app.alarms.standing() == ["A_FAULT"]
    assert board.resets == 0


@pytest.mark.parametrize("leaves", [KeyboardInterrupt, ValueError])
def test_when_even_stopping_fails_the_chip_is_reset(app, board, leaves):
    def fail():
        raise OSError

    def poll():
        app._leave = True
        raise leaves

    app.link.poll = poll
    app.controller.fault = fail
    if leaves is KeyboardInterrupt:
        with pytest.raises(leaves):
            board.main()
    else:
        board.main()
    assert board.resets == 1


def test_an_exception_in_a_pass_ends_motion_and_the_loop_goes_on(app, board):
    left = [ValueError("once"), None, True]

    def poll():
        now = left.pop(0)
        if isinstance(now, Exception):
            raise now
        return bool(now)  # the last one: a break-in

    app.link.poll = poll
    board.main()
    assert left == [] and not board.dose.active and not board.pins.on
    fault = [event for event in app.events.since(0, 99) if event["e"] == "fault"]
    assert len(fault) == 1 and "once" in fault[0]["text"]


def test_hello_collects_garbage_at_standstill_only(app, board):
    at_boot = board.collections
    assert app.identity()["heap_free"] == 100_000 + at_boot  # what the last collection left
    assert board.collections == at_boot
    app.controller.stop()
    assert app.identity()["heap_free"] == 100_000 + at_boot + 1
    assert board.collections == at_boot + 1


@pytest.mark.parametrize("record", ["[", "{}", "7", '["1-1", "crc", 0]'])
def test_a_record_of_a_run_that_makes_no_sense_does_not_keep_the_pump_from_starting(board, record):
    # Whole by its CRC: another release's, say.
    files = {"run.a": parts.slots.pack("run", 1, 1, record)}
    board.storage.read = files.get
    app = board.module.App()
    assert app.controller.state == "idle"
    assert app.alarms.standing() == ["A_STORE"]
    assert "run" in app.events.since(0, 9)[-1]["text"]


@pytest.mark.parametrize("name", ["x" * 64, "é" * 64, "µ" * 10])
@pytest.mark.parametrize("count", range(8))
def test_a_status_fits_its_frame_whatever_stands(app, board, name, count):
    # After three days, with large figures: a host must be able to ask in an alarm above all.
    board.clock.now = 3 * 86_400_000_000
    app.who.update(serial="e6614864d3215b2c", board="pico_tmc2209", tier="simulated")
    app.controller.sensing = SimpleNamespace(now_pa=lambda controller: -137_895)
    run = app.controller.run
    run.order.name = name
    run.commanded = run.witnessed = run.booked_in = run.booked_out = run.takeup = 9_999_999
    run.ordered = run.kvo_steps = 19_999_999
    run._extra_al = 10**17
    item = run.item()
    item.kind, item.dose_al, item.volume_al, item.steps = "bolus", 10**17, 10**17, 345_678
    item.rate = 10**14  # 60 mL in 25 days
    run.order.crc = "89abcdef"
    for code in sorted(parts.alarm_table.TABLE, key=len, reverse=True)[:count]:
        app.alarms.raise_(code)
    wire = resources.firmware_module("wire")
    for library in (None, "x" * 24):
        if library is not None:  # of its own, whose name and whose items are as long as they get
            app.controller.library = {"name": "x" * 24, "version": 9999, "crc": "89abcdef"}
            bounds = resources.firmware_module("bounds")
            run.order.library = bounds.Bounds(
                ["x", 1, "89abcdef"], "%s/%s" % (library, library), ["x" * 16, "why"], {}
            )
        reply = {"id": "0123abcd-4294967295", "ok": app.status()}
        assert library is None or reply["ok"]["run"]["override"] == "x" * 16  # marked all the time
        assert len(wire.encode("r", 4_294_967_295, reply)) <= 1024
