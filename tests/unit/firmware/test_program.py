"""program.py by hand: what an item holds, what becomes of a step, how long and how much it is."""

import pytest

from doseloop import resources

program = resources.firmware_module("program")
Item, Step = program.Item, program.Step

HOUR = 3_600_000
AL = 1000  # of one microstep


def told(item):
    return (item.kind, item.way, item.rate, item.volume_al, item.duration_ms, item.number)


# -- items ----------------------------------------------------------------------------------------


def test_an_item_begins_with_nothing_done():
    item = Item("infuse", 5, 2500, 60, 3)
    assert told(item) == ("infuse", 1, 5, 2500, 60, 3)
    assert (item.steps, item.done, item.phase_al, item.rest_al, item.dose_al) == (0, 0, 0, 0, 0)
    assert told(Item("pause", 0, 0, 9)) == ("pause", 0, 0, 0, 9, 1)


def test_an_item_takes_a_part_of_a_step_over_and_leaves_one():
    # 2500 aL after 700 that have flowed: 3200, three steps of 1000 and 200 beyond.
    item = Item("infuse", 5, 2500, 60)
    assert item.fix(700, AL) == 200
    assert (item.steps, item.phase_al, item.rest_al) == (3, 700, 200)
    assert (item.left(), item.left_al(AL)) == (3, 2500)
    # two steps later 100 have flowed towards the third, of 1200 that were left then: 1100
    item.done, item.phase_al = 2, 100
    assert (item.left(), item.left_al(AL)) == (1, 1100)
    # the same, told how much is left: 1100 after 100 are one step and 200
    assert item.fix(100, AL, 1100) == 200
    assert (item.steps, item.done, item.left_al(AL)) == (3, 2, 1100)


def test_the_volume_left_counts_with_the_steps_made():
    # 4 of 5 steps are made; 1900 aL more with a phase of 300: 2200, two steps and 200
    item = Item("infuse", 5, 5000, 60)
    item.fix(0, AL)
    item.done = 4
    assert item.fix(300, AL, 1900) == 200
    assert (item.steps, item.done, item.left(), item.rest_al) == (6, 4, 2, 200)
    assert item.left_al(AL) == 1900


def test_kvo_takes_no_part_of_a_step_and_leaves_none():
    item = Item("kvo", 5, 2500, 60)
    assert item.fix(700, AL) == 700
    assert (item.steps, item.phase_al, item.rest_al) == (2, 0, 500)


# -- steps ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["infuse", "bolus", "withdraw", "pause"])
def test_a_plain_step_is_one_item(mode):
    step = Step(mode, 5, 2500, 60)
    assert (step.rate_end, step.every_ms, step.count, step.pca) == (0, 0, 1, None)
    assert (step.total_al(), step.total_ms(), step.size()) == (2500, 60, 1)
    way = {"withdraw": -1, "pause": 0}.get(mode, 1)
    assert step.way == way
    for kvo in (None, 1):
        assert [told(item) for item in step.items(7, kvo)] == [(mode, way, 5, 2500, 60, 7)]


def test_an_intermittent_step_is_doses_and_what_is_between():
    # 3600 aL/h: 1 aL a ms. A dose of 60 ms each 100 ms, three times: 260 ms in all.
    step = Step("intermittent", HOUR, 60, 60, every_ms=100, count=3)
    assert (step.way, step.total_al(), step.total_ms(), step.size()) == (1, 180, 260, 5)
    dose, pause = ("infuse", 1, HOUR, 60, 60, 4), ("pause", 0, 0, 0, 40, 4)
    assert [told(item) for item in step.items(4, None)] == [dose, pause, dose, pause, dose]
    # KVO at half the rate: 40 ms are 20 aL
    kvo = ("kvo", 1, HOUR // 2, 20, 40, 4)
    assert [told(item) for item in step.items(4, HOUR // 2)] == [dose, kvo, dose, kvo, dose]
    # and never above the rate of the dose
    kvo = ("kvo", 1, HOUR, 40, 40, 4)
    assert [told(item) for item in step.items(4, 2 * HOUR)] == [dose, kvo, dose, kvo, dose]


@pytest.mark.parametrize(("rate", "kind", "way"), [(5, "basal", 1), (0, "wait", 0)])
def test_a_pca_is_its_basal_rate_or_a_wait(rate, kind, way):
    step = Step("pca", rate, 5 * rate, HOUR, pca=(1, 2, 3, []))
    assert step.way == 1 and step.size() == 1 and step.pca == (1, 2, 3, [])
    assert [told(item) for item in step.items(2, None)] == [(kind, way, rate, 5 * rate, HOUR, 2)]


def test_a_ramp_is_stairs_of_a_second_and_thirty_at_most():
    sizes = {1: 1, 1999: 1, 2000: 2, 29_999: 29, 30_000: 30, HOUR: 30}
    for ms, stairs in sizes.items():
        step = Step("ramp", 5, 2500, ms, rate_end=9)
        assert step.size() == len(list(step.items(1, None))) == stairs, ms


def test_a_ramp_of_three_stairs():
    # From 1 to 7 aL/ms in 3 s: 3 (1 + 7) / 2 = 12 aL/ms * s = 12000 aL. After 1 s 1000 + 1000,
    # after 2 s 2000 + 4000; stairs of 2000, 4000 and what is left of the order, at 2, 4, 6 aL/ms.
    step = Step("ramp", HOUR, 12_001, 3000, rate_end=7 * HOUR)
    assert [told(item) for item in step.items(5, None)] == [
        ("ramp", 1, 2 * HOUR, 2000, 1000, 5),
        ("ramp", 1, 4 * HOUR, 4000, 1000, 5),
        ("ramp", 1, 6 * HOUR, 6001, 1000, 5),
    ]
    # 7 down to 1 in 3001 ms: stairs end at 1000, 2000 and 3001 ms. After t ms have flowed
    # 7 t - 3 t^2 / 3001: 6000.33 and 10001.33 aL; middles at 500, 1500, 2500.5 ms.
    falling = Step("ramp", 7 * HOUR, 12_004, 3001, rate_end=HOUR)
    middles = [7 * HOUR - 6 * HOUR * t // 6002 - bool(6 * HOUR * t % 6002)
               for t in (1000, 3000, 5001)]  # fmt: skip
    assert [told(item) for item in falling.items(1, None)] == [
        ("ramp", 1, middles[0], 6000, 1000, 1),
        ("ramp", 1, middles[1], 4001, 1000, 1),
        ("ramp", 1, middles[2], 2003, 1001, 1),
    ]


def test_an_order_unrolls_its_steps_in_turn_with_their_numbers():
    steps = [Step("infuse", 5, 2500, 60), Step("pause", 0, 0, 9)]
    one = [("infuse", 1, 5, 2500, 60, 1), ("pause", 0, 0, 0, 9, 2)]
    assert [told(item) for item in program.unroll(steps, 2, None)] == one * 2
    doses = [Step("intermittent", HOUR, 60, 60, every_ms=100, count=2)]
    assert [item.kind for item in program.unroll(doses, 1, 1)] == ["infuse", "kvo", "infuse"]
