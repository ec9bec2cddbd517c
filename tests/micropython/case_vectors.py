"""The shared vectors of wire, arith and planner; quantity and sealed have data_vectors.py.

What they say was computed with fractions and zlib, not with this code.
"""

import json

from pump import arith, planner, wire

# What each shows: no markers on MicroPython.
REQUIREMENTS = {"test_arith": ("A2",), "test_planner": ("A3",)}


def load(folder, name):
    with open(folder + "/" + name) as file:
        return json.load(file)


def raw(text):
    return bytes([ord(letter) for letter in text])


def equal(got, want, what):
    if got != want:
        raise AssertionError("%s: got %s, want %s" % (what, repr(got)[:300], repr(want)[:300]))


def test_wire(folder):
    cases = load(folder, "wire.json")
    for case in cases["frames"]:
        line = raw(case["line"])
        equal(wire.decode(line), (case["kind"], case["seq"], case["obj"]), line)
        if case["encodes"]:
            equal(wire.encode(case["kind"], case["seq"], case["obj"]), line, "encode")
    for case in cases["refuse"]:
        line = raw(case["line"])
        try:
            got = wire.decode(line)
        except wire.WireError as error:
            equal((error.code, error.seq), (case["code"], case["seq"]), line)
            continue
        raise AssertionError("no refusal of %s: %s" % (repr(line)[:200], repr(got)))
    return len(cases["frames"]) + len(cases["refuse"])


def test_arith(folder):
    cases = load(folder, "arith.json")
    for case in cases["rates"]:
        al, rate = case["al_per_step"], case["rate_al_per_h"]
        volume, ms = case["volume_al"], case["duration_ms"]
        equal(arith.period(al, rate), (case["num"], case["den"]), "period")
        for name, got in (
            ("rate_hz", arith.rate_hz(al, rate)),
            ("steps_of", arith.steps_of(volume, al)),
            ("volume_of", arith.volume_of(rate, ms)),
            ("rate_of", arith.rate_of(volume, ms)),
            ("duration_of", arith.duration_of(volume, rate)),
            ("ticks_of", arith.ticks_of(volume, rate)),
            ("volume_in", arith.volume_in(ms, rate)),
        ):
            equal(got, case[name], (name, case))
    for case in cases["isqrt"]:
        equal(arith.isqrt(case["n"]), case["root"], case)
    return len(cases["rates"]) + len(cases["isqrt"])


def test_planner(folder):
    checked = 0
    for case in load(folder, "planner.json")["stretches"]:
        num, den, t0 = case["num"], case["den"], case["t0"]
        k, edge = case["first_k"], t0 + (case["first_k"] - 1) * num // den
        due = {pair[0]: pair[1] for pair in case["due"]}
        for n, first, q, r, d, e in planner.stretch_segments(
            num, den, t0, k, case["last_k"], edge
        ):
            begin = edge + first
            for step in due:
                if k <= step < k + n:
                    j = step - k
                    at = begin + j * q + (e + j * r) // d
                    late = at - due[step]
                    if late != 0 and (case["exact"] or late != -1):
                        raise AssertionError("step %d at %d: %s" % (step, at, case))
                    checked += 1
            edge = begin + (n - 1) * q + (e + (n - 1) * r) // d
            k += n
        equal(k, case["last_k"] + 1, case)
    return checked


def test_ramps(folder):
    for case in load(folder, "planner.json")["ramps"]:
        ramp = planner.Ramp(case["pull_in_hz"], case["accel_hz_per_s"])
        equal(ramp.steps(case["hz"]), case["steps"], case)
        if case["steps"]:
            pieces = ramp.up(case["steps"])
            equal(sum([piece[0] for piece in pieces]), case["steps"], case)
            equal(sum([piece[1] for piece in pieces]), case["ticks"], case)
