"""What the pump stores, each thing as the firmware's own module stores it.

A scenario is made anew after every power-on. ``act(step)`` stores what comes after ``step - 1``;
``recall()`` returns which step is in force, as a boot finds it, and raises `Mixed` for what is
neither; a step of parts is in force up to a fraction. ``sure``: what the firmware has said to be
stored. What a step stores is made from its number alone, so a mixture can't look whole.
"""

import json
import os

from pump import library, sealed
from pump.errors import Refused
from pump.events import Events
from pump.hal import storage
from pump.journal import Journal
from pump.patient import Patient
from pump.pending import Pending
from pump.slots import Slots

ROOT_FILES = ("boot.py", "main.py")


class Mixed(Exception):
    """What was found after a cut is not what was stored at any time."""


class Clock:
    """A clock that a scenario sets."""

    def __init__(self):
        self.now = 0

    def ms(self):
        """Return the time in ms."""
        return self.now


def _number_in(text, made):
    """Return the step that ``made(step)`` made this text of; None made nothing."""
    if text is None:
        return 0
    step = int(text[: text.find(" ")])
    if made(step) != text:
        raise Mixed(text[:60])
    return step


class Scenario:
    """What all have."""

    sure = 0


class _Text(Scenario):
    """A text of some length in two slots."""

    def __init__(self, name, size):
        self._slots = Slots(storage, name)
        self._size = size

    def _made(self, step):
        return ("%d " % step) + chr(97 + step % 26) * (self._size + step % 7)

    def act(self, step):
        self._slots.write(self._made(step))

    def recall(self):
        return _number_in(self._slots.read(), self._made)


class Boot(Scenario):
    """The boot counter, assembly.next_boot: read, and counted up."""

    def __init__(self):
        self._slots = Slots(storage, "boot")

    def act(self, step):
        self._slots.write(str(step))

    def recall(self):
        return int(self._slots.read() or "0")


class Run(Scenario):
    """A run: its order is kept, then what it has delivered, twice, then its end. One that was cut
    short goes on."""

    def __init__(self):
        self._journal = Journal(Clock(), storage)

    def act(self, step):
        order, first = _Order(step), int(4 * (self.recall() - step + 1)) + 1
        if first == 1:
            self._journal.open(order)
        for part in range(first, 4):
            self._keep(order, step, part)
            self.sure = step - 1 + part / 4 if part < 3 else step

    def _keep(self, order, step, part):
        self._journal.keep([order.id, 0, 1 if part == 3 else 0, "%d %d" % (step, part)])

    def recall(self):
        # A run that has ended is none; its order stays.
        record = json.loads(self._journal._runs.read() or "null")
        found = self._journal.recall()
        if record is None:
            return 0
        step = int(record[0])
        if found is not None:
            data, text = self._journal.order_of(record[0])
            if data is not None or text != _Order(step).order.text:
                raise Mixed("the order of another run")
        part = int(record[3].split()[1])
        if record[3] != "%d %d" % (step, part) or (found is None) != (part == 3):
            raise Mixed(record)
        return step - 1 + part / 4 if part < 3 else step


class _Order:
    # What Journal.open() looks at.
    library = None

    def __init__(self, step):
        self.id = "%d" % step
        self.text = "order %d " % step + "x" * 900
        self.order = self


class Doses(Scenario):
    """A patient's demands (patient.py): each is stored before it is answered."""

    STEP = (10**12, 3600 * 10**12, 1000, [(3_600_000, 10**18)], True)

    def __init__(self):
        self._clock = Clock()
        self._patient = Patient(self._clock, Events(self._clock, 1), _NoAlarms(), storage)
        self._patient.prescribe(self, 0, 10**19, None)

    pca = STEP

    def act(self, step):
        self._patient.begin()
        self._clock.now += 3_600_000
        if self._patient.demand(10**15, True) is None:
            raise ValueError("denied", self._patient.view(True))

    def recall(self):
        view = self._patient.view(False)
        if view["given"] != view["demands"]:
            raise Mixed(view)
        return view["given"]


class _NoAlarms:
    def raise_(self, code):
        raise ValueError(code)

    def tell(self, code, events):
        raise ValueError(code)

    def end(self, code, events):
        pass


class Library(Scenario):
    """A drug library: it arrives in parts, is looked through, and put in force as one."""

    def __init__(self):
        self.pending = Pending(Clock())
        self._storage = storage
        self._events = Events(Clock(), 1)
        self.library = self.library_fault = None
        library.boot(self)

    may_plan = stop = lambda self: None

    def act(self, step):
        text, kept = LIBRARIES[step % len(LIBRARIES)], {library.KIND: 0}
        for at in range(0, len(text), library.PART):
            library.put(self, {"offset": at, "data": text[at : at + library.PART]}, kept)
        suffix = library._other(self)[1]
        new = library._read(self, suffix)[0]
        new["file"] = suffix
        new["version"] = step
        library.commit(self, new)

    def recall(self):
        if self.library_fault is not None:
            raise Mixed(self.library_fault)
        return self.library["version"] if self.library else 0


LIBRARIES = []  # sealed texts; run.py brings them


class Deploy(Scenario):
    """The last part of a deploy: the switch to a folder that has arrived whole."""

    def act(self, step):
        folder, active = "fw_%d" % step, (storage.read("/active") or "").strip()
        stale = [name for name in os.listdir("/") if name[:3] == "fw_" and "/" + name != active]
        stale = [name for name in stale if name != folder]
        _script(SCRIPTS["PREPARE"], {"{folders}": [folder], "{copies}": [], "{stale}": stale})
        for name in ("version", "a", "b"):
            with open("/%s/%s" % (folder, name), "w") as file:
                file.write("%d " % step + name * 700)
        for name in ROOT_FILES:
            with open("/%s.new" % name, "w") as file:
                file.write("%d" % step)
        _script(SCRIPTS["SWITCH"], {"{loader}": list(ROOT_FILES), "{folder}": folder})

    def recall(self):
        active = storage.read("/active")
        if active is None:
            return 0
        step = int(active.strip().split("_")[1])
        for name in ("version", "a", "b"):
            if storage.read("/fw_%d/%s" % (step, name)) != "%d " % step + name * 700:
                raise Mixed("firmware %d is not whole" % step)
        # The loader goes first: it starts the old firmware, too.
        for name in ROOT_FILES:
            if storage.read("/" + name) not in ("%d" % step, "%d" % (step + 1)):
                raise Mixed("no " + name)
        return step


SCRIPTS = {}  # of doseloop.flash.scripts; run.py brings them


def _script(text, names):
    for name, value in names.items():
        text = text.replace(name, repr(value))
    exec(text, {})


class CarelessRun(Run):
    """What a run must not do, to show that it would be seen: the order comes last."""

    def act(self, step):
        order = _Order(step)
        self._keep(order, step, 1)
        self._journal.open(order)
        self._keep(order, step, 3)


class CarelessDeploy(Deploy):
    """What a deploy must not do: the switch comes before the files."""

    def act(self, step):
        with open("/active", "w") as file:
            file.write("/fw_%d\n" % step)
        Deploy.act(self, step)


SCENARIOS = {
    "boot": Boot,
    "settings": lambda: _Text("config", 2600),
    "alarms": lambda: _Text("alarms", 40),
    "run": Run,
    "doses": Doses,
    "library": Library,
    "deploy": Deploy,
    "careless run": CarelessRun,
    "careless deploy": CarelessDeploy,
}
DAMAGE = (sealed.SealError, Refused, ValueError, OSError)  # read as damage, or not at all
