"""bolus.py by hand: which dose waits, which is under way, what is told of it, and the held one."""

import pytest

from doseloop import resources

bolus_module = resources.firmware_module("bolus")


class Events(list):
    def add(self, name, **fields):
        self.append((name, fields))


class Item:
    def __init__(self, dose_al=0):
        self.dose_al = dose_al


class Run:
    """A run of one infusion, on which doses can be put; half of what is cut short was given."""

    def __init__(self):
        self.id = "r1"
        self.items = [Item()]

    def item(self):
        return self.items[0] if self.items else None

    def ahead(self):
        return self.items

    def add_bolus(self, dose_al, rate_al_per_h):
        self.rate = rate_al_per_h
        self.items.insert(0, Item(dose_al))
        return self.items[0]

    def cancel_bolus(self):
        self.items.pop(0).dose_al //= 2


@pytest.fixture
def run():
    return Run()


@pytest.fixture
def bolus():
    return bolus_module.Bolus(Events())


def test_nothing_is_given_that_nobody_wants(bolus, run):
    bolus.begin(run)
    bolus.follow(run)
    bolus.end(run)
    assert (bolus.item, bolus._events, len(run.items)) == (None, [], 1)


def test_a_dose_wanted_is_given_once(bolus, run):
    bolus.want(100, 60)
    assert bolus.item is None
    bolus.begin(run)
    assert bolus.item is run.item() and (bolus.item.dose_al, run.rate) == (100, 60)
    assert bolus._events == [
        ("bolus", {"run": "r1", "volume_al": 100, "rate": 60, "square": False})
    ]
    bolus.begin(run)
    bolus.follow(run)  # it is still under way
    assert len(run.items) == 2 and len(bolus._events) == 1


def test_a_dose_that_is_over_is_told_when_somebody_looks(bolus, run):
    bolus.want(100, 60)
    bolus.begin(run)
    run.items.pop(0)
    bolus.follow(run)
    assert bolus.item is None and len(run.items) == 1, "nothing is cut short"
    assert bolus._events[1:] == [("bolus_end", {"run": "r1", "given_al": 100})]
    bolus.follow(run)
    assert len(bolus._events) == 2


def test_a_dose_cut_short_is_told_with_what_was_given(bolus, run):
    bolus.want(100, 60)
    bolus.begin(run)
    bolus.end(run)
    assert bolus.item is None and len(run.items) == 1
    assert bolus._events[1:] == [("bolus_end", {"run": "r1", "given_al": 50})]


def test_an_end_forgets_a_dose_that_still_waits(bolus, run):
    bolus.want(100, 60)
    bolus.end(run)
    bolus.begin(run)
    assert (bolus.item, bolus._events, len(run.items)) == (None, [], 1)


def test_a_dose_begins_although_nobody_has_looked_since_the_one_before_it_ended(bolus, run):
    bolus.want(100, 60)
    bolus.begin(run)
    run.items.pop(0)
    bolus.want(200, 30)
    bolus.begin(run)
    assert bolus.item is run.item() and bolus.item.dose_al == 200
    assert bolus._events[1:] == [
        ("bolus_end", {"run": "r1", "given_al": 100}),
        ("bolus", {"run": "r1", "volume_al": 200, "rate": 30, "square": False}),
    ]


def test_an_order_that_is_done_takes_no_dose_any_more(bolus, run):
    bolus.want(100, 60)
    run.items.clear()
    bolus.begin(run)
    assert bolus.item is None and run.items == []
    assert bolus._events == [("bolus_end", {"run": "r1", "given_al": 0})]


def test_a_reset_ends_the_dose_that_was_under_way(bolus, run):
    run.items.insert(0, Item(100))
    bolus.take_over(run)
    assert bolus.item is None and len(run.items) == 1
    assert bolus._events == [("bolus_end", {"run": "r1", "given_al": 50})]
    for _ in range(2):  # an infusion is no dose, and after the order there is none
        bolus.take_over(run)
        run.items.clear()
    assert bolus.item is None and len(bolus._events) == 1


@pytest.fixture
def suspended(bolus, run):
    """A square bolus of 400, and a normal one of 100 that suspends it."""
    bolus.want(400, 6, True)
    bolus.begin(run)
    assert bolus.square is bolus.item is run.item()
    bolus.want(100, 60)
    bolus.begin(run)
    assert [item.dose_al for item in run.items] == [100, 400, 0]
    assert bolus.square is run.items[1] and bolus.item is run.items[0]
    assert bolus._events == [
        ("bolus", {"run": "r1", "volume_al": 400, "rate": 6, "square": True}),
        ("bolus", {"run": "r1", "volume_al": 100, "rate": 60, "square": False}),
    ]
    bolus._events.clear()
    return bolus


def test_a_square_bolus_goes_on_after_the_one_that_suspended_it(suspended, run):
    run.items.pop(0)
    suspended.follow(run)
    assert suspended.item is suspended.square is run.item()
    assert suspended._events == [("bolus_end", {"run": "r1", "given_al": 100})]
    run.items.pop(0)
    suspended.follow(run)
    assert suspended.item is suspended.square is None
    assert suspended._events[1:] == [("bolus_end", {"run": "r1", "given_al": 400})]


def test_both_over_before_anybody_looked(suspended, run):
    del run.items[:2]
    suspended.follow(run)
    assert suspended.item is suspended.square is None
    assert [fields["given_al"] for _, fields in suspended._events] == [100, 400]


def test_one_over_before_a_third_is_given(suspended, run):
    run.items.pop(0)
    suspended.want(50, 60)
    suspended.begin(run)
    assert [item.dose_al for item in run.items] == [50, 400, 0]
    assert suspended.item is run.items[0] and suspended.square is run.items[1]


def test_an_end_cuts_both_short(suspended, run):
    suspended.end(run)
    assert suspended.item is suspended.square is None and len(run.items) == 1
    assert [fields["given_al"] for _, fields in suspended._events] == [50, 200]


def test_an_end_finds_one_of_them_over(suspended, run):
    run.items.pop(0)
    suspended.end(run)
    assert suspended.item is suspended.square is None and len(run.items) == 1
    assert [fields["given_al"] for _, fields in suspended._events] == [100, 200]


def test_a_reset_ends_both(bolus, run):
    run.items[:0] = [Item(100), Item(400)]
    bolus.take_over(run)
    assert bolus.item is bolus.square is None and len(run.items) == 1
    assert [fields["given_al"] for _, fields in bolus._events] == [50, 200]


def test_a_held_bolus_lasts_300_ms_beyond_the_last_hold(bolus):
    assert bolus.held is False
    bolus.hold(0)
    assert bolus.held is True
    # the millisecond of the hold is not over: 300 whole ones and the rest of it
    assert [bolus.hold_left_ms(now) for now in (0, 1, 300, 301, 900)] == [301, 300, 1, 0, 0]
    bolus.hold(900)
    assert bolus.hold_left_ms(901) == 300
    bolus.let_go()
    assert bolus.held is False
