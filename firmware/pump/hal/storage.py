"""Small files that are either old or new, never half: written beside, then renamed.

littlefs makes the rename atomic. Never called while a motion is running in this release.
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
