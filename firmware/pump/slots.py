"""A text kept in two files that take turns, so that a power cut leaves the old or the new one.

Each file is sealed (sealed.py: kind, version, CRC) and begins with its generation; the higher one
is in force. A write goes over the other one and is one commit to the file system, which is why not
a file beside and a rename: the run in progress is kept every second (docs/decisions/0012).

littlefs shows a file as it was before or as it is after a write. So a file that can't be opened
has not been cut short: it has gone bad, and the one that is left may be the older. That is for a
person to judge, hence an error and not the other file.
"""

from pump import sealed


class Slots:
    """``storage`` is hal.storage; ``name``: of the files, without folder and suffix."""

    def __init__(self, storage, name, version=1):
        self._storage = storage
        self._name = name
        self._version = version
        self._generation = 0
        self._next = None  # the suffixes that the next write goes to; None: not looked yet

    def read(self):
        """Return the text written last, None when there is none. Raise sealed.SealError."""
        best, error, bad = None, None, ""
        self._generation, newest = 0, "b"
        for suffix in "ab":
            text = self._storage.read(self._name + "." + suffix)
            if not text:  # made, and cut before anything was written to it
                continue
            try:
                number, newline, body = sealed.unseal(self._name, self._version, text).partition(
                    "\n"
                )
                if not newline or not number.isdigit():
                    raise sealed.SealError("E_SIZE", "it has no generation")
            except sealed.SealError as damage:
                error, bad = damage, bad + suffix
                continue
            if int(number) > self._generation:
                self._generation, best, newest = int(number), body, suffix
        self._next = bad or ("b" if newest == "a" else "a")
        if error is not None:
            raise error
        return best

    def write(self, text):
        """Put a text in force. Raise OSError when the flash fails; the old one stays."""
        if self._next is None:
            try:
                self.read()
            except sealed.SealError:
                pass  # whoever writes now has read and been told, or never wants to know
        generation = self._generation + 1
        whole = pack(self._name, self._version, generation, text)
        for suffix in self._next:
            path = self._name + "." + suffix
            try:
                self._storage.write(path, whole)
            except OSError:
                self._storage.remove(path)  # what is half there would look like damage
                raise
        self._generation = generation
        self._next = "a" if suffix == "b" else "b"


def pack(name, version, generation, text):
    """Return what is in a file of these two."""
    return sealed.seal(name, version, "%d\n%s" % (generation, text))
