"""The near-empty warning (B6): ten minutes before, by what goes on, and cheap."""

from unit.firmware.bench import Bench
from unit.firmware.test_patient import HOUR, MIN, SLOW, STEP, order
from unit.firmware.test_therapy import ML, infuse, started

SECOND = 1_000_000


def bolus(volume_al, rate):
    return dict(infuse(volume_al, rate), mode="bolus")


def warned_at(bench):
    """Return the minutes at which it was warned, None when it was not."""
    times = [e["ms"] / MIN for e in bench.events.since(0, 10**6) if e["e"] == "near_empty"]
    assert len(times) <= 1
    return times[0] if times else None


def by(minute, bench):
    at = warned_at(bench)
    return at is not None and minute <= at <= minute + 1.01 / 60


def test_an_infusion_by_hand():
    # 10 mL at 20 mL/h are empty after 30 min: warned at 20
    bench = started([infuse(10 * ML, 20 * ML)], fill=10 * ML)
    bench.run_out()
    assert by(20, bench)


def test_a_short_fast_bolus_on_top_does_not_warn():
    # 20 mL at 1 mL/h; 1 mL at 150 mL/h takes 24 s. By that rate 19 mL would last 7.6 min.
    bench = started([infuse(15 * ML, ML)], fill=20 * ML)
    bench.run_to(10 * SECOND)
    bench.controller.bolus_now(ML, 150 * ML)
    bench.run_to(HOUR * 1000)
    assert warned_at(bench) is None


def test_an_injection_that_leaves_enough_does_not_warn():
    # 3 mL of 40 in 30 s; by its rate 37 mL would last 6 min, and nothing comes after it
    bench = started([bolus(3 * ML, 360 * ML)], fill=40 * ML)
    bench.run_out()
    assert bench.controller.state == "idle" and warned_at(bench) is None


def test_a_bolus_that_leaves_little_warns_while_it_is_given():
    # 5 mL at 6 mL/h with a bolus of 4.5 mL: 0.5 mL are left, 5 min at 6 mL/h
    bench = started([infuse(5 * ML, 6 * ML)], fill=5 * ML)
    bench.run_to(2 * SECOND)
    assert warned_at(bench) is None
    bench.controller.bolus_now(9 * ML // 2, 270 * ML)  # a minute
    bench.run_to(4 * SECOND)
    assert warned_at(bench) is not None


def test_a_slow_bolus_that_empties_the_syringe_warns_ten_minutes_before():
    bench = started([bolus(10 * ML, 20 * ML)], fill=10 * ML)
    bench.run_out()
    assert by(20, bench)


def test_boluses_with_a_pause_between_are_judged_as_they_come():
    # 4 mL in 4 min, an hour, 6 mL in 6 min: empty at 70 min, so warned with the second, at 64
    pause = {"mode": "pause", "duration_ms": HOUR}
    steps = [bolus(4 * ML, 60 * ML), pause, bolus(6 * ML, 60 * ML)]
    bench = started(steps, fill=10 * ML)
    bench.run_out()
    assert by(64, bench)


def test_after_the_boluses_the_vein_is_kept_open():
    # 9.9 mL of 10 in 9.9 min, then 0.1 mL at 1 mL/h: 15.9 min, so warned at 5.9
    bench = started([bolus(99 * ML // 10, 60 * ML)], fill=10 * ML, kvo=ML)
    bench.run_out(60)
    bench.run_to(8 * MIN * 1000)
    assert by(5.9, bench)


def patient(fill, **changes):
    bench = Bench(SLOW)
    bench.table.run("load", {"volume_al": fill})
    bench.controller.plan(order.make("pca", [{**STEP, **changes}], SLOW), False)
    bench.controller.start()
    return bench


def test_a_patient_may_ask_every_lockout():
    # 1 mL/h and a dose of 1 mL every 6 min: 11 mL/h. Below 11/6 mL it may be empty in 10 min;
    # by the basal rate alone that would be told 110 min later, with no dose left to give.
    bench = patient(2 * ML)
    bench.run_to(9 * MIN * 1000)
    assert warned_at(bench) is None
    bench.run_to(12 * MIN * 1000)
    assert by(10, bench)  # 2 mL - 10 min at 1 mL/h = 11/6 mL


def test_a_patients_dose_does_not_warn_before():
    bench = patient(10 * ML)  # by 61 mL/h empty in 10 min, at once
    assert bench.controller.demand()["given_now"]
    bench.run_to(5 * MIN * 1000)
    assert warned_at(bench) is None


def test_a_patient_without_basal_rate_is_warned_too():
    # 3 mL, 1 mL every 6 min: 10 mL/h. In the second dose less than 10/6 mL is left.
    bench = patient(3 * ML, basal_al_per_h=0)
    assert bench.controller.demand()["given_now"]
    bench.run_to(7 * MIN * 1000)
    assert warned_at(bench) is None
    assert bench.controller.demand()["given_now"]
    bench.run_to(9 * MIN * 1000)
    assert warned_at(bench) is not None


def test_it_divides_once_a_second_at_most(monkeypatch):
    bench = started([infuse(10 * ML, 20 * ML)], fill=20 * ML)
    asked = []
    judge = bench.controller._empty_within
    monkeypatch.setattr(
        bench.controller, "_empty_within", lambda *args: asked.append(0) or judge(*args)
    )
    for ms in range(0, 10_000, 20):  # telemetry, 50 times a second
        bench.run_to(ms * 1000)
    assert 9 <= len(asked) <= 11


def test_a_patient_may_ask_beside_a_square_bolus():
    # 4 mL: 1 mL/h, 1 mL over 2 h and a dose of 1 mL every 6 min are 11.5 mL/h. Below 11.5/6 mL it
    # may be empty in 10 min: 4 mL - 83 1/3 min at 1.5 mL/h. By 1.5 mL/h alone, not in these 2 h.
    bench = patient(4 * ML, limit_4h_al=20 * ML)
    bench.run_to(10 * SECOND)
    bench.controller.bolus_now(ML, None, 2 * HOUR)
    bench.run_to(83 * MIN * 1000)
    assert warned_at(bench) is None
    bench.run_to(84 * MIN * 1000)
    assert warned_at(bench) is not None
