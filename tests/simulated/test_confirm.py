"""Edit, then confirm, end to end: what is shown as in effect is what the edges show."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise

import pytest
from bench import Bench, seal_order
from oracle import ML

from doseloop import Pump
from doseloop.errors import Refused, UsageError


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with Bench() as it:
        yield it


@pytest.mark.requirement("A8", "F2")
def test_the_edges_follow_the_last_confirmed_rate_and_no_other(bench: Bench) -> None:
    # A8, A18, F1, F2
    pump, al = bench.pump, bench.al
    pump.load(40 * ML)
    pump.infuse(volume_al=30 * ML, rate_al_per_h=60 * ML)
    pump.start()
    in_effect, seen = 60 * ML, len(bench.edges())

    def steady() -> None:
        """Ten seconds on, status and each interval are those of the rate in effect."""
        nonlocal seen
        bench.advance(1_000_000)  # the stretch that ended is behind
        seen = len(bench.edges())
        bench.advance(9_000_000)
        edges = bench.edges()[seen:]
        period_ns = Fraction(al * 3600 * 10**9, in_effect)
        gaps = [b.ns - a.ns for a, b in pairwise(edges)]
        assert len(gaps) > 50
        assert all(abs(gap - period_ns) <= 1000 for gap in gaps)
        assert pump.status().rate_al_per_h == in_effect

    steady()
    dropped = pump.propose_rate(30 * ML)
    assert (dropped.old, dropped.new, dropped.replaces) == ("60 mL/h", "30 mL/h", False)
    steady()
    change = pump.propose_rate(90 * ML + 1)
    assert change.replaces and change.old_al_per_h == 60 * ML
    for digest in (dropped.digest, "0badcafe", ""):
        with pytest.raises(Refused) as caught:
            pump.confirm(digest)
        assert caught.value.code == "E_CONFIRM" and caught.value.next
    steady()
    pump.confirm(change.digest)
    in_effect = 90 * ML + 1
    steady()
    late = pump.propose_rate(45 * ML)
    bench.advance(600_000_000)
    for digest in (late.digest, change.digest):
        with pytest.raises(Refused):
            pump.confirm(digest)
    steady()
    pump.set_rate(20 * ML)
    in_effect = 20 * ML
    steady()
    pump.stop()


def test_a_status_is_of_now_although_the_main_loop_sleeps() -> None:
    # A18: 5 s at 60 mL/h are 480 steps and 0.2 of one; then 6 mL/h. Each tick called: a status
    # knows what the latest one saw.
    steps = [
        {"mode": "infuse", "rate_al_per_h": 60 * ML, "duration_ms": 5_000},
        {"mode": "infuse", "rate_al_per_h": 6 * ML, "duration_ms": 60_000},
    ]
    with Bench("--every-tick", board="skr_pico") as bench:
        bench.pump.load(40 * ML)
        bench.pump.order(seal_order(steps, fill_al=40 * ML))
        bench.pump.start()
        bench.advance(4_900_000)
        assert bench.pump.status().rate_al_per_h == 60 * ML
        bench.advance(110_000)
        status = bench.pump.status()
        assert (status.rate_al_per_h, len(bench.edges())) == (6 * ML, 480)


@pytest.mark.requirement("F11")
def test_the_direct_order_that_was_shown_is_the_one_that_starts(bench: Bench) -> None:
    # F11
    pump = bench.pump
    pump.load(40 * ML)
    shown = pump.infuse(volume_al=ML, rate_al_per_h=60 * ML)
    pump.infuse(volume_al=2 * ML, rate_al_per_h=60 * ML)
    with pytest.raises(UsageError) as caught:
        pump.start(shown.order_crc)
    assert caught.value.code == "E_ORDER"
    assert pump.status().state == "ready"
    pump.stop()


@pytest.mark.requirement("A17", "F1", "F2")
def test_the_command_line_shows_old_and_new_and_asks(cli, sim):
    pump = sim("--board", "pico_tmc2209", "--syringe", "bd-plastipak-50")
    cli("load", "40 mL", "--port", pump.port)
    with Pump.open(pump.port) as device:
        device.infuse(volume_al=10 * ML, rate_al_per_h=60 * ML)
        device.start()
    pump.ask("advance 5")
    asked = cli("rate", "120 mL/h", "--port", pump.port, "--json")
    assert (asked.code, asked.json["error"]["code"]) == (2, "E_NO_TERMINAL")
    status = cli("status", "--json", "--port", pump.port)
    assert status.json["rate_al_per_h"] == 60 * ML
    done = cli("rate", "120 mL/h", "--yes", "--port", pump.port)
    assert (done.code, done.out) == (0, "rate 120 mL/h (was 60 mL/h)\n")
    assert cli("status", "--json", "--port", pump.port).json["rate_al_per_h"] == 120 * ML
    # 3 s at 120 mL/h are 0.1 mL, and a step. 600 mL/h flow with the dose: 1 s is 0.1667 mL.
    assert "a single fault delivers at most 0.101 mL" in done.err
    given = cli("bolus-now", "1 mL", "480 mL/h", "--yes", "--port", pump.port)
    assert given.code == 0 and "a single fault delivers at most 0.167 mL" in given.err


def test_another_syringe_is_in_force_when_it_is_confirmed(cli, sim):
    pump = sim("--board", "pico_tmc2209", "--syringe", "bd-plastipak-50")
    other = ("config", "push", "--board", "pico_tmc2209", "--syringe", "bd-plastipak-20")

    def syringe() -> str:
        return cli("status", "--json", "--port", pump.port).json["syringe"]["model"]

    asked = cli(*other, "--port", pump.port)
    assert asked.code == 2
    assert "bd-plastipak-50 → bd-plastipak-20" in asked.err
    assert syringe() == "bd-plastipak-50"
    done = cli(*other, "--yes", "--port", pump.port)
    assert done.code == 0, done.err
    assert done.out.startswith("in force: pico_tmc2209 with bd-plastipak-20")
    assert syringe() == "bd-plastipak-20"
    assert cli(*other, "--port", pump.port).code == 0  # nothing changes: nothing is asked
