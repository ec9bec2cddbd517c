"""A pump without a board on CPython: the real therapy code over a motor that plays its segments.

``PlayedDose`` stands where dose_loop.DoseLoop stands. It counts as that does: a step is made when
its word is pulled, and a stop takes back the step of the word in play. Using it wrongly raises.
"""

import io
import json
from pathlib import Path

from unit.firmware import flow

from doseloop import resources

alarm_table = resources.firmware_module("alarm_table")
alarms = resources.firmware_module("alarms")
borrow = resources.firmware_module("borrow")
button_module = resources.firmware_module("button")
commands = resources.firmware_module("commands")
config_module = resources.firmware_module("config")
controller_module = resources.firmware_module("controller")
errors = resources.firmware_module("errors")
events = resources.firmware_module("events")
library_module = resources.firmware_module("library")
link_module = resources.firmware_module("link")
motor_module = resources.firmware_module("motor")
order = resources.firmware_module("order")
quantity = resources.firmware_module("quantity")
recovery = resources.firmware_module("recovery")
sealed = resources.firmware_module("sealed")
slots = resources.firmware_module("slots")
tick = resources.firmware_module("tick")

_VECTORS = Path(__file__).parents[2] / "vectors"
CONFIG = next(
    case["sealed"]
    for case in json.loads((_VECTORS / "compile.json").read_text())
    if case["board"] == "pico_tmc2209" and case["syringe"] == "bd-plastipak-50"
)


def configuration(**motion):
    """Return the compiled configuration as a dict, with some of its motion keys replaced."""
    config = config_module.check(CONFIG)
    config["motion"].update(motion)
    return config


def compiled(steps, config, kvo=None, stop_ms=None, **more):
    """Return the order of some step dicts as the host sends it; ``more``: its other keys."""
    data = {"schema": 1, "name": "test", "steps": steps, "kvo_al_per_h": kvo, **more}
    if stop_ms is not None:
        data["on_link_loss"] = {"stop_ms": stop_ms}
    return order.unseal(sealed.seal("order", 1, json.dumps(data)), config)


class Clock:
    """Time in ticks, set by the test."""

    def __init__(self):
        self.now = 0

    def us(self):
        return self.now

    def ms(self):
        return self.now // 1000


class Pins:
    """Driver pins that only remember, and inputs that a test sets."""

    def __init__(self):
        self.on, self.way, self.stop, self.ends = False, 0, False, set()
        self.clamped = True

    def enable(self, on):
        self.on = bool(on)

    def direction(self, way):
        self.way = way

    def end_mask(self, way):
        return 1, 0

    def end_hit(self, way):
        return way in self.ends

    def ends_hit(self):
        return self.ends == {1, -1}

    def syringe_out(self):
        return not self.clamped

    def cause(self, bits):
        return {1: "A_END_SWITCH", 2: "A_SYRINGE_OUT", 4: "A_STALL"}[bits]

    def stop_open(self):
        return self.stop


class Button:
    """The bolus button as hal.button_pin has it; ``set`` by the test."""

    def __init__(self, clock, down=False):
        self._clock, self._read = clock, down
        self._button = button_module.Button(self._now(), down)
        self.forget = self._button.forget

    def _now(self):
        return self._clock.now % 2**30

    def set(self, down):
        if down != self._read:
            self._read = down
            self._button.edge(self._now(), down)

    def look(self):
        return self._button.look(self._now(), self._read)

    def wait_ms(self):
        return self._button.wait_ms(self._now())

    @property
    def down(self):
        return self._button.down

    @property
    def stuck(self):
        return self._button.stuck


class PlayedDose:
    """Plays segments in model time; ``edges``: (tick, way) of every step ever made."""

    def __init__(self, clock, pins):
        self._clock, self._pins = clock, pins
        self.active = False
        self.made = self.seen = 0
        self.edges = []
        self._ends = self._plan = ()
        self.flags, self.bits = 0, 1
        self.number = self._kind = self._before = 0
        self._broken = False

    def forget_break(self):
        self._broken = False

    def send_break(self):
        """The host sends a break: below the pull-in rate the motor stands at once."""
        self._broken = True
        if self.active and not self._stop_ramp:
            self._count()
            self._plan = self._plan[: self.seen]
            self.made = self.seen

    def begin(self, segments, steps, max_hz, stop_ramp, ends, bias, kind, lease):
        assert not self.active, "a motion runs already"
        assert self._pins.on and self._pins.way
        self.number = self.number + 1 & 0x3FFF
        self._kind, self._before = kind, self.seen
        self._start = self._clock.now
        self._plan = [self._start + at for at in flow.expand(segments)]
        gaps = flow.intervals([self._start, *self._plan])
        assert all(gap >= tick.WORD_MIN for gap in gaps), "a word too short to play"
        self._gaps = gaps
        self._stop_ramp = list(stop_ramp)
        self._steps = steps
        self.active, self.made, self.seen, self.flags = True, 0, 0, 0
        return self._start

    def _word(self, i):
        """Return when the word that ends with step i begins."""
        gap = self._gaps[i] + (tick.EDGE_LEAD if i == 0 else 0)
        last = gap % tick.WAIT_TICKS or tick.WAIT_TICKS
        if last < tick.WORD_MIN and gap > tick.WAIT_TICKS:
            last += tick.WAIT_TICKS // 2
        return self._plan[i] + tick.EDGE_LEAD - min(last, gap)

    def _count(self):
        now = self._clock.now
        while self.made < len(self._plan) and self._word(self.made) <= now:
            self.made += 1
        while self.seen < len(self._plan) and self._plan[self.seen] <= now:
            self.seen += 1

    def service(self):
        assert self.active
        self._count()
        return self.flags | (tick.F_BREAK if self._broken else 0)

    def tick_dead(self):
        return False

    def stalled(self):
        return False

    def queued_us(self):
        return 600_000

    def met(self):
        return self.bits

    def flying(self):
        return int(self.active and self.made > self.seen)

    def drained(self):
        return self.made == len(self._plan)

    def finished(self):
        done = self._plan[-1] + tick.EDGE_LEAD if self._plan else self._start
        return self.drained() and self._clock.now >= done

    def request_stop(self):
        """Cut the plan behind what is pulled (a block, on the board) and add the ramp."""
        assert self._stop_ramp, "no ramp to run down"
        self._count()
        kept = self._plan[: self.made + 1]
        ramp = [piece for piece in self._stop_ramp if piece[2] >= self._gaps[len(kept) - 1]]
        while ramp and sum(piece[0] for piece in ramp) > self._steps - len(kept):
            ramp.pop(0)  # as tick.rewind(): never past the ordered steps
        self._plan = kept + (flow.expand(ramp, kept[-1]) if ramp else [])
        self._gaps = flow.intervals([self._start, *self._plan])

    def kept(self):
        """Return what hal.witness.kept() says after a reset in this moment, which ends it all."""
        if self.active:
            self.end()
        return self.number << 2 | self._kind, self.seen, self._before

    def next_change(self):
        """Return when something happens next that main is woken for: the end."""
        return self._plan[-1] + tick.EDGE_LEAD if self._plan else self._start

    def end(self):
        assert self.active
        self._count()
        self.made = self.seen
        self.edges += [(at, self._pins.way) for at in self._plan[: self.seen]]
        self.active = False
        return self._clock.now


class Watchdog:
    def arm(self):
        pass

    def feed(self):
        pass


class Storage:
    """hal.storage: whole files that are there or not. ``failing``: the flash takes nothing."""

    def __init__(self):
        self.files = {}
        self.failing = False

    def read(self, name):
        return self.files.get(name)

    def write(self, name, text):
        if self.failing:
            raise OSError(28)
        self.files[name] = text

    def remove(self, name):
        self.files.pop(name, None)

    def open_(self, name, mode):
        if name not in self.files:
            raise OSError(2)
        if mode == "rb":
            return io.BytesIO(self.files[name].encode())
        assert mode == "a"
        return _Appended(self, name)


class _Appended:
    def __init__(self, storage, name):
        self._storage, self._name = storage, name

    def write(self, text):
        self._storage.write(self._name, self._storage.files[self._name] + text)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass


class Serial:
    """A port: bytes that a test sends and receives. ``room`` bounds what a write takes."""

    def __init__(self):
        self.to_pump, self.from_pump, self.room = bytearray(), bytearray(), 10**9

    def read(self):
        end = 1
        while end < min(len(self.to_pump), 128) and self.to_pump[end - 1] not in b"\n\x03":
            end += 1
        data, self.to_pump = bytes(self.to_pump[:end]), self.to_pump[end:]
        return data

    def write(self, data, start):
        taken = data[start : start + self.room]
        self.room -= len(taken)
        self.from_pump += taken
        return len(taken)


class Bench:
    """The composition root of the tests: what app.App is on the board."""

    def __init__(self, config=None):
        self.clock = Clock()
        self.events = events.Events(self.clock, 1)
        self.alarms = alarms.Alarms(self.clock)
        self.storage = Storage()
        self.controller = controller_module.Controller(
            self.clock, self.events, self.alarms, Watchdog(), self.storage
        )
        self.serial = Serial()
        self.table = commands.Commands(self)
        self.link = link_module.Link(self.serial, self.clock, self, self.table)
        self.events.listener = self.link.event
        self.pins = Pins()
        self.dose = PlayedDose(self.clock, self.pins)
        self.motor = None
        self.left = False
        if config is not None:
            self.build(config)

    def reboot(self, power_lost=False, config=None):
        """Return the bench after a reset: the flash is as it was, all else begins anew.

        ``edges`` of the new dose has those of the old one; time starts at 0.
        """
        kept = self.dose.kept()
        new = Bench()
        new.events.boot = self.events.boot + 1
        new.storage.files = self.storage.files
        library_module.boot(new.controller)
        config = config or self.controller.config
        journal = new.controller.journal
        record = journal.recall()
        found = None
        if record is not None:
            found = recovery.recover(journal, record, config, None if power_lost else kept)
        new.dose.edges = self.dose.edges
        new.build(config)
        if found is not None:
            recovery.show(new.controller, found)
        borrow.attended().remember(new)
        new.controller.service()
        return new

    def build(self, config):
        """Put a configuration in force."""
        self.motor = motor_module.Motor(config, self.pins, self.dose, self.events)
        self.controller.configure(config, self.motor)

    # -- what commands and link ask of app.App ------------------------------------------------

    def identity(self):
        return {"serial": "0", "state": self.controller.state, "last_event": self.events.last}

    def status(self):
        run = self.controller.run
        return {
            "state": self.controller.state,
            "run": run.as_dict(self.controller.pause_left_ms()) if run else None,
            "rate_al_per_h": self.controller.rate(),
            "position_steps": self.motor.position if self.motor else 0,
            "remaining_steps": self.motor.remaining_steps() if self.motor else 0,
            "alarms": self.alarms.as_list(),
        }

    def configure(self, text):
        self.build(config_module.check(text))
        return {"config_crc": sealed.crc_of(text)}

    def config_text(self):
        raise errors.Refused("E_CONFIG", "the pump has no configuration")

    def may_break_in(self):
        return self.controller.state == "idle"

    def maintenance(self):
        self.left = True
        return {}

    # -- time ---------------------------------------------------------------------------------

    def run_to(self, at):
        """Let the main loop run until tick ``at``, waking as the board would."""
        while self.clock.now < at:
            wake = self.clock.now + max(1, self.controller.wait_ms() * 1000)
            if self.dose.active:
                wake = min(wake, max(self.clock.now + 1, self.dose.next_change()))
            self.clock.now = min(at, wake)
            self.controller.service()

    def run_out(self, most_s=10**6):
        """Let the main loop run until nothing moves and nothing is due."""
        end = self.clock.now + most_s * 10**6
        while self.clock.now < end and (self.dose.active or self.controller.pause_left_ms()):
            self.run_to(self.clock.now + 100_000)
            if not self.dose.active and not self.controller.pause_left_ms():
                break

    def names(self):
        """Return the names of the events kept."""
        return [event["e"] for event in self.events.since(0, 10**6)]
