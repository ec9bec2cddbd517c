"""run.py by hand: a dose on top of a run, the share of each flow in it, cut short, in a wait."""

from unit.firmware.test_run import AL, RATE, Step, al, counts, flow, run_of


def with_bolus(dose=3, rate=3 * RATE):
    """Two of ten steps are made, and 0.3 of the third has flowed, when a dose is asked for."""
    run = run_of(flow("infuse", 10), flow("infuse", "4.5"))
    run.book(1, 2, 2)
    run.phase_al = al("0.3")
    return run, run.add_bolus(al(dose), rate)


def facts(item):
    return (item.kind, item.rate, item.volume_al, item.duration_ms, item.dose_al, item.number)


def shape(item):
    """Return steps, steps made, phase and rest in thousandths of a step."""
    return (item.steps, item.done, item.phase_al * 1000 // AL, item.rest_al * 1000 // AL)


def test_a_dose_on_top_carries_the_infusion_along():
    # 3 steps at 3 RATE take 1 s, in which the infusion gives 1: 4 at 4 RATE. After 0.3 these are
    # 4 steps and 0.3. The infusion had 7.7 left, has 6.7: with that 0.3 7, 9 steps in all.
    run, bolus = with_bolus()
    assert bolus is run.item()
    assert facts(bolus) == ("bolus", 4 * RATE, 4 * AL, 1000, 3 * AL, 1)
    assert shape(bolus) == (4, 0, 300, 300)
    under, after = run._items[1:]
    assert shape(under) == (9, 2, 300, 0) and shape(after) == (4, 0, 0, 500)
    assert (run.ordered, run.remaining_steps()) == (17, 15)
    assert run.remaining_ms() == 1000 + 7000 + 4000
    assert run.as_dict()["bolus_nl"] == 3000
    assert [item.number for item in run.leg_items()] == [1, 1, 2]
    run.book(1, 15, 15)
    assert run.item() is None and counts(run)[:2] == (17, 17)


def test_a_dose_takes_whole_milliseconds_rounded_up():
    # 1 step at 7 RATE: 142.86 ms, 143; the infusion gives 0.143 meanwhile
    _, bolus = with_bolus(1, 7 * RATE)
    assert facts(bolus) == ("bolus", 8 * RATE, al("1.143"), 143, AL, 1)


def test_a_dose_that_outlasts_the_infusion_takes_its_rest_along():
    # 30 steps at 3 RATE take 10 s; 7.7 are left: 37.7 in 10 s are 3.77 RATE. 0.3 before makes 38.
    run, bolus = with_bolus(30)
    assert facts(bolus) == ("bolus", 377 * RATE // 100, al("37.7"), 10_000, 30 * AL, 1)
    assert shape(bolus) == (38, 0, 300, 0)
    under, after = run._items[1:]
    assert shape(under) == (2, 2, 0, 0) and shape(after) == (4, 0, 0, 500)
    assert run.ordered == 44
    # Cut short before it flowed, the infusion has all of its 7.7 again.
    run.cancel_bolus()
    assert shape(run.item()) == (10, 2, 300, 0)
    # exactly as long as what is left of the infusion, 7.7 s: the same
    run, bolus = with_bolus("23.1")
    assert facts(bolus) == ("bolus", 4 * RATE, al("30.8"), 7700, al("23.1"), 1)
    assert run._items[1].left() == 0


def test_a_dose_cut_short_gives_the_infusion_its_share_back():
    # 2 of the 4 steps and 0.2 flowed after 0.3: 1.9, of which 3/4 are the dose's: 1.425, and 0.475
    # the infusion's. That gets back 1 - 0.475 on its 6.7: 7.225, after 0.2: 7 steps and 0.425.
    run, bolus = with_bolus()
    run.book(1, 2, 2)
    run.phase_al = al("0.2")
    run.cancel_bolus()
    assert bolus.dose_al == al("1.425") and type(bolus.dose_al) is int
    under, after = run._items
    assert run.item() is under
    assert shape(under) == (9, 2, 200, 425) and shape(after) == (4, 0, 425, 925)
    assert run.ordered == (al("14.5") + al("1.425")) // AL == 15
    assert run.remaining_steps() == 11
    assert run.as_dict()["bolus_nl"] == 1425


def test_a_dose_cut_short_before_it_flowed_leaves_all_as_it_was():
    run, bolus = with_bolus()
    run.cancel_bolus()
    assert bolus.dose_al == 0
    assert shape(run.item()) == (10, 2, 300, 0)
    assert (run.ordered, run.remaining_steps()) == (14, 12)
    assert "bolus_nl" not in run.as_dict()
    run.cancel_bolus()  # there is none any more
    assert shape(run.item()) == (10, 2, 300, 0)


def test_a_dose_on_top_leaves_a_wait_and_a_withdrawal_behind_it_alone():
    run = run_of(
        flow("infuse", 10), Step("pause", 0, 0, 4000), flow("withdraw", "1.5"),
        flow("infuse", "1.5"),
    )  # fmt: skip
    run.add_bolus(al("0.5"), RATE)  # 0.5 s, so 1 in all: the infusion's last 9.5 have 0.5 left
    _, under, wait, out, after = run._items
    assert shape(under) == (9, 0, 0, 500)
    assert (wait.duration_ms, shape(out)) == (4000, (1, 0, 0, 500))
    assert shape(after) == (2, 0, 500, 0)
    assert run.ordered == 12 + 1


def test_nothing_to_cut_short_after_the_order():
    run = run_of(flow("infuse", 1))
    run.book(1, 1, 1)
    assert run.cancel_bolus() is None
    run.keep_open(RATE, 5)
    assert run.cancel_bolus() is None and run.item().steps == 5


def waiting(kvo=None):
    """2.5 steps are given, each 10 s; the wait of 7.5 s is under way."""
    doses = Step("intermittent", RATE, al("2.5"), 2500, every_ms=10_000, count=2)
    run = run_of(doses, kvo=kvo)
    run.book(1, 2, 2)
    return run


def test_a_dose_in_a_wait_takes_the_time_off_it():
    # 3 steps at 3 RATE: 1 s. The dose before left half a step, which this one takes along.
    run = waiting()
    bolus = run.add_bolus(3 * AL, 3 * RATE)
    assert facts(bolus) == ("bolus", 3 * RATE, 3 * AL, 1000, 3 * AL, 1)
    assert shape(bolus) == (3, 0, 500, 500)
    wait, after = run._items[-2:]
    assert (wait.kind, wait.duration_ms) == ("pause", 6500)
    assert shape(after) == (3, 0, 500, 0)
    assert run.ordered == 8
    # Cut short after 1 step and 0.25, 0.75 of the 3 have flowed: 3/4 of the second come back.
    run.book(1, 1, 1)
    run.phase_al = al("0.25")
    run.cancel_bolus()
    assert bolus.dose_al == al("0.75")
    assert (run.item(), wait.duration_ms) == (wait, 7250) and type(wait.duration_ms) is int
    assert shape(after) == (2, 0, 250, 750)
    assert run.ordered == (5 * AL + al("0.75")) // AL == 5


def test_a_dose_longer_than_the_wait_leaves_none_of_it():
    run = waiting()
    run.add_bolus(30 * AL, 3 * RATE)
    assert run._items[-2].duration_ms == 0


def test_a_dose_before_anything_was_infused():
    run = run_of(Step("pause", 0, 0, 4000), flow("infuse", 2))
    bolus = run.add_bolus(3 * AL, 3 * RATE)
    assert (bolus.phase_al, bolus.rest_al, bolus.steps) == (0, 0, 3)


def test_a_dose_in_the_second_of_two_waits_takes_along_what_the_infusion_left():
    run = run_of(flow("infuse", "2.5"), Step("pause", 0, 0, 4000), Step("pause", 0, 0, 4000))
    run.book(1, 2, 2)
    run.next_item()
    bolus = run.add_bolus(3 * AL, 3 * RATE)
    assert shape(bolus) == (3, 0, 500, 500) and bolus.number == 3


def test_a_second_dose_adds_to_the_first():
    run, _ = with_bolus()
    run.book(1, 4, 4)
    run.add_bolus(2 * AL, 2 * RATE)
    assert run.ordered == 14 + 3 + 2
    assert run.as_dict()["bolus_nl"] == 5000


def test_a_dose_in_a_long_order_shifts_also_what_is_unrolled_later():
    # 1.25 steps and a wait, a hundred times, and a dose of 0.5: 125.5, still 125 whole ones; and
    # one more of 0.5 makes it 126.
    for doses, steps in ((1, 125), (2, 126)):
        run = run_of(flow("infuse", "1.25"), Step("pause", 0, 0, 1000), repeat=100)
        for _ in range(doses):
            run.add_bolus(al("0.5"), RATE)
            run.book(1, run.item().left(), run.item().left())
        assert run.ordered == steps
        while run.item() is not None:
            run.book(1, run.item().left(), run.item().left())
            if run.item() is not None and not run.item().way:
                run.next_item()
        assert counts(run) == (steps, steps, steps, 0, 0)


def test_a_dose_of_a_millisecond_takes_a_millisecond_of_kvo():
    run = waiting(RATE // 2)
    run.add_bolus(3 * AL // 1000, 3 * RATE)
    assert run._items[-2].left_al(AL) == al("3.75") - AL // 2000


def test_a_dose_in_a_wait_takes_its_kvo_off_too():
    # KVO at half the rate: 3.75 steps in the wait. One is made, 0.1 has flowed: 2.65 are left. The
    # dose lasts 1 s, in which 0.5 would have flowed: 2.15, with the 0.1 2 steps and 0.25.
    run = waiting(RATE // 2)
    run.book(1, 1, 1)
    run.phase_al = al("0.1")
    kvo = run.item()
    assert shape(kvo) == (3, 1, 100, 750)
    bolus = run.add_bolus(3 * AL, 3 * RATE)
    assert facts(bolus) == ("bolus", 3 * RATE, 3 * AL, 1000, 3 * AL, 1)
    assert shape(bolus) == (3, 0, 500, 500)
    assert shape(kvo) == (3, 1, 100, 250) and kvo.left_al(AL) == al("2.15")
    # Cut short with 0.75 given: 0.75 s come back, 0.375 steps: 2.525
    run.book(1, 1, 1)
    run.phase_al = al("0.25")
    run.cancel_bolus()
    assert run.item() is kvo
    assert shape(kvo) == (3, 1, 100, 625) and kvo.left_al(AL) == al("2.525")
    # a dose longer than what is left: nothing of it flows any more
    run.add_bolus(30 * AL, 3 * RATE)
    assert shape(kvo) == (1, 1, 100, 100) and kvo.left_al(AL) == 0
