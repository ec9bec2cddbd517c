"""A board's flash in a file, written by MicroPython's unix port with its own littlefs.

What the emulated chip takes a minute of the computer's time to write is there in a second.
`Filed` fits `doseloop.flash.deploy.Target`, as far as a blank board needs it.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from doseloop.errors import LinkError
from doseloop.flash.build import Artifact
from doseloop.sim import interpreter

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


class Filed:
    """A blank flash of `blocks` of 4 KiB. Raise UsageError when there is no unix port."""

    def __init__(self, blocks: int) -> None:
        self._micropython = interpreter.find()
        self._folder = tempfile.TemporaryDirectory(prefix="doseloop-flash-")
        self._file = Path(self._folder.name) / "flash.bin"
        self._blocks = blocks

    def run(self, script: str) -> str:
        """Run MicroPython source with the flash as the root; return what it printed."""
        return self._run(mount(self._file, self._blocks) + script)

    def _run(self, script: str) -> str:
        done = subprocess.run(
            [*self._micropython, "-c", script], capture_output=True, text=True, check=False
        )
        if done.returncode:
            last = (done.stdout + done.stderr).strip().splitlines()[-1:]
            raise LinkError(f"the flash in a file: {last}")
        return done.stdout

    def send(
        self, files: tuple[tuple[Artifact, str], ...], progress: Callable[[str, int], None]
    ) -> None:
        """Write files to absolute paths; `progress(path, size)` is called before each."""
        listed: list[tuple[str, int]] = []
        source = Path(self._folder.name) / "files"
        source.write_bytes(b"".join(artifact.data for artifact, _ in files))
        for artifact, path in files:
            progress(path, len(artifact.data))
            listed.append((path, len(artifact.data)))
        # Opened before the computer's files are out of sight.
        script = f"data = open({str(source)!r}, 'rb')\n" + mount(self._file, self._blocks)
        for path, size in listed:
            script += f"with open({path!r}, 'wb') as file:\n    file.write(data.read({size}))\n"
        self._run(script)

    def reset(self) -> None:
        """Do nothing: the flash is put into a board that is powered on."""

    def content(self) -> bytes:
        """Return the flash."""
        return self._file.read_bytes()

    def close(self) -> None:
        """Remove the file."""
        self._folder.cleanup()


def mount(file: Path, blocks: int) -> str:
    """Return MicroPython source that mounts `file`, `blocks` of 4 KiB, as the root.

    A file that is missing is made and formatted; what else is no file system is an error.
    """
    return _MOUNT.replace("PATH", repr(str(file))).replace("BLOCKS", str(blocks))
