"""Drug libraries for tests, compiled here and not by the host, and pumps that hold them."""

import json
import zlib

from unit.firmware.bench import Bench, configuration, order, sealed

ML = 10**15
# Morphine 1 mg/mL = 10^6 ng/mL: 1 mg is 1 mL.
MORPHINE = {
    "concentration": ["mass", "", 1, 10**6, None, 10**6, None, 5 * 10**6],
    # 0.5 | 1 | 2 | 3 | 4 mg/h = mL/h
    "dose_rate": ["mass", "", 1, 5 * 10**5, 10**6, 2 * 10**6, 3 * 10**6, 4 * 10**6],
    "bolus": ["mass", "", 1, None, None, 10**6, 2 * 10**6, 3 * 10**6],
    "bolus_rate": ["volume", "", 1, None, None, 30 * ML, 60 * ML, 90 * ML],
    "duration": ["time", "", 1, None, None, None, 12 * 3_600_000, 24 * 3_600_000],
}
DRUG = {"area": "ward", "item": "morphine-1", "concentration": ["mass", 10**6, 1]}
OVERRIDE = {"who": "Dr. Grey", "why": "tolerant patient"}


def compact(data):
    return json.dumps(data, separators=(",", ":"))


def crc(text):
    return "%08x" % zlib.crc32(text.encode())


def body_of(lines):
    return "\n".join("%s %s" % (crc("%d %s" % pair), pair[1]) for pair in enumerate(lines))


def seal(body, version=1):
    return "doseloop library %d %s\n%s\n" % (version, crc(body), body)


def library(entries=None, name="Example", version=3, **head):
    """Return a compiled library of {(area, item): rows}."""
    entries = {("ward", "morphine-1"): MORPHINE} if entries is None else entries
    head = {"name": name, "version": version, "date": "2026-11-26", **head}
    head["entries"] = len(entries)
    lines = [compact(head)]
    lines += ["%s %s %s" % (*key, compact(entries[key])) for key in sorted(entries)]
    return seal(body_of(lines))


def ask(bench, command, **args):
    return bench.table.run(command, args)


def send(bench, text, part=512):
    for at in range(0, len(text), part):
        ask(bench, "put", slot="library", offset=at, data=text[at : at + part])


def propose(bench, text, **more):
    send(bench, text)
    return ask(bench, "library", size=len(text), **more)


def load(bench, text, **more):
    return ask(bench, "confirm", digest=propose(bench, text, **more)["digest"])


def loaded(text=None):
    """Return a pump with a configuration and a library in force."""
    bench = Bench(configuration())
    load(bench, text or library())
    return bench


def sealed_order(steps, drug=DRUG, **more):
    data = {"schema": 1, "name": "test", "fill_al": 40 * ML, "steps": steps, **more}
    if drug is not None:
        data["drug"] = drug
    return sealed.seal(order.KIND, 1, compact(data))


def plan(bench, steps, drug=DRUG, **more):
    """Send an order and have it planned."""
    text = sealed_order(steps, drug, **more)
    for at in range(0, len(text), 512):
        ask(bench, "put", slot="order", offset=at, data=text[at : at + 512])
    return ask(bench, "order", size=len(text))
