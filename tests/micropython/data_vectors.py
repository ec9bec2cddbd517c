"""Run the shared vectors of quantity and sealed: micropython data_vectors.py FIRMWARE VECTORS.

The same file runs on CPython and on MicroPython; it prints one line and exits 1 on a failure.
"""

import json
import sys

firmware, vectors = sys.argv[1], sys.argv[2]
sys.path.insert(0, firmware)

from pump import quantity, sealed  # noqa: E402

checked = 0


def load(name):
    with open(vectors + "/" + name) as file:
        return json.load(file)


def equal(what, got, want):
    global checked
    checked += 1
    if got != want:
        print("FAIL", what, "got", repr(got), "want", repr(want))
        sys.exit(1)


def refused(call, error):
    try:
        return ("no refusal", call())
    except error as refusal:
        return refusal


cases = load("quantity.json")
for case in cases["parse"]:
    value = int(case["value"])
    equal(case, quantity.parse(case["text"], case["kind"]), value)
    equal(case, quantity.format(value, case["kind"]), case["shown"])
    equal(case, quantity.parse(case["shown"], case["kind"]), value)
for case in cases["refuse"]:
    error = refused(lambda: quantity.parse(case["text"], case["kind"]), quantity.QuantityError)
    equal(case, getattr(error, "code", error), case["code"])
    equal(case, error.nearest, case["nearest"])

cases = load("sealed.json")
for case in cases["open"]:
    equal(case, sealed.seal(case["kind"], case["version"], case["text"]), case["sealed"])
    equal(case, sealed.unseal(case["kind"], case["version"], case["sealed"]), case["text"])
for case in cases["refuse"]:
    error = refused(
        lambda: sealed.unseal(case["kind"], case["version"], case["sealed"]), sealed.SealError
    )
    equal(case, getattr(error, "code", error), case["code"])

for case in load("compile.json"):
    text = sealed.unseal("config", 1, case["sealed"])
    equal(case, json.loads(text)["motion"]["al_per_step"], int(case["al_per_step"]))
    equal(case, json.loads(text)["limits"]["rate_max_al_per_h"], int(case["rate_max_al_per_h"]))

print("ok", checked)
