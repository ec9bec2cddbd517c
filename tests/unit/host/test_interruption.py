"""What a reset left of a run, in words: worked by hand."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import pytest

from doseloop import interruption, output
from doseloop.errors import Refused
from doseloop.results import (
    AlarmState,
    Event,
    Plan,
    PumpId,
    RunState,
    Status,
    Stretch,
    SyringeState,
)

ML = 10**15
AL = 173_530_803_503  # one microstep of a 50 mL syringe
# 2 mL at 60 mL/h: floor(2 * 10^15 / AL) = 11,525 steps. 7376 of them are 1,279,963 nL, 63.9 %;
# the other 4149 are 719,979 nL, in 43.2 s.
RUN = RunState(
    "1-1", 1, 11_525, 7376, 7376, 1_279_963, 719_979, 43_198, name="night", uncertain_steps=245
)
STATUS = Status(
    schema=1,
    pump=PumpId("00a1", "0.1.0", 1, "pico", "simulated", port="p"),
    state="interrupted",
    device_ms=1000,
    last_event=3,
    run=RUN,
    rate_al_per_h=0,
    tick_hz=10**6,
    syringe=SyringeState("bd-plastipak-50", AL, 7376, 38_719_928),
    alarms=[AlarmState("A_RESET", "high", 0)],
)
PLAN = Plan(11_525, 120_000, [Stretch("infuse", 60 * ML, 11_525, 120_000)])


@dataclass
class Asked:
    """As much of a pump as the texts need."""

    order: Plan | None = PLAN
    told: list[Event] = field(default_factory=list)

    def plan(self) -> Plan:
        if self.order is None:
            raise Refused("there is no order")
        return self.order

    def events(self) -> list[Event]:
        return self.told


def shown(pump: Asked, status: Status = STATUS, name: str | None = None) -> str:
    return output.status_text(status, interruption.rows(pump, status, name))


def changed(**fields) -> Status:
    return msgspec.structs.replace(STATUS, run=msgspec.structs.replace(RUN, **fields))


@pytest.mark.requirement("F10")
def test_a_technician_reads_what_stands_and_the_two_ways_on():
    # 245 steps are 42.5 uL: "up to" rounds up.
    assert shown(Asked()).splitlines() == [
        "pump       00a1 on p (simulated, pico)",
        "state      interrupted",
        "alarm      A_RESET (high), 0 ms after boot",
        "           a reset cut the order short; nothing moves until a person says so",
        "order      night (run 1-1)",
        "delivered  1.280 of 2.000 mL (64 %), 7,376 of 11,525 steps witnessed",
        "uncertain  up to 0.043 mL (245 steps) may have flowed beyond that: power was lost",
        "to go      0.720 mL in 0:00:44",
        "rate       60 mL/h (infuse, as ordered)",
        "go on      doseloop resume: the rest of it, to the step",
        "or end it  doseloop stop: what was delivered is the total",
        "library    none in force; no library for this run",
        "syringe    bd-plastipak-50, 38.720 mL, not calibrated",
    ]


def test_an_exact_count_says_nothing_of_doubt():
    assert "uncertain" not in shown(Asked(), changed(uncertain_steps=0))
    assert interruption.beyond(0, AL) == ""


@pytest.mark.parametrize(("steps", "volume"), [(1, "0.001"), (5, "0.001"), (6, "0.002")])
def test_doubt_is_rounded_up(steps, volume):
    # One step is 0.174 uL, five are 0.868, six are 1.041.
    assert interruption.beyond(steps, AL).startswith(f"up to {volume} mL ({steps} steps)")


def test_the_name_comes_from_the_records_where_the_status_has_no_room():
    assert "order      a long one (run 1-1)" in shown(Asked(), changed(name=""), "a long one")
    assert "order      without a name (run 1-1)" in shown(Asked(), changed(name=""))


def test_a_rate_that_was_changed_is_not_shown_as_ordered():
    # 0.72 mL in 86.4 s are 30 mL/h.
    text = shown(Asked(), changed(remaining_ms=86_396))
    assert "rate       about 30 mL/h (60 mL/h were ordered)" in text


def test_a_rate_that_cannot_be_known_is_left_out():
    assert "\nrate " not in shown(Asked(None))
    assert "\nrate " not in shown(Asked(), changed(step=2))  # beyond the stretches that were sent


def test_withdrawn_and_kept_open_stand_apart():
    text = shown(Asked(), changed(withdrawn_nl=500_000, kvo_steps=100))
    assert "delivered  1.280 mL infused, 0.500 mL withdrawn (64 %), 7,376 of" in text
    assert "vein open  0.017 mL besides" in text


def test_what_cannot_go_on_says_why_and_what_was_delivered():
    data = {"commanded_steps": 7376, "witnessed_steps": 7376, "booked_in": 7376}
    data |= {"uncertain_steps": None, "why": "another configuration is in force"}
    pump = Asked(None, [Event(2, 2, 0, "interrupted", "1-1", data)])
    lines = shown(pump, msgspec.structs.replace(STATUS, state="idle", run=None)).splitlines()
    assert "last run   without a name (run 1-1): a reset ended it" in lines
    assert "because    another configuration is in force" in lines
    assert "delivered  7,376 steps witnessed" in lines
    status = msgspec.structs.replace(STATUS, state="idle")
    assert "delivered  1.280 of 2.000 mL (64 %)" in shown(pump, status)
    assert "uncertain  up to 0.043 mL" in shown(pump, status)


def test_after_that_was_read_and_cleared_nothing_more_is_said():
    status = msgspec.structs.replace(STATUS, state="idle", alarms=[])
    assert interruption.rows(Asked(), status) == []
