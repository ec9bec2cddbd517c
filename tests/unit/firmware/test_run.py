"""run.py by hand: the ledger's counts, the items in turn, and how status shows it.

A step holds 1 uL (AL); at RATE one flows each second, so n AL take n seconds.
"""

from fractions import Fraction

import pytest

from doseloop import resources

arith = resources.firmware_module("arith")
bounds = resources.firmware_module("bounds")
planner = resources.firmware_module("planner")
program = resources.firmware_module("program")
run_module = resources.firmware_module("run")
Step = program.Step

AL = 10**12
RATE = 3600 * AL
# Ramps at 100 steps/s, 1,300 steps/s/s: by hand in test_planner, "what a ramp adds".
RAMP = planner.Ramp(100, 1300)
FAST = 1400 * RATE
FAST_LAG_MS = RAMP.lag_ms(1400, 5000)


def al(steps):
    """Return the volume of so many steps; "2.5" are two and a half."""
    volume = Fraction(steps) * AL
    assert volume.denominator == 1
    return int(volume)


def flow(mode, steps, rate=RATE):
    return Step(mode, rate, al(steps), al(steps) * 3_600_000 // rate)


def run_of(*steps, repeat=1, kvo=None, name="n", lag_ms=None):
    """Return a run of these steps. lag_ms: what ramps (FAST) and take-ups of 333 ms add to it."""
    order = program.Order(name, list(steps), AL, None, kvo, None, repeat, "0123abcd")
    if lag_ms is not None:
        order.ramp, order.takeup_ms, order.lag_ms = RAMP, 333, lag_ms
    return run_module.Run("r1", order, AL)


@pytest.mark.requirement("A11", "A12")
@pytest.mark.parametrize(
    ("made", "seen", "adrift"),
    [
        (1, 0, False), (0, 1, False), (2, 1, False), (2, 0, True),  # one step off is none
        (19, 17, True), (20, 18, False), (20, 17, True),
        (19, 21, True), (20, 22, False), (20, 23, True),
        (100, 90, False), (100, 89, True), (100, 110, False), (100, 111, True),
    ],
)  # fmt: skip
def test_more_than_a_tenth_off_is_adrift(made, seen, adrift):
    run = run_of(flow("infuse", 200))
    run.book(1, made, seen)
    assert run.adrift() is adrift


def mixed():
    """Infuse 2.5 steps, wait 4 s, infuse 2.5, withdraw 1.5: 2, then 3 with the rest, then 1."""
    return run_of(
        flow("infuse", "2.5"), Step("pause", 0, 0, 4000), flow("infuse", "2.5"),
        flow("withdraw", "1.5"),
    )  # fmt: skip


def counts(run):
    return (run.commanded, run.witnessed, run.booked_in, run.booked_out, run.kvo_steps)


# -- counting -------------------------------------------------------------------------------------


def test_a_run_begins_with_its_first_item_and_nothing_booked():
    run = mixed()
    assert (run.id, run.ordered, run.takeup, run.ended, run.kvo) == ("r1", 6, 0, False, None)
    assert counts(run) == (0, 0, 0, 0, 0)
    item = run.item()
    assert (item.kind, item.number, item.steps, item.rest_al) == ("infuse", 1, 2, al("0.5"))
    assert run.take_rest_ms() == 0
    assert run.remaining_steps() == 6
    # 2 steps, the wait, 3 steps, 1 step
    assert run.remaining_ms() == 2000 + 4000 + 3000 + 1000
    assert run.remaining_ms(15) == 15 + 10_000


def test_steps_are_commanded_when_made_and_delivered_when_seen():
    run = mixed()
    run.book(1, 1, 0)
    assert counts(run) == (1, 0, 0, 0, 0) and run.item().done == 1
    assert (run.remaining_steps(), run.remaining_ms()) == (5, 9000)
    run.book(1, 1, 1)  # the item is done: the wait is next
    assert counts(run) == (2, 1, 1, 0, 0) and run.item().kind == "pause"
    # half a step is left of the time of the item before, and is waited for once
    assert [run.take_rest_ms() for _ in range(2)] == [500, 0]
    assert run.remaining_ms() == 4000 + 4000
    assert run.remaining_ms(15) == 15 + 4000  # 15 ms of the wait are left
    run.book(1, 0, 1)  # the witness is late
    assert counts(run) == (2, 2, 2, 0, 0) and run.item().kind == "pause"
    run.next_item()
    assert run.take_rest_ms() == 0 and run.item().number == 3
    run.book(1, 3, 3)
    assert counts(run) == (5, 5, 5, 0, 0) and run.item().kind == "withdraw"
    run.book(-1, 1, 1)
    assert counts(run) == (6, 6, 5, 1, 0)
    assert run.item() is None and run.remaining_steps() == run.remaining_ms() == 0
    assert run.totals() == {
        "ordered_steps": 6, "commanded_steps": 6, "witnessed_steps": 6, "delivered_nl": 5000,
    }  # fmt: skip
    run.book(1, 0, 2)  # seen without having been made: witnessed all the same
    assert counts(run) == (6, 8, 7, 1, 0)


def test_one_motion_books_through_its_items():
    run = run_of(flow("infuse", 2), flow("bolus", 3), flow("infuse", 4), flow("withdraw", 1))
    assert [item.number for item in run.leg_items()] == [1, 2, 3]
    assert [item.number for item in run.ahead()] == [1, 2, 3, 4]
    run.book(1, 6, 4)
    assert counts(run) == (6, 4, 4, 0, 0)
    assert (run.item().number, run.item().done) == (3, 1)
    assert [item.number for item in run.leg_items()] == [3]
    assert [item.number for item in run.ahead()] == [3, 4]
    assert run.phase_al == 0  # a step has just been made, for all that is known here
    run.book(1, 3, 4)
    assert counts(run) == (9, 8, 8, 0, 0)
    assert [item.number for item in run.leg_items()] == [4]


def test_steps_between_doses_are_counted_apart_also_when_they_are_seen_late():
    # Doses of 2 s each 5 s, the vein kept open at RATE between: 2, 3, 2 steps.
    doses = Step("intermittent", RATE, 2 * AL, 2000, every_ms=5000, count=2)
    run = run_of(doses, kvo=RATE)
    assert [(item.kind, item.steps) for item in run.leg_items()] == [
        ("infuse", 2), ("kvo", 3), ("infuse", 2),
    ]  # fmt: skip
    run.book(1, 3, 1)  # one of them is KVO's
    assert counts(run) == (2, 1, 1, 0, 0) and run.item().kind == "kvo"
    run.book(1, 2, 1)  # seen: the dose's second
    assert counts(run) == (2, 2, 2, 0, 0) and run.item().kind == "infuse"
    run.book(1, 1, 4)  # seen: three of KVO, one of the second dose
    assert counts(run) == (3, 3, 3, 0, 3)
    assert run.remaining_steps() == 1


def test_what_the_witness_still_owes_an_item_is_booked_to_that_item():
    # 5 steps made, 2 seen, then 3, while one of KVO has been made: none of these is KVO's
    doses = Step("intermittent", RATE, 5 * AL, 5000, every_ms=8000, count=2)
    run = run_of(doses, kvo=RATE)
    run.book(1, 5, 2)
    run.book(1, 1, 3)
    assert counts(run) == (5, 5, 5, 0, 0) and run.item().kind == "kvo"
    run.book(1, 0, 1)
    assert counts(run) == (5, 5, 5, 0, 1)


def test_what_was_withdrawn_adds_up():
    run = run_of(flow("withdraw", 5))
    run.book(-1, 2, 2)
    run.book(-1, 3, 3)
    assert counts(run) == (5, 5, 0, 5, 0)
    # an attolitre less than a step is none
    assert run_of(Step("withdraw", RATE, AL - 1, 999)).item().steps == 0


def test_what_was_not_seen_before_a_standstill_is_not_asked_for_after_it():
    doses = Step("intermittent", RATE, 2 * AL, 2000, every_ms=5000, count=2)
    run = run_of(doses, kvo=RATE)
    run.book(1, 2, 0)
    run.leg_items()
    run.book(1, 1, 1)
    assert counts(run) == (2, 0, 0, 0, 1)


def test_a_long_order_is_unrolled_a_few_at_a_time():
    # 1.25 steps and a wait of 1 s, a hundred times: the rests make 125 steps.
    run = run_of(flow("infuse", "1.25"), Step("pause", 0, 0, 1000), repeat=100)
    assert (run.ordered, len(run._items)) == (125, 51)
    assert run.remaining_ms() == sum(
        # unrolled: 26 doses, with 32 whole steps, and 25 waits; then 74 doses and 75 waits
        [32 * 1000, 25 * 1000, 74 * 1250, 75 * 1000]
    )
    phases = []
    while run.item() is not None:
        before = run.item().rest_al
        if run.item().way:
            phases.append(run.item().phase_al)
            run.book(1, run.item().left(), run.item().left())
            assert run.take_rest_ms() == before * 1000 // AL
        else:
            run.next_item()
        assert len(run._items) <= 52
    assert phases == [al(f"0.{quarter}") for quarter in (0, 25, 5, 75)] * 25
    assert counts(run) == (125, 125, 125, 0, 0)


def test_the_phase_is_that_of_the_item_under_way():
    run = mixed()
    run.phase_al = 7
    assert run.phase_al == run.item().phase_al == 7


# -- the vein kept open ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("last", "rate"),
    [(flow("infuse", 1), RATE), (flow("infuse", 1, 5 * RATE), 3 * RATE),
     (Step("pause", 0, 0, 1000), RATE), (flow("withdraw", 1, 5 * RATE), RATE)],
)  # fmt: skip
def test_after_the_order_the_vein_is_kept_open_never_faster_than_it_ended(last, rate):
    run = run_of(flow("infuse", 2), last)
    while run.item() is not None:
        run.book(1, run.item().left(), run.item().left())
        if run.item() is not None and not run.item().way:
            run.next_item()
    before = counts(run)
    run.keep_open(3 * RATE, 4)
    item = run.item()
    assert item is run.kvo and run.leg_items() == [item]
    assert (item.kind, item.rate, item.volume_al, item.duration_ms) == ("kvo", rate, 4 * AL, 0)
    assert item.steps == 4
    run.book(1, 4, 3)
    assert run.item() is item and counts(run) == (*before[:4], 3)
    view = run.as_dict()
    assert (view["step"], view["kvo_steps"], view["remaining_ms"]) == (2, 3, 0)


def test_where_nothing_was_infused_the_vein_is_kept_open_at_the_rate_asked_for():
    run = run_of(Step("pause", 0, 0, 1000))
    run.next_item()
    run.keep_open(3 * RATE, 4)
    assert run.item().rate == 3 * RATE


def test_a_new_rate_keeps_the_volume():
    run = mixed()
    run.change_rate(2 * RATE)
    item = run.item()
    assert (item.rate, item.volume_al, item.duration_ms) == (2 * RATE, al("2.5"), 1250)
    assert run.remaining_ms() == 1000 + 8000


# -- as status shows it ---------------------------------------------------------------------------


def test_a_run_as_status_shows_it():
    run = mixed()
    run.takeup = 9
    run.book(1, 2, 2)
    assert run.as_dict(15) == {
        "id": "r1",
        "name": "n",
        "step": 2,
        "ordered_steps": 6,
        "commanded_steps": 2,
        "witnessed_steps": 2,
        "delivered_nl": 2000,
        "remaining_nl": 4000,
        "remaining_ms": 15 + 4000,
        "takeup_steps": 9,
        "withdrawn_nl": 0,
        "kvo_steps": 0,
        "order_crc": "0123abcd",
        "library": None,
    }
    run.next_item()
    run.book(1, 3, 3)
    run.book(-1, 1, 1)
    view = run.as_dict()
    assert (view["step"], view["withdrawn_nl"], view["remaining_ms"]) == (4, 1000, 0)


def test_status_counts_in_whole_numbers():
    run = mixed()
    run.add_bolus(AL, RATE)
    view = run.as_dict()
    assert view.pop("library") is None
    whole = {key: value for key, value in view.items() if type(value) is not str}
    assert {type(value) for value in whole.values()} == {int} and len(whole) == 13


def fast_and_back(repeat=1):
    """Infuse 5,000 steps at 1,400/s, wait 4 s, and the same out again."""
    lag_ms = repeat * (2 * FAST_LAG_MS + 2 * 333) - 333  # the first way is the syringe's
    return run_of(
        flow("infuse", 5000, FAST), Step("pause", 0, 0, 4000), flow("withdraw", 5000, FAST),
        Step("pause", 0, 0, 1000), repeat=repeat, lag_ms=lag_ms,
    )  # fmt: skip


def test_ramps_and_take_up_are_part_of_the_time_that_remains():
    run = fast_and_back()
    assert FAST_LAG_MS > 100 and FAST_LAG_MS % 6, "the half and the third differ"
    assert [item.lag_ms for item in run.ahead()] == [FAST_LAG_MS, 0, FAST_LAG_MS + 333, 0]
    flows = arith.duration_of(5000 * AL, FAST)
    behind = 4000 + flows + FAST_LAG_MS + 333 + 1000
    assert run.remaining_ms() == flows + FAST_LAG_MS + behind
    run.book(1, 1400, 1400)  # half of its ramps is still ahead: the one down
    left = arith.duration_of(3600 * AL, FAST)
    assert run.remaining_ms() == left + FAST_LAG_MS // 2 + behind
    assert type(run.remaining_ms()) is int
    run.book(1, 3600, 3600)
    assert run.remaining_ms() == behind


def test_what_is_unrolled_later_is_in_the_time_that_remains():
    # 25 passes of 4 items: 51 are unrolled, the others are in what the order lasts in all
    run = fast_and_back(25)
    assert len(run.ahead()) == 51
    flows = arith.duration_of(5000 * AL, FAST)
    one = 2 * (flows + FAST_LAG_MS + 333) + 4000 + 1000
    assert run.remaining_ms() == 25 * one - 333
    for passes in range(1, 26):
        run.book(1, 5000, 5000)
        run.next_item()
        run.book(-1, 5000, 5000)
        run.next_item()
        assert run.remaining_ms() == (25 - passes) * one


def test_kvo_lasts_as_long_as_its_wait_and_no_ramp_adds_to_it():
    doses = Step("intermittent", FAST, 5000 * AL, 3572, every_ms=10_000, count=2)
    run = run_of(doses, kvo=FAST, lag_ms=2 * FAST_LAG_MS)
    items = [(item.kind, item.lag_ms) for item in run.ahead()]
    assert items == [("infuse", FAST_LAG_MS), ("kvo", 0), ("infuse", FAST_LAG_MS)]


def test_status_shows_what_is_left_of_a_bolus():
    run = run_of(flow("bolus", 4, 2 * RATE))
    run.book(1, 1, 1)
    view = run.as_dict()
    assert (view["bolus_left_nl"], view["bolus_left_ms"]) == (3000, 1500)
    assert type(view["bolus_left_nl"]) is int
    assert "bolus_left_nl" not in mixed().as_dict()


def test_status_shows_what_is_left_of_a_dose_on_top():
    # 3 steps in 1 s and 1 of the infusion: of the 4, 3 are the dose's.
    run = run_of(flow("infuse", 10))
    run.add_bolus(3 * AL, 3 * RATE)
    view = run.as_dict()
    assert (view["bolus_left_nl"], view["bolus_left_ms"]) == (3000, 1000)
    run.book(1, 2, 2)
    view = run.as_dict()
    assert (view["bolus_left_nl"], view["bolus_left_ms"]) == (1500, 500)


def test_status_names_the_item_of_the_drug_library():
    run = run_of(flow("infuse", 1))
    run.order.library = bounds.Bounds(["example", 3, "0123abcd"], "ward/drug", ["me", "why"], {})
    view = run.as_dict()
    assert (view["library"], view["override"]) == ("ward/drug", "me")


def test_beneath_a_dose_is_the_orders_item_or_its_kvo():
    run = run_of(flow("infuse", 1))
    assert run.beneath() is run.item()
    dose = run.add_bolus(AL, RATE)
    assert run.item() is dose and run.beneath().kind == "infuse"
    run.book(1, 2, 2)
    assert run.item() is None and run.beneath() is None
    run.keep_open(RATE, 5)
    assert run.beneath() is run.kvo


@pytest.mark.parametrize(
    ("name", "fits"),
    [("a" * 64, True), ("a" * 65, False), ("é" * 10 + "abcd", True), ("é" * 10 + "abcde", False),
     ("\x7f" * 64, True), ("\x80" * 11, False)],
)  # fmt: skip
def test_a_name_too_long_for_the_status_line_is_left_out(name, fits):
    assert run_of(flow("infuse", 1), name=name).as_dict()["name"] == (name if fits else "")


@pytest.mark.requirement("D14")
def test_what_is_primed_is_witnessed_and_not_delivered():
    run = run_of(flow("prime", 5))
    assert run.totals()["primed_nl"] == 0
    run.book(1, 3, 3)
    # A step holds 1 uL here.
    assert run.totals() == {
        "ordered_steps": 5, "commanded_steps": 3, "witnessed_steps": 3, "delivered_nl": 0,
        "primed_nl": 3000,
    }  # fmt: skip
    assert type(run.totals()["primed_nl"]) is int
    assert "primed_nl" not in run_of(flow("infuse", 5)).totals()
