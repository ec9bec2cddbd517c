"""The few lines of MicroPython that run on the board during a deploy, sent by `mpremote exec`.

They use nothing of the firmware: a board with no firmware, or a broken one, must take them.
Values are put in as Python literals by `fill`, so no path can end a string early.
"""

from __future__ import annotations

# Prints a JSON line [path, hash] for every file, then an object: what the board is and what is
# active; of the firmware folders only those in {only}, all of them when that is None. Line by line
# because one string of it all needs more memory in one piece than a prompt in use may have left.
# A hash costs 9 us a byte.
INVENTORY = """
import sys, os, json, hashlib, binascii

chunk = bytearray(512)

def tell(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while True:
            size = file.readinto(chunk)
            if not size:
                break
            digest.update(memoryview(chunk)[:size])
    print(json.dumps([path, binascii.hexlify(digest.digest()).decode()]))

def walk(path):
    for entry in os.ilistdir(path):
        full = path + "/" + entry[0]
        if entry[1] == 0x4000:
            walk(full)
        else:
            tell(full)

folders = []
active = None
for entry in os.ilistdir("/"):
    name = entry[0]
    if entry[1] == 0x4000 and name.startswith("fw_"):
        folders.append(name)
        if {only} is None or name in {only}:
            walk("/" + name)
    elif name in ("boot.py", "main.py", "boot.py.new", "main.py.new"):
        tell("/" + name)
    elif name == "active":
        with open("/active") as file:
            active = file.read().strip().lstrip("/")
stat = os.statvfs("/")
print(json.dumps({
    "version": list(sys.implementation[1]),
    "machine": getattr(sys.implementation, "_machine", ""),
    "active": active,
    "folders": folders,
    "free": stat[1] * stat[3],
}))
"""

# Makes the folders, copies on the board what an older firmware there already holds, then removes
# leftovers. The active folder is neither written nor removed.
PREPARE = """
import os

for folder in {folders}:
    try:
        os.mkdir(folder)
    except OSError:
        pass
chunk = bytearray(512)
for source, target in {copies}:
    with open(source, "rb") as old:
        with open(target, "wb") as new:
            while True:
                size = old.readinto(chunk)
                if not size:
                    break
                new.write(memoryview(chunk)[:size])

def remove(path):
    for entry in os.ilistdir(path):
        full = path + "/" + entry[0]
        if entry[1] == 0x4000:
            remove(full)
        else:
            os.remove(full)
    os.rmdir(path)

for folder in {stale}:
    remove(folder)
"""

# littlefs replaces the target of a rename in one commit: a power cut leaves the old name or the
# new one. The loader goes first: it starts an old firmware as well as a new one.
SWITCH = """
import os

for name in {loader}:
    os.rename("/" + name + ".new", "/" + name)
with open("/active.new", "w") as file:
    file.write("/" + {folder} + "\\n")
os.rename("/active.new", "/active")
if hasattr(os, "sync"):
    os.sync()
"""

# Prints the name of the folder that runs after the next restart.
ACTIVE = """
with open("/active") as file:
    print(file.read().strip().lstrip("/"))
"""


def fill(script: str, **values: object) -> str:
    """Return the script with each {name} replaced by the literal of its value."""
    for name, value in values.items():
        script = script.replace("{" + name + "}", repr(value))
    return script
