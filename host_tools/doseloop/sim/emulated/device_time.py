"""Counts the device time that emulated chips run, for who has to ration it: the tests.

A process, and each copy of one, keeps its own count in a file of the folder that FOLDER names in
its environment, after every batch of a chip: killed, it has counted all but its last. Without the
variable nothing is counted.
"""

from __future__ import annotations

import os
import tempfile

FOLDER = "DOSELOOP_DEVICE_TIME"

_pid = -1
_file = -1
_total_ns = 0


def count(ns: int) -> None:
    """Add what a chip has just run. Called by chip only."""
    global _pid, _file, _total_ns
    folder = os.environ.get(FOLDER)
    if folder is None:
        return
    if _pid != os.getpid():  # a fork has the parent's count in hand, and its file
        _pid, _total_ns = os.getpid(), 0
        _file, _ = tempfile.mkstemp(dir=folder)
    _total_ns += ns
    os.pwrite(_file, b"%d\n" % _total_ns, 0)  # it only grows: nothing is left over behind it
