"""Run the firmware's own tests: micropython run.py FIRMWARE VECTORS [case_name ...].

Each case_*.py beside this file holds functions named test_*; one line is printed for each, and
the exit code is 1 when one failed. Runs on MicroPython's unix port; most of it on CPython too.
"""

import os
import sys

HERE = __file__.rpartition("/")[0] or "."
FIRMWARE, VECTORS = sys.argv[1], sys.argv[2]
NEEDS_MICROPYTHON = ("case_button", "case_tick")  # heap_lock, viper
ON_DEVICE = sys.implementation.name == "micropython"
sys.path.insert(0, HERE)
sys.path.insert(1, FIRMWARE)


def stand_in():
    """Give CPython what the core needs of the module micropython: marks that do nothing."""
    module = type(sys)("micropython")
    for name in ("const", "native", "viper"):
        setattr(module, name, lambda value: value)
    sys.modules["micropython"] = module


def cases():
    found = sorted(n[:-3] for n in os.listdir(HERE) if n.startswith("case_") and n.endswith(".py"))
    return sys.argv[3:] or found


def main():
    failed = 0
    for case in cases():
        if not ON_DEVICE and case in NEEDS_MICROPYTHON:
            print("skip ", case, "needs MicroPython")
            continue
        module = __import__(case)
        for name in sorted(n for n in dir(module) if n.startswith("test_")):
            try:
                note = getattr(module, name)(VECTORS)
                print("ok   ", case, name, "" if note is None else note)
            except Exception as error:
                failed += 1
                print("FAIL ", case, name, repr(error))
                if hasattr(sys, "print_exception"):
                    sys.print_exception(error)
    return 1 if failed else 0


if not ON_DEVICE:
    stand_in()
sys.exit(main())
