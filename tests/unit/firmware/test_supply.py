"""supply.py by hand and by property; guard.py: how often it looks, what forbids a start."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.firmware.bench import Bench, Clock, configuration

from doseloop import resources

supply = resources.firmware_module("supply")
guard = resources.firmware_module("guard")

CURVE = [[12_000, 100], [11_000, 30], [10_000, 10], [9_000, 0]]
SETTINGS = {
    "full_mv": 16_000,
    "low_mv": 8_000,
    "external_mv": 13_000,
    "high_mv": 15_000,
    "curve": CURVE,
}


class Adc:
    """Readings in a row; then the last one again."""

    def __init__(self, *counts):
        self.counts, self.reads = list(counts), 0

    def __call__(self):
        self.reads += 1
        return self.counts.pop(0) if len(self.counts) > 1 else self.counts[0]


def counts(mv):
    """Return the reading of a voltage: 16,000 mV are 65535."""
    return -(-mv * 65535 // 16_000)


@pytest.mark.requirement("H1")
def test_a_mean_of_ten_by_hand():
    # Nine readings of 40,000 and one of 50,000: 410,000. · 16000 / 655350 = 10,009.9…
    adc = Adc(*[40_000] * 9, 50_000)
    assert supply.Supply(adc, SETTINGS).mv() == 10_009
    assert adc.reads == 10
    assert supply.Supply(Adc(65_535), SETTINGS).mv() == 16_000


@pytest.mark.parametrize(
    ("mv", "left"),
    [
        (13_000, 100),  # above the first point: no more than that
        (12_000, 100),
        (11_500, 65),  # 30 + 500 · 70 / 1000
        (11_999, 99),  # 30 + 999 · 70 / 1000 = 99.93
        (11_000, 30),
        (10_049, 10),  # 10 + 49 · 20 / 1000 = 10.98
        (10_050, 11),
        (9_099, 0),  # 99 · 10 / 1000 = 0.99
        (9_000, 0),
        (8_999, 0),
    ],
)
def test_minutes_by_hand(mv, left):
    assert supply.minutes(CURVE, mv) == left


@given(st.integers(0, 20_000), st.integers(0, 20_000))
def test_a_higher_voltage_never_promises_less(one, other):
    low, high = sorted((one, other))
    assert supply.minutes(CURVE, low) <= supply.minutes(CURVE, high)


def supply_at(*steps):
    """Return what a supply says at each of some voltages."""
    adc = Adc(0)
    it = supply.Supply(adc, SETTINGS)
    said = []
    for mv in steps:
        adc.counts = [counts(mv)]
        said.append(it.look())
    return said


LOW, END, OUT = "A_BATTERY", "A_BATTERY_END", "A_SUPPLY"


@pytest.mark.requirement("H2")
def test_levels_by_hand():
    # 32 min: 30 + 2 · 1000 / 70 = 28.6 mV above 11,000, so 11,042 mV still give 32 and 11,043 33.
    # 5 min: 5.99 · 100 = 599 mV above 9,000.
    assert supply_at(11_043, 11_042) == [(), (LOW,)]
    assert supply_at(9_600, 9_599) == [(LOW,), (END, LOW)]


@pytest.mark.requirement("H3")
def test_a_warning_ends_with_external_supply_only():
    said = supply_at(11_000, 12_900, 13_000, 12_000, 9_100, 12_000, 14_000)
    assert said == [(LOW,), (LOW,), (), (), (END, LOW), (END, LOW), ()]


@pytest.mark.requirement("H4")
def test_out_of_range():
    assert supply_at(7_999, 8_000, 15_000, 15_001) == [(OUT,), (END, LOW), (), (OUT,)]
    assert supply_at(9_000, 0) == [(END, LOW), (OUT, END, LOW)]


# -- guard ------------------------------------------------------------------------------------


class Driver:
    """hal's Tmc2209 as the guard has it; says what a test tells it to."""

    def __init__(self):
        self.says, self.looks, self.set_ups, self.fails = (False, None), 0, 0, None
        self.ways = []

    def look(self, way):
        self.looks += 1
        self.ways.append(way)
        return self.says

    def set_up(self):
        self.set_ups += 1
        if self.fails:
            raise RuntimeError(self.fails)
        self.says = (False, None)


class Motor:
    """A motor that moves, as the guard has it."""

    def __init__(self, number=1, level=1):
        self.moving, self.number, self.level = True, number, level

    def way(self):
        return self.level


def test_it_looks_every_ten_seconds_and_at_the_driver_in_motion_only():
    clock, driver, heat = Clock(), Driver(), Adc(40_000)
    it = guard.Guard(clock, driver, heat, 17_000, None)
    for _ in range(21_000):
        assert it.look(None) == ()
        clock.now += 1_000
    assert (heat.reads, driver.looks) == (3, 0)  # at 0, 10, 20 s
    motor = Motor()
    for _ in range(10_001):
        it.look(motor)
        clock.now += 1_000
    assert driver.ways == [1, 1]  # at the motion's begin, and 10 s later


def test_each_motion_is_looked_at_when_it_begins():
    clock, driver = Clock(), Driver()
    it = guard.Guard(clock, driver, None, None, None)
    for number in (1, 1, 2, 3, 3):
        it.look(Motor(number, number % 2))
        clock.now += 100_000
    assert driver.ways == [1, 0, 1]
    it.ready()
    assert driver.ways[3:] == [None], "at rest DIR does not matter"


@pytest.mark.requirement("H1")
def test_the_supply_is_read_at_least_every_three_minutes_by_a_main_loop_that_comes_by():
    clock, adc = Clock(), Adc(counts(12_000))
    it = guard.Guard(clock, None, None, None, supply.Supply(adc, SETTINGS))
    at = []
    while clock.now < 600 * 10**6:
        before = adc.reads
        it.look(None)
        if adc.reads > before:
            assert adc.reads == before + 10
            at.append(clock.now)
        clock.now += 2_000_000  # an idle main loop wakes every 2 s
    assert at[0] == 0 and max(b - a for a, b in pairwise(at)) <= 60 * 10**6


@pytest.mark.requirement("D16")
@pytest.mark.parametrize(
    ("reading", "codes"),
    [(17_001, ()), (17_000, ("A_HOT",)), (0, ("A_HOT",)), (63_999, ()), (64_000, ("A_HOT",))],
)
def test_heat_by_its_reading(reading, codes):
    it = guard.Guard(Clock(), None, Adc(reading), 17_000, None)
    assert it.look(None) == codes
    assert it.ready() == (codes[0] if codes else None, None)


def test_a_driver_without_its_settings_gets_them_at_a_start():
    driver = Driver()
    driver.says = (False, "it has lost its settings")
    it = guard.Guard(Clock(), driver, None, None, None)
    assert it.ready() == (None, None)
    assert driver.set_ups == 1
    assert it.ready() == (None, None)
    assert driver.set_ups == 1  # it has them


def test_a_driver_that_takes_no_settings_forbids_a_start_and_says_why():
    driver = Driver()
    driver.says, driver.fails = (False, "silent"), "it does not answer"
    it = guard.Guard(Clock(), driver, None, None, None)
    assert it.ready() == ("A_DRIVER", "it does not answer")


def test_diag_means_a_stall_unless_the_driver_says_more():
    driver = Driver()
    it = guard.Guard(Clock(), driver, None, None, None)
    assert it.stalled() == "A_STALL"
    driver.says = (False, "a motor wire has a short")
    assert it.stalled() == "A_DRIVER"
    driver.says = (True, None)
    assert it.stalled() == "A_HOT"


def test_a_warning_does_not_forbid_a_start():
    it = guard.Guard(Clock(), None, None, None, supply.Supply(Adc(counts(11_000)), SETTINGS))
    assert it.ready() == (None, None)
    assert it.codes == ("A_BATTERY",)


# -- in the controller ----------------------------------------------------------------------------


@pytest.fixture
def bench():
    bench = Bench(configuration())
    bench.driver = Driver()
    bench.controller.guard = guard.Guard(bench.clock, bench.driver, None, None, None)
    bench.serial.to_pump += b"load 40 mL\ninfuse 1 mL 60 mL/h\nstart\n"
    for _ in range(3):
        bench.link.poll()
    assert bench.motor.moving
    return bench


def test_what_stops_a_motion_closes_the_books_and_switches_the_driver_off(bench):
    bench.run_to(5_000_000)
    bench.driver.says = (True, None)
    bench.run_to(20_000_000)
    run = bench.controller.run
    assert not bench.motor.moving and not bench.pins.on
    assert bench.controller.state == "alarm" and bench.alarms.standing() == ["A_HOT"]
    assert run.commanded == run.witnessed == len(bench.dose.edges)
    # Looked at at the start, and 10 s after: the main loop comes by every second.
    assert 10_000_000 <= bench.dose.edges[-1][0] <= 11_100_000


def test_at_rest_nothing_is_told_but_a_start_is_refused(bench):
    bench.controller.stop()
    bench.driver.says, bench.driver.fails = (False, "silent"), "silent"
    bench.run_to(60_000_000)
    assert bench.controller.state == "idle" and bench.alarms.standing() == []


def test_a_motion_that_ends_by_the_clamp_can_go_on_when_it_is_back(bench):
    bench.run_to(5_000_000)
    bench.dose.flags, bench.dose.bits = 2, 2  # F_END, by the clamp
    bench.run_to(6_000_000)
    assert bench.alarms.standing() == ["A_SYRINGE_OUT"]
    bench.controller.clear()
    bench.pins.clamped = False
    with pytest.raises(Exception, match="no syringe"):
        bench.controller.resume()
    bench.pins.clamped = True
    bench.controller.resume()
    assert bench.motor.moving


def test_a_curve_of_the_reference_board_is_checked_on_the_device():
    config = resources.firmware_module("config")
    sealed = resources.firmware_module("sealed")
    vectors = Path(__file__).parents[2] / "vectors" / "compile.json"
    text = next(
        case["sealed"]
        for case in json.loads(vectors.read_text())
        if case["board"] == "pico_tmc2209"
    )
    good = json.loads(text.split("\n")[1])

    def check(change):
        data = json.loads(json.dumps(good))
        change(data["board"])
        return config.check(sealed.seal("config", 1, json.dumps(data)))

    check(lambda board: None)
    for change in (
        lambda board: board.pop("tmc2209"),
        lambda board: board["pins"].pop("uart_rx"),
        lambda board: board["tmc2209"].update(address=4),
        lambda board: board["tmc2209"].pop("sgthrs"),
        lambda board: board.update(tmc2209=[]),
        lambda board: board.pop("hot_counts"),
        lambda board: board.update(hot_counts=True),
        lambda board: board["supply"].pop("curve"),
        lambda board: board["supply"]["curve"].append([9_000, 0]),
        lambda board: board["supply"]["curve"][0].append(1),
        lambda board: board["supply"]["curve"].__setitem__(0, 7),
        lambda board: board["supply"].update(full_mv="15522"),
    ):
        with pytest.raises(resources.firmware_module("errors").Refused) as refused:
            check(change)
        assert refused.value.code == "E_CONFIG"
