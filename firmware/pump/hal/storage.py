"""Small files that are either old or new, never half: written beside, then renamed.

littlefs makes the rename atomic. Erasing takes up to 0.4 s with interrupts off: while a motion is
running only up to 10,000 steps/s, where the queue holds half a second (patient.py).
"""

import os


def read(name):
    """Return a file's text, or None when there is none."""
    try:
        with open(name) as file:
            return file.read()
    except OSError:
        return None


def write(name, text):
    """Replace a file's text. Raise OSError when the flash is full or fails; the old one stays."""
    beside = name + ".new"
    with open(beside, "w") as file:
        file.write(text)
    os.rename(beside, name)
