"""Random sessions of PCA over simulated days, judged by what really flowed (C8-C16, C20, C21).

The machine below plays patient, clinician, motor, store and reset. Its clock is real powered time;
the pump's own may go on from anywhere after a reset. What flows is kept as a list of changes and
judged in fractions by windows.py: no window may ever be exceeded, not even by what is to come.
"""

import copy
import json
import math

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from unit.firmware import windows
from unit.firmware.bench import errors

from doseloop import resources

limiter = resources.firmware_module("limiter")
pca_module = resources.firmware_module("pca")

ML = 10**15
MIN = 60_000
HOUR = 60 * MIN
GRACE = 30_000
RATE_MAX = 300 * ML
AMPLE = 10**18

waits = (
    st.sampled_from([0, 1, MIN, 6 * MIN, 10 * MIN, HOUR])
    | st.integers(0, 20 * MIN)
    | st.integers(0, 6 * HOUR)
)
basals = st.sampled_from([0, ML // 2, ML, 3 * ML // 2]) | st.integers(0, 2 * ML)


class Sessions(RuleBasedStateMachine):
    """Nothing is restored or merged, so that every refusal must be a true one: ``exact``."""

    resets = merges = False

    @initialize(
        basal=basals,
        dose=st.sampled_from([ML // 2, ML]) | st.integers(ML // 10, 2 * ML),
        lockout=st.sampled_from([6 * MIN, 10 * MIN]) | st.integers(6 * MIN, 20 * MIN),
        hour=st.integers(4 * ML, 8 * ML),
        four=st.integers(10 * ML, 16 * ML),
        counts=st.booleans(),
        start=st.integers(0, 10**10),
    )
    def prescribe(self, basal, dose, lockout, hour, four, counts, start):
        # 2 mL/h for 4 h and a dose of 2 mL are 10 mL: every prescription drawn can work
        self.limits = [(HOUR, hour), (4 * HOUR, four)]
        self.dose, self.lockout, self.counts = dose, lockout, counts
        self.basal = basal
        self.pca = self.fresh()
        self.real = self.now = start
        self.flow = []  # what counts towards the limits
        self.running = False
        # under way, a suspended one first: [end, ms, volume, rate, patient, square]
        self.doses = []
        self.last = None
        self.tally = {"demands": 0, "given": 0, "boluses": 0, "given_al": 0, "bolus_al": 0}
        self.denied = dict.fromkeys(pca_module.REASONS, 0)
        self.exact = not (self.resets or self.merges)
        self.begin()

    def fresh(self):
        return pca_module.Pca(
            self.basal, self.dose, 60 * ML, self.lockout, self.limits, RATE_MAX, self.counts
        )

    # -- the motor ------------------------------------------------------------------------

    def flows(self, rate):
        assert rate <= RATE_MAX
        if self.flow and self.flow[-1][0] == self.real:
            self.flow.pop()
        self.flow.append((self.real, rate))

    def book(self, tally):
        """Add what flowed of the doses under way to a tally, in aL."""
        at = self.real
        for end, ms, volume, rate, patient, _ in reversed(self.doses):
            tally["given_al" if patient else "bolus_al"] += min(
                volume, rate * (ms - (end - at)) // HOUR
            )
            at = end  # one beneath has stood still since the other began

    def go(self, ms):
        """Let real time pass; a dose under way ends when its time is over."""
        until = self.real + ms
        self.now += ms
        while self.doses and self.doses[-1][0] <= until:
            self.real = self.doses[-1][0]
            beneath = self.doses[:-1]
            self.doses = self.doses[-1:]
            self.book(self.tally)
            self.doses = beneath
            self.flows(self.rate(beneath))
        self.real = until

    def rate(self, doses):
        """Return what flows with these doses under way, as far as it counts."""
        if not doses:
            return self.basal
        _, _, _, rate, patient, _ = doses[-1]
        return self.basal + (rate if patient or self.counts else 0)

    def committed(self):
        """Return what flowed within the longest window and what the pump is committed to."""
        if not self.flow:
            return [(self.real, 0)]
        return self.recent() + self.ahead()

    def ahead(self):
        """Return the changes of flow that the doses under way will make."""
        return [(self.doses[i][0], self.rate(self.doses[:i])) for i in range(len(self.doses))][
            ::-1
        ]

    def rest(self):
        """Return what is left of a square dose that flows, as pieces."""
        return [(self.doses[0][0] - self.real, self.rate(self.doses))] if self.doses else []

    def recent(self):
        seen = self.real - 4 * HOUR
        first = sum(ms <= seen for ms, _ in self.flow[1:])
        return self.flow[first:]

    def safe(self, pieces, then):
        return not windows.exceeded(self.recent(), self.real, pieces, then, self.limits)

    def most(self, ms):
        """Return the largest volume that may flow within so many ms from now."""
        low, high = 0, 20 * ML
        while low < high:
            volume = (low + high + 1) // 2
            if self.safe([(ms, self.basal - (-volume * HOUR // ms))], self.basal):
                low = volume
            else:
                high = volume - 1
        return low

    # -- what people do ---------------------------------------------------------------------

    @rule(ms=waits)
    def wait(self, ms):
        self.go(ms)

    @rule()
    def begin(self):
        try:
            self.pca.begin(self.now)
        except errors.Refused as error:
            assert error.code == "E_LIMIT" and not self.running
            assert not self.exact or not self.safe([], self.basal)
            return
        if not self.running:
            assert self.safe([], self.basal)
            self.flows(self.basal)
            self.running = True

    def stand(self):
        self.book(self.tally)
        self.doses = []
        self.flows(0)
        self.running = False

    @rule()
    def halt(self):
        given = dict(self.tally)
        was = bool(self.doses)
        booked = {**given, "given_al": 0, "bolus_al": 0}
        self.book(booked)
        cut = self.pca.halt(self.now)
        self.stand()
        assert cut == (booked["given_al"] + booked["bolus_al"] if was else None)

    @rule(basal=basals)
    def change_basal(self, basal):
        may = not self.doses
        try:
            self.pca.change_basal(self.now, basal)
        except errors.Refused as error:
            if may:
                # 2 mL/h and a dose always fit, so it is the history
                assert error.code == "E_LIMIT" and self.running and basal > self.basal
                assert not self.exact or not self.safe([], basal)
            else:
                assert error.code == "E_STATE"
            return
        assert may
        self.basal = basal
        if self.running:
            self.flows(basal)

    def answered(self, answer, volume, rate, patient, room, square=False):
        """Judge an answer, and let the motor do what it allows. Return the reason or None."""
        piece, why = answer
        ms = -(-volume * HOUR // rate)
        counts = patient or self.counts
        need = (self.basal + rate) * ms
        locked = patient and self.last is not None and self.real - self.last < self.lockout
        busy = bool(self.doses) and (square or not self.doses[-1][5])
        pieces = [(ms, self.basal + rate), *self.rest()]
        safe = not counts or self.safe(pieces, self.basal)
        if why is None:
            assert piece == (ms, self.basal + rate)
            assert self.running and not busy and not locked and safe
            assert need <= room * HOUR
            assert piece[1] <= RATE_MAX
            for dose in self.doses:
                dose[0] += ms
            self.doses.append([self.real + ms, ms, volume, rate, patient, square])
            assert len(self.doses) <= 2 and not any(dose[5] for dose in self.doses[1:])
            self.flows(self.rate(self.doses))
            return None
        assert piece is None
        true = {
            "state": not self.running,
            "delivering": busy,
            "lockout": locked,
            "volume": need > room * HOUR,
            "limit": not safe,
        }
        if self.exact:
            assert why == next(reason for reason in pca_module.REASONS if true[reason])
        elif why in ("state", "delivering", "volume"):
            assert true[why]
        return why

    @rule(room=st.sampled_from([AMPLE, AMPLE, AMPLE, ML // 5, 0]), times=st.integers(1, 3))
    def demand(self, room, times):
        for _ in range(times):
            answer = self.pca.demand(self.now, room)
            why = self.answered(answer, self.dose, 60 * ML, True, room)
            self.tally["demands"] += 1
            if why is None:
                self.tally["given"] += 1
                self.last = self.real
            else:
                self.denied[why] += 1

    @rule(ms=st.sampled_from([6 * MIN, 10 * MIN, 20 * MIN]), times=st.integers(2, 30))
    def press_often(self, ms, times):
        self.begin()
        for _ in range(times):
            self.demand(AMPLE, 1)
            self.go(ms)

    @rule(
        volume=st.integers(1, 3 * ML),
        rate=st.sampled_from([60 * ML, 200 * ML, 298 * ML]),
        room=st.sampled_from([AMPLE, AMPLE, ML]),
    )
    def bolus(self, volume, rate, room):
        answer = self.pca.bolus(self.now, volume, rate, room)
        if self.answered(answer, volume, rate, False, room) is None:
            self.tally["boluses"] += 1

    @rule(
        volume=st.sampled_from([ML // 2, ML, 2 * ML]) | st.integers(1, 8 * ML),
        spare=st.none() | st.sampled_from([-1, 0, 1, ML // 2, ML]) | st.integers(0, 2 * ML),
        ms=st.sampled_from([6 * MIN, HOUR, 4 * HOUR, 6 * HOUR]) | st.integers(6 * MIN, 6 * HOUR),
        room=st.sampled_from([AMPLE, AMPLE, AMPLE, ML]),
        asks=st.lists(st.sampled_from([0, MIN, 6 * MIN, 20 * MIN, HOUR]), max_size=8),
    )
    def square(self, volume, spare, ms, room, asks):
        """A clinician asks for a square bolus; the patient asks while it flows.

        spare: what it leaves of the limits, None for a bolus of this volume.
        """
        if spare is not None and self.running and not self.doses:
            volume = max(1, self.most(ms) - spare)
        rate = -(-volume * HOUR // ms)
        answer = self.pca.bolus(self.now, volume, rate, room, True)
        if self.answered(answer, volume, rate, False, room, True) is None:
            assert answer[0][0] == ms or rate < ms, "it takes its time"
            self.tally["boluses"] += 1
        for wait in asks:
            self.go(wait)
            self.demand(AMPLE, 1)

    @precondition(lambda self: self.running)
    @rule()
    def look_ahead(self):
        """What is promised to be allowed then is allowed then."""
        at = copy.deepcopy(self.pca).allowed_from(self.now)
        if at is None:
            assert self.doses and not self.doses[-1][5]
            return
        self.go(at - self.now)
        self.demand(AMPLE, 1)
        assert self.last == self.real

    @precondition(lambda self: self.resets)
    @rule(
        lost=st.sampled_from([0, 1]) | st.integers(0, GRACE),
        stood=st.none() | st.integers(0, GRACE),
        there=st.none() | st.integers(0, 10**9),
    )
    def reset(self, lost, stood, there):
        """Lose power ``lost`` ms after the last store; the motor may have stopped sooner."""
        text = json.dumps(self.pca.dump(self.now))
        stored = {**self.tally}
        self.book(stored)
        now = self.now
        if stood is None or stood >= lost:
            self.go(lost)
            self.stand()
        else:
            self.go(stood)
            self.stand()
            self.go(lost - stood)
        self.tally = stored
        self.now = now if there is None else there
        self.pca = self.fresh()
        self.pca.restore(json.loads(text), self.now, GRACE)

    # -- what must hold -----------------------------------------------------------------------

    @invariant()
    def no_window_is_exceeded_nor_will_be(self):
        volume = windows.Volume(self.committed())
        for window, most in self.limits:
            assert volume.fullest(window, self.real) <= most

    @invariant()
    def status_is_true(self):
        # A copy is asked: the next request must find the pump as if nobody had looked.
        status = copy.deepcopy(self.pca).as_dict(self.now)
        for key in ("demands", "given", "boluses"):
            assert status[key] == self.tally[key]
        for key in ("given", "bolus"):  # a dose under way is told when it is done
            assert status[key + "_nl"] == self.tally[key + "_al"] // 10**9
        assert status["denied"] == self.denied
        assert status["demands"] == status["given"] + sum(self.denied.values())
        volume = windows.Volume(self.committed())
        for (window, _), used in zip(self.limits, status["used_nl"], strict=True):
            exact = volume.window(self.real, window)
            assert used * 10**9 >= exact
            assert not self.exact or used == math.ceil(math.ceil(exact) / 10**9)
        if self.last is not None:
            left = max(0, self.last + self.lockout - self.real)
            assert status["lockout_ms"] >= left
            assert not self.exact or status["lockout_ms"] == left

    def teardown(self):
        if getattr(self, "flow", None):
            volume = windows.Volume(self.flow + self.ahead())
            for window, most in self.limits:
                assert volume.fullest(window) <= most


class ResetSessions(Sessions):
    """The same with losses of power, from a store that is up to GRACE old."""

    resets = True


class MergedSessions(ResetSessions):
    """The same with room for six pieces of history only."""

    merges = True


@pytest.mark.requirement(
    "A13", "C3", "C5", "C7", "C9", "C10", "C11", "C12", "C13", "C15", "C20", "C21"
)
@pytest.mark.parametrize("machine", [Sessions, ResetSessions, MergedSessions])
def test_c9_c10_c11_c12_c13_c15_c21_sessions(machine, monkeypatch):
    if machine.merges:
        monkeypatch.setattr(limiter, "PIECES_MAX", 6)
    case = machine.TestCase
    case.settings = settings(max_examples=80, stateful_step_count=60, derandomize=True)
    case("runTest").runTest()
