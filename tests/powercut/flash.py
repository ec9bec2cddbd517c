"""A flash whose power is lost where it is told to: at a program or an erase, in one of five ways.

For real MicroPython: `VfsLfs2` over it is the file system of the pump. As the RP2040's flash it
programs pages of 256 bytes and erases blocks of 4 KiB, and stores nothing behind the back of who
writes; the last two ways are what a flash that does would make of a cut.
"""

import os

import vfs

BLOCK = 4096
PAGE = 256
BLOCKS = 352  # the stock image's file system: 1408 KiB
WAYS = (
    "before",  # nothing of the operation was done
    "half",  # the first half of it
    "garbled",  # each bit by chance, as by a pulse that was too short
    "lost",  # nor anything since the file system last waited for the flash
    "disordered",  # the same, but the operation itself was done
)

_ERASED = bytes([0xFF]) * BLOCK


_EIO = -5  # to the file system, from then on. What the firmware makes of it comes to nothing.


class Flash:
    """What outlives a loss of power. ``cuts``: of all times."""

    def __init__(self):
        self.cuts = 0
        self.power = None
        self.restore({})

    def restore(self, image):
        """Put an image in; ``image()`` made it."""
        self._base, self._changed = image, {}

    def image(self):
        """Return what it holds: {block: bytes}. Blocks that were never written are left out."""
        whole = dict(self._base)
        for block, data in self._changed.items():
            whole[block] = bytes(data)
        return whole

    def power_on(self):
        """Power on, with the flash as the root folder. Raise OSError when it is no file system."""
        if self.power is not None:
            self.power.off = True  # for files that were left open
        self.power = Power(self)
        vfs.umount("/")
        vfs.mount(vfs.VfsLfs2(self.power, progsize=PAGE), "/")
        os.chdir("/")

    def content(self, block):
        """Return a block, to be changed."""
        data = self._changed.get(block)
        if data is None:
            data = self._changed[block] = bytearray(self._base.get(block, _ERASED))
        return data

    def look(self, block):
        """Return a block, to be read."""
        return self._changed.get(block) or self._base.get(block, _ERASED)


class Power:
    """The flash from power-on till the power is lost, as MicroPython asks a block device.

    ``operations``: programs and erases so far.
    """

    def __init__(self, flash):
        self._flash = flash
        self.off = False
        self.cut_at(-1, None)
        self._unsynced = []  # (block, what was there), oldest first

    def cut_at(self, operation, way):
        """Lose the power at that operation from now on, counted from 0."""
        self.operations, self._cut_at, self._way = 0, operation, way

    def readblocks(self, block, buf, offset=0):
        """Read."""
        if self.off:
            return _EIO
        buf[:] = memoryview(self._flash.look(block))[offset : offset + len(buf)]
        return 0

    def writeblocks(self, block, buf, offset=0):
        """Program."""
        return self._do(block, offset, buf)

    def ioctl(self, op, arg):
        """Erase (6), wait till all is stored (3), tell the size (4, 5)."""
        if self.off:
            return _EIO
        if op == 6:
            return self._do(arg, 0, None)
        if op == 3:
            self._unsynced = []
        return {4: BLOCKS, 5: BLOCK}.get(op, 0)

    def _do(self, block, offset, new):
        if self.off:
            return _EIO
        at, self.operations = self.operations, self.operations + 1
        data = self._flash.content(block)
        if at != self._cut_at:
            self._unsynced.append((block, bytes(data)))
            _apply(data, offset, new, "whole", at)
            return 0
        self.off = True
        self._flash.cuts += 1
        if self._way in ("lost", "disordered"):
            for changed, before in reversed(self._unsynced):
                self._flash.content(changed)[:] = before
        if self._way not in ("before", "lost"):
            _apply(data, offset, new, self._way, at)
        return _EIO


def _apply(data, offset, new, way, seed):
    size = BLOCK if new is None else len(new)
    if way == "half":
        size = max(1, size // 2)
    if way != "garbled":
        data[offset : offset + size] = _ERASED[:size] if new is None else new[:size]
        return
    noise = 12345 + seed
    for i in range(size):
        noise = (noise * 1103515245 + 12345) & 0x7FFFFFFF
        bits, old = noise >> 16 & 0xFF, data[offset + i]
        data[offset + i] = old | bits if new is None else old & (new[i] | bits)
