"""Which rates can be ordered, and what the rate shown, KVO and a sum of flows may be."""

import ast
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.firmware import flow
from unit.firmware.bench import errors, order, quantity
from unit.firmware.test_modes import HOUR, MIN, ramp
from unit.firmware.test_therapy import AL, ML, SLOW, infuse, started, totals

from doseloop import resources

# 173530803503 aL a step: 20,000 steps/s are 173530803503 * 3600 * 20000 aL/h, and a step in
# 2**30 - 1 us 173530803503 * 3600 * 10**6 / (2**30 - 1) = 581807357438.8 aL/h, rounded up.
MOST = 12_494_217_852_216_000_000
LEAST = 581_807_357_439


def refused(call, *arguments):
    with pytest.raises(errors.Refused) as caught:
        call(*arguments)
    return caught.value


@pytest.mark.requirement("A1")
@pytest.mark.parametrize("rate", [LEAST, LEAST + 1, ML, MOST - 1, MOST])
def test_the_whole_range_is_taken_as_it_is(rate):
    assert order.make("t", [infuse(ML, rate)], SLOW).steps[0].rate == rate


@pytest.mark.requirement("A1")
@pytest.mark.parametrize(
    ("rate", "code", "nearest"),
    [
        (MOST + 1, "E_RATE_HIGH", "12494.217852216 mL/h"),
        (10**30 - 1, "E_RATE_HIGH", "12494.217852216 mL/h"),
        (LEAST - 1, "E_RATE_LOW", "581.807357439 nL/h"),
        (1, "E_RATE_LOW", "581.807357439 nL/h"),
    ],
)
def test_outside_it_is_refused_with_the_nearest_and_nothing_changes(rate, code, nearest):
    bench = started([infuse(6 * ML, 6 * ML)])
    bench.run_to(1_000_000)
    for call in (
        lambda: order.make("t", [infuse(ML, rate)], SLOW),
        lambda: bench.table.run("rate", {"rate_al_per_h": rate}),
        lambda: bench.table.run("bolus_now", {"volume_al": ML, "rate_al_per_h": rate}),
    ):
        error = refused(call)
        assert (error.code, error.limit) == (code, nearest) and error.next
        assert bench.controller.rate() == 6 * ML
    # Both figures are exact: what is named can be ordered, and is the edge of the range.
    assert quantity.parse(nearest, "rate") == {"E_RATE_HIGH": MOST, "E_RATE_LOW": LEAST}[code]


@pytest.mark.requirement("A1", "A2")
@given(st.integers(LEAST, MOST))
def test_any_whole_rate_within_is_kept_to_the_attolitre(rate):
    (item,) = order.make("t", [infuse(50 * ML, rate)], SLOW).items()
    assert item.rate == rate and item.volume_al == 50 * ML


@pytest.mark.requirement("A2")
def test_the_core_knows_no_floats():
    # Binary fractions can't hold 0.1 mL; below the line where people type there are none.
    for path in (resources.firmware_root() / "pump").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            where = f"{path.name}:{getattr(node, 'lineno', 0)}"
            assert not (isinstance(node, ast.Constant) and type(node.value) is float), where
            assert not isinstance(getattr(node, "op", None), ast.Div), where
            assert not (isinstance(node, ast.Name) and node.id == "float"), where


@pytest.mark.requirement("A2", "B1")
@given(st.integers(1, 500), st.integers(1, 50))
def test_increments_add_up_to_the_step(tenths, parts):
    # 0.1 mL = 10**14 aL: n parts of it are n * 10**14 // AL steps, however they are divided.
    most = min(parts, tenths)
    sizes = [tenths // most + (nth < tenths % most) for nth in range(most)]
    made = order.make("t", [infuse(size * 10**14, 60 * ML) for size in sizes], SLOW)
    assert made.total_steps() == tenths * 10**14 // AL


# -- KVO ------------------------------------------------------------------------------------------


@pytest.mark.requirement("A10")
@pytest.mark.parametrize(
    ("steps", "kvo", "rate"),
    [
        ([infuse(20 * AL, 60 * ML)], 5 * ML, 5 * ML),
        ([infuse(20 * AL, 60 * ML)], 90 * ML, 60 * ML),
        ([infuse(20 * AL, 60 * ML), {"mode": "pause", "duration_ms": MIN}], 90 * ML, 60 * ML),
        ([infuse(20 * AL, 90 * ML), infuse(20 * AL, 60 * ML)], 70 * ML, 60 * ML),
    ],
)
def test_kvo_is_the_lower_of_both_rates_shown_and_logged(steps, kvo, rate):
    bench = started(steps, kvo=kvo)
    bench.run_to(2 * MIN * 1000)
    status = bench.table.run("status", {})
    assert (status["state"], status["rate_al_per_h"]) == ("kvo", rate)
    assert [e["rate"] for e in bench.events.since(0, 10**6) if e["e"] == "kvo"] == [rate]
    at = [tick for tick, _ in bench.dose.edges]
    assert len(at) == sum(step.get("volume_al", 0) for step in steps) // AL
    bench.controller.stop()
    gaps = flow.intervals([tick for tick, _ in bench.dose.edges][len(at) :])
    assert gaps and abs(min(gaps) - flow.period(AL, rate)) <= 1


@pytest.mark.requirement("A10")
def test_without_kvo_the_end_is_the_end():
    bench = started([infuse(20 * AL, 60 * ML)])
    bench.run_to(2 * MIN * 1000)
    status = bench.table.run("status", {})
    assert (status["state"], status["rate_al_per_h"]) == ("idle", 0)
    assert "kvo" not in bench.names() and len(bench.dose.edges) == 20


@pytest.mark.requirement("A10")
def test_kvo_follows_a_rate_that_was_lowered_under_way():
    bench = started([infuse(200 * AL, 60 * ML)], kvo=50 * ML)
    bench.run_to(1_000_000)
    bench.controller.change_rate(40 * ML)
    bench.run_to(MIN * 1000)
    assert (bench.controller.state, bench.controller.rate()) == ("kvo", 40 * ML)


# -- the rate shown, and the sum of all that flows ------------------------------------------------

rates = st.integers(20 * ML, 300 * ML)
flowing = st.one_of(
    st.builds(infuse, st.integers(30 * AL, 300 * AL), rates),
    st.builds(lambda a, b, ms: ramp(a, b, duration_ms=ms), rates, rates, st.integers(500, 9_000)),
)


@pytest.mark.requirement("A18")
@settings(max_examples=60)
@given(
    st.lists(flowing, min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(1, 900_000), st.none() | rates), max_size=30),
)
def test_the_rate_shown_is_the_rate_of_the_edges(steps, looks):
    # Two looks that show one rate, and no rate or stretch begun between them: the edges between
    # them have its period.
    bench = started(steps)
    seen = []
    for ticks, rate in looks:
        bench.run_to(bench.clock.now + ticks)
        bench.controller.service()
        shown, stretches = bench.controller.rate(), bench.names().count("stretch")
        seen.append((bench.clock.now, shown, stretches))
        if rate is not None and bench.controller.state == "infusing":
            try:
                bench.controller.change_rate(rate)
                bench.controller.service()
                assert bench.controller.rate() in (rate, 0)
            except errors.Refused as error:
                assert error.code == "E_STATE"  # a ramp's, or the very end
    bench.run_out()
    edges = [at for at, _ in bench.dose.edges]
    for (t1, r1, n1), (t2, r2, n2) in itertools.pairwise(seen):
        if (r1, n1) == (r2, n2) and r1:
            for gap in flow.intervals([at for at in edges if t1 < at <= t2]):
                assert abs(gap - flow.period(AL, r1)) <= 1
        if not r1 and not r2 and n1 == n2:
            assert not [at for at in edges if t1 < at <= t2]


@pytest.mark.requirement("A13")
@settings(max_examples=60)
@given(
    st.integers(MOST // 2, MOST),
    st.lists(
        st.tuples(
            st.sampled_from(["rate", "bolus", "pause", "resume"]),
            st.integers(LEAST, MOST) | st.integers(MOST // 4, MOST // 2),
            st.integers(1, 30_000),
        ),
        max_size=20,
    ),
)
def test_whatever_is_asked_for_the_sum_stays_within_the_maximum(first, requests):
    config = {**SLOW, "motion": {**SLOW["motion"], "pull_in_hz": 30_000}}
    bench = started([infuse(2 * ML, first)], config)
    for what, rate, ticks in requests:
        try:
            if what == "rate":
                bench.controller.change_rate(rate)
            elif what == "bolus":
                bench.controller.bolus_now(ML // 100, rate)
            else:
                getattr(bench.controller, what)()
        except errors.Refused as error:
            assert error.code in ("E_STATE", "E_RATE_HIGH", "E_VOLUME")
        assert bench.controller.rate() <= MOST
        bench.run_to(bench.clock.now + ticks)
        assert bench.controller.rate() <= MOST
    bench.controller.stop()
    # 20,000 steps/s: no two edges closer than 50 ticks, but for the floor of each instant
    assert min(flow.intervals([at for at, _ in bench.dose.edges]), default=50) >= 49


@pytest.mark.requirement("A18")
def test_a_ramp_shows_the_rate_of_its_stair():
    # 10 to 40 mL/h in 30 s: stair k, from 0, has 10.5 + k mL/h for a second.
    bench = started([ramp(10 * ML, 40 * ML, duration_ms=30_000)])
    for k in range(29):
        bench.run_to(k * 1_000_000 + 500_000)
        bench.controller.service()
        assert bench.controller.rate() == 10 * ML + k * ML + ML // 2
    bench.run_out()
    assert bench.controller.rate() == 0
    assert totals(bench) == [25 * ML * 30 * 1000 // HOUR // AL] * 3
