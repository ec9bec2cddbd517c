"""Small files on flash, all in one folder. slots.py makes them old or new, never half.

Erasing takes up to 0.4 s with interrupts off: while a motion is running only when the queue holds
half a second (motor.py, `may_wait`).
"""

import os

_FOLDER = "/kept/"


def read(name):
    """Return the text of a file, by its name in the folder or its path; None: there is none."""
    try:
        with open(name if name[0] == "/" else _FOLDER + name) as file:
            return file.read()
    except OSError:
        return None


def write(name, text):
    """Write a file over. Raise OSError when the flash is full or fails."""
    try:
        file = open(_FOLDER + name, "w")
    except OSError:
        os.mkdir(_FOLDER[:-1])  # the first file; or this says what is wrong
        file = open(_FOLDER + name, "w")
    with file:
        file.write(text)


def open_(name, mode):
    """Open a file. Raise OSError when there is none, or the flash fails."""
    return open(_FOLDER + name, mode)


def remove(name):
    """Remove a file, if it is there and the flash lets it."""
    try:
        os.remove(_FOLDER + name)
    except OSError:
        pass
