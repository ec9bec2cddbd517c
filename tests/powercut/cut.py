"""Cut the power at every operation, on real MicroPython; __main__.py starts it.

micropython cut.py FIRMWARE DATA RESULT SCENARIO HISTORY EVERY|ID

HISTORY: how many steps a new flash has stored before, so that the file system stands elsewhere in
its own cycle. Each operation of the next step is cut in each way; after some the next boot stores
again, and each operation of that is cut. Only every EVERY-th first cut is made. An id is
operation.way, and /operation.way when the power failed again; it is made alone. RESULT, a file,
gets the figures.
"""

import json
import os
import sys

import vfs

HERE = __file__.rpartition("/")[0] or "."
# The root becomes the flash; what modules are read from then lies in a folder.
vfs.mount(vfs.VfsPosix("/"), "/computer")
sys.path[:] = ["/computer" + sys.argv[1], "/computer" + HERE]

from flash import PAGE, WAYS, Flash, Power  # noqa: E402
from scenarios import DAMAGE, LIBRARIES, SCENARIOS, SCRIPTS, Mixed  # noqa: E402

AGAIN = ("before", "half")  # ways of the second cut, and of the first that it follows


class Rig:
    """One scenario on one flash that has stored so many steps."""

    def __init__(self, name, history):
        self._new = SCENARIOS[name]
        self.flash = Flash()
        self.failed = []
        vfs.VfsLfs2.mkfs(Power(self.flash), progsize=PAGE)
        self.flash.power_on()
        os.mkdir("/kept")
        for step in range(1, history + 1):
            self._new().act(step)
        self.flash.power_on()
        if self._new().recall() != history:
            raise Mixed("not stored")
        self._image = self.flash.image()
        self._history = history

    def operations(self, image, step):
        """Return how many operations storing a step takes."""
        self.flash.restore(image)
        self.flash.power_on()
        self._attempt(step)
        return self.flash.power.operations

    def cut(self, image, before, at, way, mark):
        """Cut the power while the step after ``before`` is stored, and look what is in force: no
        older than what was said to be stored, no newer than what was to be."""
        step = int(before) + 1
        self.flash.restore(image)
        self.flash.power_on()
        self.flash.power.cut_at(at, way)
        sure = max(before, self._attempt(step))
        try:
            self.flash.power_on()
            found = self._new().recall()
        except DAMAGE as error:
            return self._fail(mark, "damaged: %r" % error)
        except Mixed as error:
            return self._fail(mark, "mixed: %s" % error)
        if not sure <= found <= step:
            return self._fail(mark, "%s is in force, of %s to %s" % (found, sure, step))
        return found

    def all(self, every):
        """Cut at every operation of a step, and again at every one of what follows."""
        points = self._history  # else of the short scenarios none might be its turn
        for at in range(self.operations(self._image, self._history + 1)):
            for way in WAYS:
                points += 1
                if points % every:
                    continue
                mark = "%d.%s" % (at, way)
                found = self.cut(self._image, self._history, at, way, mark)
                if found is None or way not in AGAIN:
                    continue
                left = self.flash.image()
                for second in range(self.operations(left, int(found) + 1)):
                    for other in AGAIN:
                        self.cut(left, found, second, other, "%s/%d.%s" % (mark, second, other))

    def one(self, mark):
        """Make one cut, or two."""
        image, before = self._image, self._history
        for part in mark.split("/"):
            at, way = part.split(".")
            before = self.cut(image, before, int(at), way, mark)
            image = self.flash.image()

    def _attempt(self, step):
        """Store a step till it is done or the power is lost; return what was said to be stored."""
        scenario = self._new()
        try:
            scenario.act(step)
        except DAMAGE as error:
            if not self.flash.power.off:
                raise error
        return scenario.sure if self.flash.power.off else step

    def _fail(self, mark, why):
        self.failed.append([mark, why])


def main():
    data, result, name, history, what = sys.argv[2:]
    with open("/computer" + data) as file:
        found = json.load(file)
    LIBRARIES.extend(found["libraries"])
    SCRIPTS.update(found["scripts"])
    rig = Rig(name, int(history))
    if "." in what:
        rig.one(what)
    else:
        rig.all(int(what))
    with open("/computer" + result, "w") as file:
        json.dump({"cuts": rig.flash.cuts, "failed": rig.failed}, file)


main()
