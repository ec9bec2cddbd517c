"""The shared vectors of limiter and pca: the first come from fractions, the second by hand."""

import json

from case_vectors import equal, load

from pump.limiter import Limiter
from pump.pca import Pca

# What each shows: no markers on MicroPython.
REQUIREMENTS = {
    "test_limiter": ("C10", "C11", "C12", "C13"),
    "test_pca": ("C9", "C10", "C11", "C15", "C21"),
}


def plain(value):
    """Return an answer as JSON holds it: lists for tuples."""
    return json.loads(json.dumps(value))


def test_limiter(folder):
    cases = load(folder, "limiter.json")["cases"]
    for case in cases:
        limiter = Limiter(case["limits"])
        for ms, rate in case["flow"]:
            limiter.flow(ms, rate)
        now, request = case["now"], (case["now"], case["pieces"], case["then"])
        equal(limiter.refuses(*request), case["refuses"], case)
        equal(limiter.allowed_from(*request), case["allowed_from"], case)
        equal([limiter.used(now, limit[0]) for limit in case["limits"]], case["used"], case)
        again = Limiter(case["limits"])
        again.restore(plain(limiter.dump(now)), now, 0)
        equal([again.used(now, limit[0]) for limit in case["limits"]], case["used"], case)
    return len(cases)


def test_limiter_keeps_little(folder):
    limiter = Limiter([(240 * 60000, 10**17)])
    for minute in range(600):
        limiter.flow(minute * 60000, 61 * 10**15)
        limiter.flow(minute * 60000 + 6000, 10**15)
    history = limiter.dump(600 * 60000)
    equal(len(history[0]) < 100 and len(history[0]) == len(history[1]), True, history)
    return "%d bytes of JSON" % len(json.dumps(history))


def test_pca(folder):
    session = load(folder, "pca.json")
    pca = Pca(*session["made_of"])
    for why, call, arguments, answer in session["calls"]:
        if call == "reset":
            data = plain(pca.dump(arguments[0]))
            pca = Pca(*session["made_of"])
            got = pca.restore(data, arguments[1], arguments[2])
        else:
            got = plain(getattr(pca, call)(*arguments))
            if isinstance(answer, dict):
                got = {key: got[key] for key in answer}
        equal(got, answer, (why, call, arguments))
    return len(session["calls"])
