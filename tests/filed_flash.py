"""A board's flash in a file, for MicroPython's unix port: it outlives the process as flash power.

Shared by the board that deploy tests talk to and by who looks into an emulated board's flash.
"""

from __future__ import annotations

from pathlib import Path

_MOUNT = """
import os, vfs

class Flash:
    def __init__(self, file):
        self.file = file
    def readblocks(self, block, buf, offset=0):
        self.file.seek(block * 4096 + offset)
        self.file.readinto(buf)
    def writeblocks(self, block, buf, offset=0):
        self.file.seek(block * 4096 + offset)
        self.file.write(buf)
        self.file.flush()
    def ioctl(self, op, arg):
        return {4: BLOCKS, 5: 4096}.get(op, 0)

try:  # before the computer's files are out of sight
    flash = Flash(open(PATH, "r+b"))
except OSError:  # a blank one
    with open(PATH, "wb") as new:
        new.write(b"\\xff" * (4096 * BLOCKS))
    flash = Flash(open(PATH, "r+b"))
    vfs.VfsLfs2.mkfs(flash, progsize=256)
vfs.umount("/")
vfs.mount(vfs.VfsLfs2(flash, progsize=256), "/")
os.chdir("/")
"""


def mount(file: Path, blocks: int) -> str:
    """Return MicroPython source that mounts `file`, `blocks` of 4 KiB, as the root.

    A file that is missing is made and formatted; what else is no file system is an error.
    """
    return _MOUNT.replace("PATH", repr(str(file))).replace("BLOCKS", str(blocks))
