"""patient.py by hand: when the history is stored, what a later boot knows of it, its damage."""

import pytest
from unit.firmware.bench import Bench, errors
from unit.firmware.test_patient import HOUR, MIN, STEP
from unit.firmware.test_therapy import ML, SLOW

from doseloop import resources

order = resources.firmware_module("order")
patient_module = resources.firmware_module("patient")

ROOM = 50 * ML
RATE_MAX = SLOW["limits"]["rate_max_al_per_h"]
(PCA,) = order.make("pca", [STEP], SLOW).steps  # 1 mL/h, doses of 1 mL in 1 min, 10 mL in 4 h


class Counted:
    """A storage that counts how often it is written."""

    def __init__(self, storage):
        self._storage = storage
        self.writes = 0

    def write(self, *arguments):
        self.writes += 1
        return self._storage.write(*arguments)

    def __getattr__(self, name):
        return getattr(self._storage, name)


class Boot:
    """One boot of a pump, its clock at 0; ``before``: one whose storage it has."""

    def __init__(self, before=None):
        self.bench = Bench(SLOW)
        if before is not None:
            self.bench.storage.files = dict(before.bench.storage.files)
        self.storage = Counted(self.bench.storage)
        self.patient = patient_module.Patient(
            self.bench.clock, self.bench.events, self.bench.alarms, self.storage
        )

    def at(self, ms):
        self.bench.clock.now = ms * 1000
        return self.patient

    def stored(self, call, *arguments):
        """Return whether a call stores the history, and what it returns."""
        before = self.storage.writes
        result = call(*arguments)
        return self.storage.writes > before, result

    def used(self):
        return self.patient.view(False)["used_nl"]


@pytest.fixture
def boot():
    boot = Boot()
    boot.at(1000).prescribe(PCA, ML, RATE_MAX, 0)
    boot.patient.begin()
    return boot


def test_nothing_flows_and_nothing_is_stored_before_it_begins():
    boot = Boot()
    assert boot.patient.flowing is False
    assert boot.stored(boot.at(HOUR).service) == (False, None)
    boot.patient.prescribe(PCA, ML, RATE_MAX, 0)
    assert boot.stored(boot.at(2 * HOUR).service) == (False, None)


def test_it_is_stored_every_minute_while_something_flows(boot):
    assert boot.patient.flowing is True
    assert boot.stored(boot.at(1000 + MIN - 1).service) == (False, None)
    assert boot.stored(boot.at(1000 + MIN).service) == (True, None)
    assert boot.stored(boot.at(1000 + 2 * MIN - 1).service) == (False, None)
    assert boot.stored(boot.at(1000 + 2 * MIN).service) == (True, None)
    boot.patient.halt()
    assert boot.patient.flowing is False
    assert boot.stored(boot.at(HOUR).service) == (False, None)


def test_a_denied_demand_is_stored_within_the_minute_also_while_it_stands(boot):
    boot.at(5000).halt()
    assert boot.stored(boot.at(9000).demand, ROOM, False) == (False, None)
    assert boot.stored(boot.at(5000 + MIN - 1).service) == (False, None)
    assert boot.stored(boot.at(5000 + MIN).service) == (True, None)
    assert boot.stored(boot.at(5000 + 3 * MIN).service) == (False, None)


def test_the_end_of_a_dose_is_stored_when_it_comes(boot):
    assert boot.stored(boot.at(5000).bolus, ML // 2, 60 * ML, ROOM) == (True, None)  # 30 s
    assert boot.stored(boot.at(34_999).service) == (False, None)
    assert boot.stored(boot.at(35_000).service) == (True, None)
    assert boot.stored(boot.at(35_001).service) == (False, None)


def test_what_flows_instead_is_counted_and_stored(boot):
    assert boot.stored(boot.at(1000 + HOUR).halt, ML // 10) == (True, None)
    assert boot.patient.flowing is True
    assert boot.stored(boot.at(1000 + 2 * HOUR).service) == (True, None)
    assert boot.used() == [1_100_000]
    boot.patient.halt(1)  # as little as there is
    assert boot.patient.flowing is True
    boot.patient.halt()
    boot.at(1000 + 3 * HOUR)
    assert boot.used() == [1_100_000]


def test_only_what_is_given_is_stored(boot):
    assert boot.stored(boot.patient.bolus, ML, 60 * ML, ROOM) == (True, None)
    assert boot.stored(boot.patient.bolus, ML, 60 * ML, ROOM) == (False, "delivering")
    boot.at(10 * MIN)
    assert boot.stored(boot.patient.demand, ROOM, True) == (True, (ML, 60 * ML))
    assert boot.stored(boot.patient.demand, ROOM, True) == (False, None)
    boot.at(20 * MIN)
    assert boot.stored(boot.patient.demand, ROOM, False) == (False, None)
    told = [e["why"] for e in boot.bench.events.since(0, 10**6) if e["e"] == "denied"]
    assert told == ["delivering", "delivering", "state"]


def test_when_the_next_may_come_is_told_when_asked(boot):
    boot.at(5000).demand(ROOM, True)
    boot.at(2 * MIN)
    assert boot.patient.view(True)["allowed_from_ms"] == 5000 + 6 * MIN
    assert "allowed_from_ms" not in boot.patient.view(False)


def test_a_later_order_of_the_same_boot_knows_the_history_exactly(boot):
    boot.at(1000 + HOUR).prescribe(PCA, ML, RATE_MAX, 0)
    assert boot.used() == [1_000_000]


def test_a_later_order_counts_its_own_demands_and_doses(boot):
    boot.patient.bolus(ML, 60 * ML, ROOM)
    boot.at(10 * MIN).demand(ROOM, True)
    boot.patient.demand(ROOM, True)
    assert boot.patient._rules.dump(HOUR)[2:4] == [[1, 1], [ML, ML]]
    boot.at(HOUR).prescribe(PCA, ML, RATE_MAX, 0)
    assert boot.patient._rules.dump(HOUR)[2:] == [[0, 0], [0, 0], [0] * 5]
    # demands that came since it was planned are its own
    boot.patient.prescribe(PCA, ML, RATE_MAX, 2)
    assert boot.patient._rules.dump(HOUR)[4] == [2, 0, 0, 0, 0]


def test_an_order_that_goes_on_after_a_reset_keeps_its_counts(boot):
    boot.at(10 * MIN).demand(ROOM, True)
    boot.patient.demand(ROOM, True)
    boot.at(20 * MIN).service()
    later = Boot(boot)
    assert later.patient.ready is False
    later.patient.prescribe(PCA, ML, RATE_MAX, None)
    assert later.patient.ready is True
    view = later.patient.view(False)
    assert (view["given"], view["given_nl"], view["denied"]["delivering"]) == (1, 10**6, 1)


@pytest.mark.parametrize("unmet", [0, None])
def test_a_full_window_lets_only_the_same_order_go_on(boot, unmet):
    for minute in range(0, 36, 6):  # six doses and 4 h of basal rate: 10 mL
        assert boot.at(2000 + minute * MIN).demand(ROOM, True)
    later = Boot(boot)
    later.patient.prescribe(PCA, ML, RATE_MAX, unmet)
    if unmet is None:
        later.patient.begin()
        assert later.patient.flowing is True
    else:
        with pytest.raises(errors.Refused):
            later.patient.begin()


def test_a_basal_rate_is_judged_without_being_changed(boot):
    boot.at(2 * MIN)
    assert boot.stored(boot.patient.check_basal, 2 * ML) == (False, None)
    with pytest.raises(errors.Refused):
        boot.patient.check_basal(3 * ML)  # 12 mL in 4 h
    boot.at(1000 + HOUR)
    assert boot.used() == [1_000_000]
    with pytest.raises(errors.Refused):
        boot.patient.change_basal(3 * ML)
    assert boot.stored(boot.patient.change_basal, ML // 2) == (True, None)
    boot.at(1000 + 2 * HOUR)
    assert boot.used() == [1_500_000]


def test_a_later_boot_adds_what_may_have_flowed_since(boot):
    # stored after an hour at 1 mL/h: 1 mL and, for 70 s, 0.019444.. mL
    boot.at(1000 + HOUR).service()
    later = Boot(boot)
    later.at(7).prescribe(PCA, ML, RATE_MAX, 0)
    assert later.used() == [1_019_445]


def test_a_damaged_history_is_told_and_counts_for_none_once_a_person_says_so(boot):
    files = boot.bench.storage.files
    for name in files:
        files[name] = "x" + files[name]
    later = Boot(boot)
    for _ in range(2):
        with pytest.raises(errors.Refused) as caught:
            later.patient.prescribe(PCA, ML, RATE_MAX, 0)
        error = caught.value
        assert (error.code, error.message) == (
            "E_STORE", "the record of what was given is damaged",
        )  # fmt: skip
        assert error.next == "find out what was given; `clear`, then begin without a history"
    assert later.bench.alarms.standing() == ["A_STORE"]
    event = later.bench.events.since(0, 10**6)[0]
    assert (event["e"], event["code"]) == ("fault", "A_STORE")
    assert event["text"] == "the history of doses is damaged"
    assert later.stored(later.patient.acknowledge) == (True, None)
    assert None not in later.bench.storage.files.values()
    assert later.stored(later.patient.acknowledge) == (False, None)
    last = Boot(later)
    for one in (later, last):
        one.patient.prescribe(PCA, ML, RATE_MAX, 0)
        assert one.used() == [0]
    assert last.bench.alarms.standing() == []


def test_a_normal_bolus_suspends_a_square_one_and_nothing_else_does(boot):
    # 2 mL over 20 min, then 1 mL over 1.
    assert boot.at(2000).bolus(2 * ML, 6 * ML, ROOM, True) is None
    assert boot.at(3000).bolus(ML, 6 * ML, ROOM, True) == "delivering"
    assert boot.patient.bolus(ML, 60 * ML, ROOM) is None
    assert boot.at(4000).bolus(ML, 60 * ML, ROOM) == "delivering"
