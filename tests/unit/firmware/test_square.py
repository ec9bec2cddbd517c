"""A square bolus: even, alone, within its limits; suspended, it goes on with the exact rest."""

from fractions import Fraction

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from unit.firmware import flow
from unit.firmware.bench import errors
from unit.firmware.test_modes import HOUR, MIN, intermittent
from unit.firmware.test_patient import STEP, ask, begun
from unit.firmware.test_therapy import AL, ML, infuse, started, totals

TICKS = 60_000_000  # a minute


def square(bench, volume, minutes):
    return bench.table.run("bolus_now", {"volume_al": volume, "duration_ms": minutes * MIN})


def made_by(bench, minutes):
    bench.run_to(round(minutes * TICKS))
    bench.controller.service()
    return len(bench.dose.edges) + (bench.dose.seen if bench.dose.active else 0)


def given_al(bench):
    return [e["given_al"] for e in bench.events.since(0, 10**6) if e["e"] == "bolus_end"]


@pytest.mark.requirement("C2", "C4")
def test_a_square_bolus_by_hand():
    # 6 mL at 6 mL/h; after 10 min 2 mL more over 20 min are 6 mL/h: 12 mL/h until 30 min.
    bench = started([infuse(6 * ML, 6 * ML)])
    bench.run_to(10 * TICKS)
    square(bench, 2 * ML, 20)
    assert (bench.controller.state, bench.controller.rate()) == ("bolus", 12 * ML)
    for minute in range(11, 30):
        assert abs(made_by(bench, minute) - (ML + 12 * ML * (minute - 10) // 60) // AL) <= 1
    assert abs(made_by(bench, 30) - 5 * ML // AL) <= 1
    bench.run_to(30 * TICKS + 1_000_000)
    assert (bench.controller.state, bench.controller.rate()) == ("infusing", 6 * ML)
    bench.run_out()
    assert totals(bench) == [8 * ML // AL] * 3
    assert abs(bench.dose.edges[-1][0] - 60 * TICKS) < 700_000  # a step takes 0.1 s
    assert given_al(bench) == [2 * ML]


@pytest.mark.requirement("C4")
def test_its_steps_lie_on_one_grid():
    # Alone, in a wait: 0.1 mL over 7 min. One stretch, each step k at t0 + floor(k P).
    bench = started([intermittent(ML, 60 * ML, 10 * MIN, 2)])
    bench.run_to(2 * TICKS)
    square(bench, ML // 10, 7)
    rate = -(-ML // 10 * HOUR // (7 * MIN))
    bench.run_to(9 * TICKS + 1_000_000)
    event = next(
        e for e in bench.events.since(0, 10**6) if e["e"] == "stretch" and e["t0"] > TICKS
    )
    assert (event["rate"], event["steps"]) == (rate, (ML // 10 + ML % AL) // AL)
    period = flow.period(AL, rate)
    edges = [at for at, _ in bench.dose.edges if at > TICKS + 1_000_000][: event["steps"]]
    assert edges == [flow.due(event["t0"], k, period) for k in range(1, event["steps"] + 1)]


@pytest.mark.requirement("C2", "C3")
def test_a_normal_bolus_suspends_it_by_hand():
    # The same; at 15 min, when 1.5 of the 2 mL are left, 1 mL at 60 mL/h: 66 mL/h for a minute,
    # the infusion beneath. Then 12 mL/h for the 15 min that are left, 6 mL/h from 31 min on.
    bench = started([infuse(6 * ML, 6 * ML)])
    bench.run_to(10 * TICKS)
    square(bench, 2 * ML, 20)
    assert abs(made_by(bench, 15) - 2 * ML // AL) <= 1
    bench.table.run("bolus_now", {"volume_al": ML, "rate_al_per_h": 60 * ML})
    assert (bench.controller.state, bench.controller.rate()) == ("bolus", 66 * ML)
    assert abs(made_by(bench, 16) - 31 * ML // 10 // AL) <= 1
    made_by(bench, 16.01)
    assert (bench.controller.state, bench.controller.rate()) == ("bolus", 12 * ML)
    assert given_al(bench) == [ML]
    assert abs(made_by(bench, 30) - (31 + 28) * ML // 10 // AL) <= 1
    assert abs(made_by(bench, 31) - 61 * ML // 10 // AL) <= 1
    made_by(bench, 31.02)
    assert (bench.controller.state, bench.controller.rate()) == ("infusing", 6 * ML)
    assert given_al(bench) == [ML, 2 * ML]
    bench.run_out()
    assert totals(bench) == [9 * ML // AL] * 3
    assert abs(bench.dose.edges[-1][0] - 60 * TICKS) < 700_000


@pytest.mark.requirement("C3")
def test_a_patients_dose_suspends_it():
    # 1 mL/h, at 1 min 2 mL over 20 min: 7 mL/h. At 11 min a dose of a minute at 61 mL/h.
    bench = begun()
    bench.run_to(TICKS)
    square(bench, 2 * ML, 20)
    bench.run_to(11 * TICKS)
    view = ask(bench)
    assert view["given_now"] and bench.controller.rate() == 61 * ML
    assert ask(bench)["denied"]["delivering"] == 1
    made_by(bench, 12.01)
    assert bench.controller.rate() == 7 * ML
    made_by(bench, 21.9)
    assert (bench.controller.state, bench.controller.rate()) == ("bolus", 7 * ML)
    # 22 min of basal rate, a dose and the square one: to the step
    made = made_by(bench, 22)
    assert abs(made - (22 * ML // 60 + 3 * ML) // AL) <= 1
    made_by(bench, 22.4)
    assert (bench.controller.state, bench.controller.rate()) == ("infusing", ML)
    view = bench.table.run("pca", {})
    assert (view["given_nl"], view["boluses"], view["bolus_nl"]) == (10**6, 1, 2 * 10**6)


@pytest.mark.requirement("C5")
def test_one_at_a_time():
    bench = started([infuse(6 * ML, 6 * ML)])
    bench.run_to(TICKS)
    square(bench, ML, 10)
    bench.run_to(2 * TICKS)

    def refused():
        with pytest.raises(errors.Refused) as caught:
            square(bench, ML, 10)
        assert caught.value.code == "E_STATE" and "bolus" in caught.value.message

    refused()
    bench.table.run("bolus_now", {"volume_al": ML, "rate_al_per_h": 60 * ML})
    refused()  # suspended, it is still there
    with pytest.raises(errors.Refused):
        bench.controller.bolus_now(ML, 60 * ML)  # nor two normal ones
    made_by(bench, 3.01)
    refused()
    made_by(bench, 12.01)
    assert bench.controller.state == "infusing"
    square(bench, ML, 10)
    bench.run_out()
    assert totals(bench) == [9 * ML // AL] * 3


def test_none_while_a_normal_one_is_given():
    bench = started([infuse(6 * ML, 6 * ML)])
    bench.run_to(TICKS)
    bench.controller.bolus_now(ML, 60 * ML)
    with pytest.raises(errors.Refused):
        square(bench, ML, 10)


@pytest.mark.requirement("C6")
@pytest.mark.parametrize(
    ("step", "least"), [(infuse(40 * ML, 4 * ML), MIN), (dict(STEP, lockout_ms=7 * MIN), 7 * MIN)]
)
def test_its_time_has_limits(step, least):
    for ms, edge in ((least - 1, least), (6 * HOUR + 1, 6 * HOUR), (0, least)):
        bench = begun(step)
        bench.run_to(1_000_000)
        with pytest.raises(errors.Refused) as caught:
            bench.controller.bolus_now(ML, None, ms)
        assert caught.value.code == "E_DURATION"
        text = {MIN: "1 min", 7 * MIN: "7 min", 6 * HOUR: "6 h"}[edge]
        assert (caught.value.limit, caught.value.nearest) == (text, text)
        assert bench.names().count("bolus") == 0
        bench.controller.bolus_now(ML, None, edge)
        assert bench.controller.state == "bolus"


def test_it_ends_before_the_infusion_it_flows_beside():
    # 9.9 min are left of it
    bench = started([infuse(2 * ML, 6 * ML), infuse(ML, 60 * ML)])
    bench.run_to(10 * TICKS + TICKS // 10)
    with pytest.raises(errors.Refused) as caught:
        square(bench, ML, 11)
    assert (caught.value.code, caught.value.nearest) == ("E_DURATION", "9 min")
    bench.run_to(20 * TICKS - TICKS // 2)
    with pytest.raises(errors.Refused) as caught:
        square(bench, ML, 1)
    assert caught.value.code == "E_DURATION" and caught.value.nearest is None
    bench = started([infuse(2 * ML, 6 * ML), infuse(ML, 60 * ML)])
    bench.run_to(10 * TICKS)
    square(bench, ML, 9)
    bench.run_out()
    assert totals(bench) == [4 * ML // AL] * 3


@pytest.mark.parametrize(
    "args", [{}, {"rate_al_per_h": ML, "duration_ms": HOUR}], ids=["neither", "both"]
)
def test_exactly_one_of_rate_and_duration(args):
    bench = started([infuse(6 * ML, 6 * ML)])
    bench.run_to(TICKS)
    with pytest.raises(errors.Refused) as caught:
        bench.table.run("bolus_now", {"volume_al": ML, **args})
    assert caught.value.code == "E_ARG" and bench.controller.state == "infusing"


@pytest.mark.requirement("C20")
def test_the_syringe_must_hold_it_and_the_infusion_meanwhile():
    # 2 mL in it; at 6 mL/h 1 mL flows in 10 min, and a bolus of 1 mL shares a step with it
    bench = started([infuse(6 * ML, 6 * ML)], fill=2 * ML)
    bench.run_to(1000)
    with pytest.raises(errors.Refused) as caught:
        square(bench, ML, 10)
    assert caught.value.code == "E_VOLUME"


@pytest.mark.requirement("C7", "C8")
@pytest.mark.parametrize("end", ["pause", "alarm", "reset", "power cut", "stop"])
@pytest.mark.parametrize("suspended", [False, True])
def test_what_is_left_of_both_is_cancelled(end, suspended):
    # At 20 min 1 mL of the 2 is given; a normal dose of 1 mL in a minute is half given then.
    bench = started([infuse(6 * ML, 6 * ML)])
    bench.run_to(10 * TICKS)
    square(bench, 2 * ML, 20)
    bench.run_to(20 * TICKS)
    if suspended:
        bench.controller.bolus_now(ML, 60 * ML)
        bench.run_to(20 * TICKS + TICKS // 2)
    if end == "alarm":
        bench.dose.flags |= 1 << 1
        bench.controller.service()
        assert bench.controller.state == "alarm"
        bench.dose.flags = 0
        with pytest.raises(errors.Refused):
            square(bench, ML, 10)
        bench.controller.clear()
    elif end in ("reset", "power cut"):
        bench = bench.reboot(power_lost=end == "power cut")
    else:
        getattr(bench.controller, end)()
    given = given_al(bench)[-1 - suspended :]
    loss = 30 * AL if end == "power cut" else 3 * AL
    assert abs(given[-1] - ML) < loss
    if suspended:
        assert abs(given[0] - ML // 2) < (300 * AL if end == "power cut" else 3 * AL)
    run = bench.controller.run
    if end == "stop":
        assert run.ended
        return
    assert bench.controller.state in ("paused", "interrupted")
    bench.controller.resume()
    assert (bench.controller.state, bench.controller.rate()) == ("infusing", 6 * ML)
    bench.run_out()
    assert totals(bench) == [(6 * ML + sum(given)) // AL] * 3


# -- whatever comes between -----------------------------------------------------------------------

acts = st.lists(
    st.tuples(
        st.integers(1, 40 * 10**6),
        st.sampled_from(["dose", "dose", "square", "square"]),
        st.integers(AL, 3000 * AL),
        st.integers(10 * ML, 200 * ML),
    ),
    max_size=8,
)
ordered = st.lists(
    st.tuples(st.integers(3000 * AL, 9000 * AL), st.integers(10 * ML, 90 * ML)),
    min_size=1,
    max_size=2,
)


class Flow:
    """What shall flow, in aL * HOUR ticks: the order's stretches, with doses on top."""

    def __init__(self, stretches):
        self.order = [[Fraction(volume), rate] for volume, rate in stretches]
        self.doses = []  # [volume, rate], a suspended one first
        self.changes = []  # (tick, volume until then)
        self.now, self.volume = Fraction(0), Fraction(0)

    def go(self, until=None):
        """Let it flow until a tick, or to the end."""
        while self.order and (until is None or self.now < until):
            volume, rate = self.order[0]
            ticks = volume * HOUR * 1000 / rate
            total = rate
            if self.doses:
                left, extra = self.doses[-1]
                ticks = min(ticks, left * HOUR * 1000 / extra)
                total += extra
            if until is not None:
                ticks = min(ticks, until - self.now)
            self.order[0][0] -= rate * ticks / (HOUR * 1000)
            if self.doses:
                self.doses[-1][0] -= self.doses[-1][1] * ticks / (HOUR * 1000)
                if self.doses[-1][0] <= 0:
                    self.doses.pop()
            if self.order[0][0] <= 0:
                self.order.pop(0)
            self.now += ticks
            self.volume += total * ticks / (HOUR * 1000)
            self.changes.append((self.now, self.volume))

    def due(self, volume):
        """Return the tick at which a volume has flowed."""
        before = (Fraction(0), Fraction(0))
        for change in self.changes:
            if change[1] >= volume:
                part = (volume - before[1]) / (change[1] - before[1])
                return before[0] + part * (change[0] - before[0])
            before = change
        raise AssertionError("more than shall flow")


@pytest.mark.requirement("A9", "C3", "C4")
@settings(max_examples=60)
@given(ordered, acts)
def test_every_step_comes_when_its_volume_has_flowed(stretches, asked):
    bench = started([infuse(volume, rate) for volume, rate in stretches])
    model = Flow(stretches)
    total = sum(volume for volume, _ in stretches)
    for ticks, act, volume, rate in asked:
        bench.run_to(bench.clock.now + ticks)
        bench.controller.service()
        item = bench.controller.run.item()
        if bench.controller.run.ended or bench.controller.run.beneath().left() < 2:
            break
        model.go(bench.clock.now)
        if any(left < 2 * AL for left, _ in model.doses):
            continue  # for the pump it is over with its last step
        try:
            if act == "square":
                ms = MIN + rate % MIN
                rate = bench.controller.bolus_now(volume, None, ms)["rate_al_per_h"]
                assert not model.doses
            else:
                base = model.order[0][1]
                if -(-volume * HOUR // rate) * base // HOUR > model.order[0][0]:
                    continue  # spread over the dose
                bench.controller.bolus_now(volume, rate)
                assert len(model.doses) < 2
        except errors.Refused as refused:
            assert refused.code in ("E_STATE", "E_DURATION"), refused
            assert refused.code == "E_DURATION" or model.doses or item.kind == "bolus"
            continue
        model.doses.append([Fraction(volume), rate])
        total += volume
    bench.run_out()
    assert totals(bench) == [total // AL] * 3
    model.go()
    # A dose lasts whole milliseconds, and both flows end with it.
    slack = 100 + 1000 * (bench.names().count("bolus"))
    for k, (at, _) in enumerate(bench.dose.edges, 1):
        assert abs(at - model.due(k * AL)) < slack, k


@pytest.mark.requirement("C3", "C8", "C23")
@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.integers(1, 90 * 10**6),
            st.sampled_from(["square", "square", "dose", "dose", "pause", "break", "reset"]),
            st.integers(AL, 3000 * AL),
        ),
        max_size=12,
    ),
    st.sampled_from([None, 20 * ML]),
    st.booleans(),
)
@example([(1, "square", AL), (1, "dose", AL), (1, "reset", AL)], None, False)
def test_the_total_is_the_order_and_what_was_given_of_each(asked, kvo, waits):
    steps = [intermittent(ML, 60 * ML, 3 * MIN, 3)] if waits else [infuse(3 * ML, 20 * ML)]
    bench = started(steps, kvo=kvo)
    sums = {}
    for ticks, act, volume in asked:
        bench.run_to(bench.clock.now + ticks)
        if bench.controller.run is None or bench.controller.run.ended:
            break
        try:
            if act == "square":
                square(bench, volume, 1)
            elif act == "dose":
                bench.controller.bolus_now(volume, 100 * ML)
            elif act == "pause":
                bench.controller.pause()
            elif act == "break":
                bench.dose.send_break()
                bench.controller.service()
            else:
                sums[id(bench)] = sum(given_al(bench))
                bench = bench.reboot()
            if bench.controller.state in ("paused", "interrupted"):
                bench.controller.resume()
        except errors.Refused as refused:
            assert refused.code in ("E_STATE", "E_DURATION"), refused
    if bench.controller.run is None or bench.controller.run.ended:
        return
    bench.run_to(bench.clock.now + 30 * TICKS)
    run = bench.controller.run
    assert run.ended
    total = 3 * ML + sum(sums.values()) + sum(given_al(bench))
    assert run.commanded == run.witnessed == run.ordered == total // AL
    assert run.booked_in + run.kvo_steps == len(bench.dose.edges) + (
        bench.dose.seen if bench.dose.active else 0
    )
