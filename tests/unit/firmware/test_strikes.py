"""The same alarm three times in ten minutes: an order that needs another set-up."""

import pytest
from unit.firmware.bench import errors
from unit.firmware.test_alarms import made
from unit.firmware.test_therapy import AL, infuse, started

from doseloop import resources

tick = resources.firmware_module("tick")


@pytest.mark.requirement("D8")
@pytest.mark.parametrize(
    ("code", "counts"),
    [
        ("A_SYRINGE_OUT", True), ("A_OCCLUSION", True), ("A_HOT", True),
        ("A_STOP_INPUT", False), ("A_EMPTY", False), ("A_LINK", False),  # everyday
        ("A_DRIFT", False), ("A_BATTERY", False),  # ends the order at once; stops nothing
    ],
)  # fmt: skip
def test_the_third_alarm_of_a_kind_in_ten_minutes_is_one_too_many(code, counts):
    clock, _, own = made()
    said = []
    for at_s in (0, 300, 599, 600, 601):
        clock.now = at_s * 10**6
        said.append(own.strike(code))
        own.strike("A_STALL" if at_s == 0 else "A_DRIVER" if at_s == 300 else "A_DRIFT")
    assert said == [False, False, counts, False, False], "after it they are counted anew"


@pytest.mark.requirement("D8")
def test_alarms_further_apart_than_ten_minutes_or_forgiven_do_not_count():
    clock, _, own = made()
    for at_s in (0, 300, 600):
        clock.now = at_s * 10**6
        assert not own.strike("A_STALL"), "the first is ten minutes ago"
    own.forgive("A_STALL")
    assert not own.strike("A_STALL") and not own.strike("A_STALL")
    assert own.strike("A_STALL")


@pytest.mark.requirement("D8")
def test_what_comes_back_three_times_needs_a_new_order():
    bench = started([infuse(200 * AL, 100 * 3600 * AL)])
    controller = bench.controller
    for nth in range(3):
        bench.run_to(bench.clock.now + 200_000)
        bench.dose.flags, bench.dose.bits = tick.F_END, 2
        controller.service()
        assert bench.alarms.stands("A_SYRINGE_OUT")
        assert bench.alarms.stands("A_REPEATED") == (nth == 2)
        assert controller.run.ended == (nth == 2)
        controller.clear()
        if nth < 2:
            controller.resume()
    assert controller.state == "idle"
    with pytest.raises(errors.Refused):
        controller.resume()
