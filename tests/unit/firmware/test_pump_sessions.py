"""Days of patient-controlled infusion on the whole pump, counted in steps of the motor: demands,
clinician boluses, changes of rate, pauses, new orders, resets and losses of power.

Pump time is what passes while there is power (C10). In it no window ever holds a step too many,
and no two doses of the patient begin closer than the lockout.
"""

import bisect

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from unit.firmware.bench import Bench, compiled, configuration, errors
from unit.firmware.test_therapy import ML

MIN = 60_000
HOUR = 3_600_000
AL = 10**13  # a coarse motor: a day is 2,400 steps at 1 mL/h
COARSE = configuration(al_per_step=AL, pull_in_hz=20_000, backlash_steps=0)
STEP = {
    "mode": "pca",
    "basal_al_per_h": ML,
    "dose_al": ML,
    "dose_rate_al_per_h": 60 * ML,
    "lockout_ms": 6 * MIN,
    "limit_1h_al": 5 * ML,
    "limit_4h_al": 10 * ML,
}
LIMITS = ((HOUR, 5 * ML), (4 * HOUR, 10 * ML))


class Session:
    """A pump over its resets, in pump time (us)."""

    def __init__(self):
        self.bench = Bench(COARSE)
        self.base = 0  # pump time at the last boot
        self.edges = []
        self.given = []  # when the patient's doses began
        self.begin()

    def now(self):
        return self.base + self.bench.clock.now

    def run(self, ms):
        self.bench.run_to(self.bench.clock.now + ms * 1000)

    def begin(self):
        try:
            self.bench.table.run("load", {"volume_al": 50 * ML})
            self.bench.controller.plan(compiled([STEP], COARSE), False)
            self.bench.controller.start()
        except errors.Refused as refused:
            assert refused.code == "E_LIMIT", refused
        self.bench.controller.service()

    def demand(self):
        try:
            if self.bench.table.run("demand", {})["given_now"]:
                self.given.append(self.now())
        except errors.Refused as refused:
            assert refused.code == "E_STATE"

    def reset(self, power_lost):
        new = self.bench.reboot(power_lost)
        self.edges += [self.base + at for at, _ in new.dose.edges]
        new.dose.edges = []
        self.base += self.bench.clock.now
        self.bench = new

    def ask(self, name, args=None):
        try:
            self.bench.table.run(name, args or {})
        except errors.Refused as refused:
            assert refused.code in ("E_STATE", "E_LIMIT", "E_VOLUME", "E_DURATION"), refused
        self.bench.controller.service()

    def end(self):
        self.ask("stop")
        self.reset(False)
        return self.edges


def fullest(edges, window_ms):
    """Return the most edges that any window holds."""
    return max(
        (i + 1 - bisect.bisect_right(edges, at - window_ms * 1000) for i, at in enumerate(edges)),
        default=0,
    )


def judge(session):
    edges = session.end()
    for window, most in LIMITS:
        assert fullest(edges, window) <= -(-most // AL), (window, most)
    for one, two in zip(session.given, session.given[1:], strict=False):
        assert two - one >= 6 * MIN * 1000
    return edges


@pytest.mark.requirement("C9", "C10", "C11", "C12", "C13")
def test_a_night_by_hand():
    # 1 mL/h and a press every minute for 8 h; a reset every hour, power lost at half past. In 4 h
    # flow 4 mL of basal and six doses at most. What a reset may hide counts as flowed: 70 s at
    # 1 mL/h, 0.02 mL. So a dose comes later than it could, and the fullest window has one less.
    session = Session()
    for half_hour in range(16):
        for _ in range(30):
            session.demand()
            session.run(MIN)
        session.run(30_000)
        session.reset(half_hour % 2 == 0)
        session.ask("resume")
    edges = judge(session)
    assert 890 <= fullest(edges, 4 * HOUR) <= 1000
    assert len(session.given) >= 9


acts = st.lists(
    st.tuples(
        st.one_of(st.integers(1, 10 * MIN), st.integers(1, 3 * HOUR)),
        st.sampled_from(
            ["demand", "demand", "demand", "bolus", "square", "rate", "pause", "resume", "stop",
             "reset", "cut", "glance", "load"]
        ),
        st.integers(1, 200),
    ),
    min_size=5,
    max_size=60,
)  # fmt: skip


@pytest.mark.requirement("C3", "C9", "C10", "C11", "C12", "C13", "C21")
@settings(max_examples=60)
@given(acts)
@example([(1, "square", 100), *[(6 * MIN, "demand", 1)] * 30, (6 * MIN, "square", 60)] * 2)
@example([(1000, "demand", 1), (30_000, "cut", 1), (1, "resume", 1), (6 * MIN, "demand", 1)] * 20)
def test_no_session_ever_exceeds_a_limit_by_a_step(acts):
    session = Session()
    for ms, act, size in acts:
        session.run(ms)
        if act == "demand":
            session.demand()
        elif act == "bolus":
            session.ask("bolus_now", {"volume_al": size * ML // 20, "rate_al_per_h": 60 * ML})
        elif act == "square":
            square = {"volume_al": size * ML // 20, "duration_ms": 6 * MIN + size * 90_000}
            session.ask("bolus_now", square)
        elif act == "rate":
            session.ask("rate", {"rate_al_per_h": size * ML // 50})
            pending = session.bench.controller.pending
            if pending.digest is not None:
                session.ask("confirm", {"digest": pending.digest})
        elif act in ("reset", "cut"):
            session.reset(act == "cut")
            session.ask("resume")
        elif act == "load":
            session.ask("load", {"volume_al": 50 * ML})
        elif act != "glance":
            session.ask(act)
        if session.bench.controller.state == "paused" and act != "pause":
            session.ask("resume")
        if session.bench.controller.state == "idle":
            session.begin()
    judge(session)


def test_the_rule_that_looks_back_only_is_caught(monkeypatch):
    # The trap: a dose accepted on what has flowed alone is pushed over the limit by the basal.
    limiter = Session().bench.controller._patient._rules._limiter.__class__

    def history_only(self, now_ms, pieces, then_rate):
        for limit in self.limits:
            given = sum(ms * rate for ms, rate in pieces) // HOUR
            if self.used(now_ms, limit[0]) + given > limit[1]:
                return limit
        return None

    monkeypatch.setattr(limiter, "refuses", history_only)
    session = Session()
    for _ in range(10 * 60):
        session.run(MIN)
        session.demand()
    with pytest.raises(AssertionError):
        judge(session)
