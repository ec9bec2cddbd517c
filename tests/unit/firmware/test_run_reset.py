"""run.py by hand: a run put down as JSON and taken up again stands where it stood."""

import json

import pytest
from unit.firmware.test_run import (
    AL,
    FAST,
    FAST_LAG_MS,
    RATE,
    Step,
    al,
    counts,
    flow,
    run_module,
    run_of,
)
from unit.firmware.test_run_dose import shape, waiting, with_bolus


def taken_up(run):
    again = run_module.Run("r1", run.order, AL)
    again.restore(json.loads(json.dumps(run.dump())))
    return again


def told(run):
    items = [(item.kind, item.number, item.rate, shape(item)) for item in run.ahead()]
    return items, run.as_dict(), run.item() is run.kvo, run.ended


def finish(run):
    """Make and see all that is left of the order; return the counts."""
    while run.item() not in (None, run.kvo):
        if run.item().way:
            run.book(run.item().way, run.item().left(), run.item().left())
        else:
            run.next_item()
    return counts(run)


def long_order():
    """1.25 steps and a wait, a hundred times; the fourth dose is done."""
    run = run_of(flow("infuse", "1.25"), Step("pause", 0, 0, 1000), repeat=100)
    for _ in range(4):
        run.book(1, run.item().left(), run.item().left())
        run.next_item()
    return run


def both_ways():
    run = run_of(flow("infuse", "2.5"), flow("withdraw", "1.5"), flow("infuse", "1.5"),
                 flow("withdraw", "1.5"))  # fmt: skip
    run.takeup = 9
    run.book(1, 2, 2)
    run.book(-1, 1, 0)
    return run


def dose_on_top():
    run, _ = with_bolus()
    run.book(1, 2, 1)
    run.uncertain = 3
    return run


def kvo_between():
    run = waiting(RATE // 2)
    run.book(1, 1, 1)
    return run


def kvo_ahead():
    doses = Step("intermittent", RATE, al("2.5"), 2500, every_ms=10_000, count=2)
    run = run_of(doses, kvo=RATE // 2)
    run.book(1, 1, 1)
    return run


def waits_ahead():
    """More waits than are unrolled at a time, between two infusions that share a step."""
    waits = [Step("pause", 0, 0, 1000) for _ in range(55)]
    return run_of(flow("infuse", "1.25"), *waits, flow("infuse", "0.75"))


BEGUN = [long_order, both_ways, dose_on_top, kvo_between, kvo_ahead, waits_ahead]


@pytest.mark.parametrize("begun", BEGUN)
def test_only_what_is_under_way_is_kept(begun):
    kept = [item[0] for item in begun().dump()[3]]
    assert kept == (["bolus", "infuse"] if begun is dose_on_top else kept[:1])


@pytest.mark.parametrize("begun", BEGUN)
def test_a_run_goes_on_after_a_reset_as_if_there_had_been_none(begun):
    run = begun()
    again = taken_up(run)
    # the longer one has more items unrolled, and tells no other
    here, there = told(run), told(again)
    assert there[0][: len(here[0])] == here[0][: len(there[0])]
    assert here[1:] == there[1:]
    assert again.dump() == run.dump()
    again.leg_items()
    run.leg_items()  # what was made and not seen before the reset is seen by neither
    assert finish(again) == finish(run)


def test_a_dose_cut_short_after_a_reset_is_the_same_dose():
    run = dose_on_top()
    again = taken_up(run)
    for one in (run, again):
        one.phase_al = al("0.2")
        one.cancel_bolus()
    assert told(again) == told(run)
    assert again.as_dict()["uncertain_steps"] == 3


def test_a_wait_after_a_reset_keeps_what_the_infusion_left():
    run = waiting()
    again = taken_up(run)
    assert shape(again.add_bolus(3 * AL, 3 * RATE)) == (3, 0, 500, 500)
    assert finish(again)[0] == 8


@pytest.mark.parametrize("kvo", [True, False])
def test_a_run_that_is_over_stays_over(kvo):
    run = run_of(flow("infuse", 2))
    finish(run)
    if kvo:
        run.keep_open(RATE // 2, 9)
        run.ended = True
        run.book(1, 4, 3)
    again = taken_up(run)
    assert told(again) == told(run) and again.dump() == run.dump()
    assert (again.item() is None) is not kvo
    again.keep_open(5 * RATE, 1)
    assert again.kvo.rate == RATE, "the rate it last infused with"


def test_a_take_up_before_the_first_item_is_in_the_time_that_remains_after_a_reset_too():
    out, back = flow("withdraw", 5000, FAST), flow("infuse", 5000, FAST)
    run = run_of(out, back, lag_ms=2 * (FAST_LAG_MS + 333))
    again = taken_up(run)
    for one in (run, again):
        assert [item.lag_ms for item in one.ahead()] == [FAST_LAG_MS + 333] * 2
        assert one.remaining_ms() == run.order.duration_ms()


def test_a_dose_on_top_has_no_ramps_of_its_own_after_a_reset_either():
    run = run_of(flow("infuse", 5000, FAST), lag_ms=FAST_LAG_MS)
    run.add_bolus(1000 * AL, FAST)
    again = taken_up(run)
    assert [item.lag_ms for item in again.ahead()] == [0, FAST_LAG_MS]
    assert again.remaining_ms() == run.remaining_ms()
