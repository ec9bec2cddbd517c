"""A dose on top of a run: the run's own rate and volume stay, and nothing is made up for later."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.firmware.bench import errors, quantity
from unit.firmware.test_modes import HOUR, MIN, intermittent
from unit.firmware.test_therapy import AL, ML, SLOW, infuse, started, totals

from doseloop import resources

checks = resources.firmware_module("checks")


@pytest.mark.requirement("C2")
def test_a_dose_on_top_by_hand():
    # C2: 6 mL at 6 mL/h; after 10 min 1 mL more at 60 mL/h: 66 mL/h for a minute, then 6 again.
    # The infusion ends after its hour all the same.
    bench = started([infuse(6 * ML, 6 * ML)])
    bench.run_to(10 * MIN * 1000)
    bench.controller.bolus_now(ML, 60 * ML)
    assert (bench.controller.state, bench.controller.rate()) == ("bolus", 66 * ML)
    bench.run_to(11 * MIN * 1000 + 100_000)
    bench.controller.service()
    assert (bench.controller.state, bench.controller.rate()) == ("infusing", 6 * ML)
    edges = [at for at, _ in bench.dose.edges]
    bench.run_out()
    assert totals(bench) == [7 * ML // AL] * 3
    edges = [at for at, _ in bench.dose.edges]
    within = [at for at in edges if 10 * MIN * 1000 < at <= 11 * MIN * 1000]
    assert abs(len(within) - 11 * ML // 10 // AL) <= 1
    assert abs(edges[-1] - HOUR * 1000) < 700_000  # a step takes 0.1 s
    assert bench.names().count("bolus") == bench.names().count("bolus_end") == 1


def test_a_dose_that_outlasts_the_infusion_takes_it_along():
    # 0.1 mL is left when 1 mL in a minute is asked for: both end with that minute.
    bench = started([infuse(ML, 6 * ML), infuse(ML, 60 * ML)])
    bench.run_to(9 * MIN * 1000)
    bench.controller.bolus_now(ML, 60 * ML)
    bench.run_out()
    assert totals(bench) == [3 * ML // AL] * 3


@pytest.mark.requirement("C8")
def test_an_interrupted_dose_is_not_made_up_for():
    # C8: half of it was given; the infusion's own volume stays whole.
    bench = started([infuse(6 * ML, 6 * ML)])
    bench.run_to(10 * MIN * 1000)
    bench.controller.bolus_now(ML, 60 * ML)
    bench.run_to(10 * MIN * 1000 + 30_000_000)
    bench.controller.pause()
    given_al = bench.events.since(0, 10**6)[-2]["given_al"]
    assert bench.events.since(0, 10**6)[-2]["e"] == "bolus_end"
    assert abs(given_al - ML // 2) < 2 * AL
    bench.run_to(bench.clock.now + 5_000_000)
    bench.controller.resume()
    assert bench.controller.state == "infusing"
    bench.run_out()
    assert totals(bench) == [(6 * ML + given_al) // AL] * 3


@pytest.mark.requirement("C20")
@pytest.mark.parametrize(
    ("volume", "rate", "code"),
    [
        (AL - 1, 60 * ML, "E_VOLUME"),  # less than a step
        (50 * ML, 60 * ML, "E_VOLUME"),  # more than the syringe has (C20)
        (ML, 10**21, "E_RATE_HIGH"),
        (ML, 1, "E_RATE_LOW"),
    ],
)
def test_a_dose_that_can_not_be_given_is_refused(volume, rate, code):
    bench = started([infuse(6 * ML, 6 * ML)])
    bench.run_to(1_000_000)
    with pytest.raises(errors.Refused) as caught:
        bench.controller.bolus_now(volume, rate)
    assert caught.value.code == code
    bench.run_out()
    assert totals(bench) == [6 * ML // AL] * 3


@pytest.mark.requirement("A13", "C18")
@given(
    st.integers(1, 300).map(lambda n: n * ML),
    st.integers(1, 300).map(lambda n: n * ML),
    st.integers(3, 3000),
)
def test_the_nearest_dose_that_is_named_is_accepted(flowing, rate, room):
    with pytest.raises(errors.Refused) as caught:
        checks.check_bolus(room * AL, rate, flowing, SLOW, room)
    nearest = quantity.parse(caught.value.nearest, "volume")
    if nearest >= AL:
        checks.check_bolus(nearest, rate, flowing, SLOW, room)


@pytest.mark.requirement("A13")
def test_both_flows_together_stay_below_the_pumps_maximum():
    most = SLOW["limits"]["rate_max_al_per_h"]
    bench = started([infuse(6 * ML, 100 * ML)])
    bench.run_to(1_000_000)
    with pytest.raises(errors.Refused) as caught:
        bench.controller.bolus_now(ML, most - 100 * ML + 1)
    assert caught.value.code == "E_RATE_HIGH"
    bench.controller.bolus_now(ML, most - 100 * ML)
    assert bench.controller.rate() == most


@pytest.mark.requirement("C7")
def test_one_dose_at_a_time_and_none_while_it_stands():
    bench = started([infuse(6 * ML, 6 * ML)])
    bench.run_to(1_000_000)
    bench.controller.bolus_now(ML, 60 * ML)
    with pytest.raises(errors.Refused):
        bench.controller.bolus_now(ML, 60 * ML)
    bench.controller.pause()
    with pytest.raises(errors.Refused):
        bench.controller.bolus_now(ML, 60 * ML)
    bench.controller.fault()
    with pytest.raises(errors.Refused):
        bench.controller.bolus_now(ML, 60 * ML)


def test_a_dose_in_a_wait_of_the_order():
    bench = started([intermittent(ML, 60 * ML, 10 * MIN, 2)])
    bench.run_to(5 * MIN * 1000)
    assert bench.controller.state == "paused"
    bench.controller.bolus_now(ML, 60 * ML)
    assert (bench.controller.state, bench.controller.rate()) == ("bolus", 60 * ML)
    bench.run_out()
    assert totals(bench) == [3 * ML // AL] * 3


@pytest.mark.parametrize("kvo", [None, 30 * ML])
def test_a_dose_in_a_wait_delays_none_of_the_others(kvo):
    bench = started([intermittent(ML, 60 * ML, 10 * MIN, 2)], kvo=kvo)
    bench.run_to(5 * MIN * 1000)
    bench.controller.bolus_now(2 * ML, 60 * ML)
    bench.run_to(10 * MIN * 1000 + 30_000_000)
    assert bench.controller.state == "infusing"
    edges = [at for at, _ in bench.dose.edges]
    bench.run_to(12 * MIN * 1000)
    assert bench.controller.run.witnessed == 4 * ML // AL
    edges = [at for at, _ in bench.dose.edges]
    first = next(at for at in edges if at > 10 * MIN * 1000)
    assert first - 10 * MIN * 1000 < 200_000, "a step takes 10 ms at the dose's rate"
