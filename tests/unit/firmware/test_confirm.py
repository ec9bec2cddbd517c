"""A change takes effect when it is confirmed, and only then: rate, configuration, order."""

import json
from pathlib import Path

import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.firmware.bench import CONFIG, config_module, errors, tick
from unit.firmware.test_therapy import ML, SLOW, infuse, started
from unit.firmware.wire_host import Host

from doseloop import resources

sealed = resources.firmware_module("sealed")
MINUTE = 60_000_000  # ticks

OTHER = next(
    case["sealed"]
    for case in json.loads((Path(__file__).parents[2] / "vectors/compile.json").read_text())
    if case["board"] == "pico_tmc2209" and case["syringe"] == "hamilton-1010"
)


def refusal(call, *args):
    with pytest.raises(errors.Refused) as caught:
        call(*args)
    assert caught.value.message and caught.value.next
    return caught.value


def ask(bench, name, **args):
    return bench.table.run(name, args)


def confirm(bench, digest):
    return ask(bench, "confirm", digest=digest)


@pytest.mark.requirement("A8", "F1")
def test_a_rate_by_hand():
    # A8: 5 mL/h flows on while 6 mL/h waits, and when another digest than its own is named.
    bench = started([infuse(ML, 5 * ML)])
    bench.run_to(10_000_000)
    last = bench.events.last
    reply = ask(bench, "rate", rate_al_per_h=6 * ML)
    assert reply == {
        "digest": sealed.crc_hex("1-1 1 %d %d" % (5 * ML, 6 * ML)),
        "replaces": False,
        "keeps_ms": 600_000,
        "old": "5 mL/h",
        "new": "6 mL/h",
        "old_al_per_h": 5 * ML,
        "new_al_per_h": 6 * ML,
    }
    assert refusal(confirm, bench, "00000000").code == "E_CONFIRM"
    assert (bench.controller.rate(), bench.events.last) == (5 * ML, last)
    bench.run_to(20_000_000)
    assert bench.dose.active and (bench.controller.rate(), bench.events.last) == (5 * ML, last)
    assert confirm(bench, reply["digest"]) == {"rate_al_per_h": 6 * ML}
    assert bench.controller.rate() == 6 * ML
    new = bench.events.since(last, 9)
    assert [event["e"] for event in new] == ["stretch_end", "rate", "stretch"]
    assert (new[1]["old"], new[1]["rate"], new[2]["rate"]) == (5 * ML, 6 * ML, 6 * ML)
    # Once: it does not wait any more.
    assert refusal(confirm, bench, reply["digest"]).code == "E_CONFIRM"


def test_a_refused_proposal_leaves_the_one_that_waits():
    bench = started([infuse(ML, 5 * ML)])
    digest = ask(bench, "rate", rate_al_per_h=6 * ML)["digest"]
    assert refusal(ask, bench, "rate").code == "E_ARG"
    assert refusal(lambda: ask(bench, "rate", rate_al_per_h=10**25)).code == "E_RATE_HIGH"
    confirm(bench, digest)
    assert bench.controller.rate() == 6 * ML


def test_the_newer_proposal_replaces_the_older():
    bench = started([infuse(ML, 5 * ML)])
    first = ask(bench, "rate", rate_al_per_h=6 * ML)
    second = ask(bench, "rate", rate_al_per_h=7 * ML)
    assert (first["replaces"], second["replaces"]) == (False, True)
    assert refusal(confirm, bench, first["digest"]).code == "E_CONFIRM"
    confirm(bench, second["digest"])
    assert bench.controller.rate() == 7 * ML


@pytest.mark.parametrize(("waited", "good"), [(10 * MINUTE - 1000, True), (10 * MINUTE, False)])
def test_a_proposal_waits_ten_minutes(waited, good):
    bench = started([infuse(ML, 5 * ML)])
    digest = ask(bench, "rate", rate_al_per_h=6 * ML)["digest"]
    bench.run_to(waited)
    if good:
        confirm(bench, digest)
    else:
        assert refusal(confirm, bench, digest).code == "E_CONFIRM"
        assert not ask(bench, "rate", rate_al_per_h=6 * ML)["replaces"]
    assert bench.controller.rate() == (6 * ML if good else 5 * ML)


def stop(bench):
    bench.controller.stop()


def alarm(bench):
    bench.dose.flags |= tick.F_STOP
    bench.controller.service()
    assert bench.controller.state == "alarm"
    bench.dose.flags = 0
    bench.controller.clear()
    bench.controller.resume()


def item_over(bench):
    bench.run_to(bench.clock.now + 8_000_000)  # 10 steps of 125 ms
    assert bench.controller.run.item().number == 2


def dose_on_top(bench):
    bench.controller.bolus_now(SLOW["motion"]["al_per_step"] * 5, 60 * ML)


def link_lost(bench):
    bench.controller.run.order.stop_ms = 1000
    bench.controller.link_lost(1000)


@pytest.mark.parametrize("ends", [stop, alarm, item_over, dose_on_top, link_lost])
def test_a_proposal_ends_with_what_it_was_for(ends):
    al = SLOW["motion"]["al_per_step"]
    bench = started([infuse(10 * al, 5 * ML), infuse(ML, 5 * ML)])
    digest = ask(bench, "rate", rate_al_per_h=6 * ML)["digest"]
    bench.run_to(500_000)
    ends(bench)
    before = bench.status()
    assert refusal(confirm, bench, digest).code == "E_CONFIRM"
    assert bench.status() == before
    assert "rate" not in bench.names()


def test_a_paused_run_takes_a_confirmed_rate_when_it_goes_on():
    bench = started([infuse(ML, 5 * ML)])
    digest = ask(bench, "rate", rate_al_per_h=6 * ML)["digest"]
    bench.controller.pause()
    confirm(bench, digest)
    assert bench.controller.rate() == 0
    bench.controller.resume()
    assert bench.controller.rate() == 6 * ML


RATES = st.integers(1 * ML, 300 * ML)
DEEDS = st.lists(
    st.tuples(
        st.integers(0, 25_000_000),
        st.sampled_from(["propose", "confirm", "wrong", "stale", "pause", "alarm", "glance"]),
        RATES,
    ),
    max_size=25,
)


@pytest.mark.requirement("A8", "F2")
@settings(max_examples=150)
@given(st.lists(st.tuples(st.integers(1, 400), RATES), min_size=1, max_size=3), DEEDS)
def test_the_rate_in_effect_is_the_last_one_confirmed(stretches, deeds):
    # A8, A18, F2. What the host believes is kept here; status, events and edges must agree.
    al = SLOW["motion"]["al_per_step"]
    bench = started([infuse(steps * al, rate) for steps, rate in stretches])
    controller, run = bench.controller, bench.controller.run
    rates = dict(enumerate([rate for _, rate in stretches], 1))
    waits, earlier, seen, number = None, "00000000", 0, 1
    for ticks, deed, rate in deeds:
        bench.run_to(bench.clock.now + ticks)
        if run.ended:
            break
        try:
            if deed == "propose":
                digest = ask(bench, "rate", rate_al_per_h=rate)["digest"]
                if waits is not None and waits[0] != digest:
                    earlier = waits[0]
                waits = (digest, rate, run.item(), bench.clock.ms())
            elif deed == "confirm" and waits is not None:
                confirm(bench, waits[0])
                assert bench.clock.ms() - waits[3] < 60_000
                rates[waits[2].number], waits = waits[1], None
            elif deed in ("wrong", "stale"):
                digest = earlier if deed == "stale" else "0badcafe"
                if waits is None or digest != waits[0]:
                    assert refusal(confirm, bench, digest).code == "E_CONFIRM"
            elif deed == "pause":
                controller.pause()
                controller.resume()
            elif deed == "alarm":
                alarm(bench)
                waits = None
        except errors.Refused as refused:
            assert refused.code in ("E_STATE", "E_CONFIRM")
        if run.ended:
            break
        reached = run.item().number
        if bench.dose.active:
            assert controller.rate() == run.item().rate == rates[reached]
        now = [e for e in bench.events.since(seen, 10**6) if e["e"] == "stretch"]
        assert {e["rate"] for e in now} <= {rates[n] for n in range(number, reached + 1)}
        seen, number = bench.events.last, reached
    bench.run_out()
    assert run.ended
    edges = [oracle.Edge(at * 1000, nth) for nth, (at, _) in enumerate(bench.dose.edges)]
    wanted = [e for e in bench.events.since(0, 10**6) if e["e"] in ("stretch", "stretch_end")]
    oracle.judge(edges, wanted, al)


@pytest.fixture
def host():
    it = Host(SLOW)
    it.ask("hello")
    return it


def send(host, text):
    for at in range(0, len(text), 500):
        host.ask("put", {"slot": "config", "offset": at, "data": text[at : at + 500]})
    return host.ask("config", {"size": len(text)})


@pytest.mark.requirement("F1", "F11")
def test_a_configuration_by_hand(host):
    host.ask("load", {"volume_al": 40 * ML})
    motor, before = host.bench.motor, host.bench.status()
    reply = send(host, OTHER)["ok"]
    assert reply["digest"] == OTHER.split()[3]
    assert reply["old"] == "pico_tmc2209 with bd-plastipak-50"
    assert reply["new"] == "pico_tmc2209 with hamilton-1010"
    assert reply["old_al_per_step"] == SLOW["motion"]["al_per_step"] != reply["new_al_per_step"]
    assert host.error("confirm", {"digest": CONFIG.split()[3]}) == "E_CONFIRM"
    assert host.bench.motor is motor and host.bench.status() == before
    # A wrong digest has not lost what was uploaded.
    done = host.ask("confirm", {"digest": reply["digest"]})["ok"]
    assert done["config_crc"] == reply["digest"]
    assert host.bench.controller.config == config_module.check(OTHER)
    assert host.error("confirm", {"digest": reply["digest"]}) == "E_CONFIRM"  # once


def test_a_frame_sent_again_confirms_once(host):
    host.ask("load", {"volume_al": 40 * ML})
    host.ask("infuse", {"volume_al": ML, "rate_al_per_h": 5 * ML})
    host.ask("start")
    digest = host.ask("rate", {"rate_al_per_h": 6 * ML})["ok"]["digest"]
    first = host.ask("confirm", {"digest": digest}, id="same")
    assert host.ask("confirm", {"digest": digest}, id="same") == first
    assert host.bench.names().count("rate") == 1


@pytest.mark.parametrize("begins", ["infuse", "start"])
def test_an_order_that_comes_after_a_proposed_configuration_drops_it(host, begins):
    infusion = {"volume_al": ML, "rate_al_per_h": 5 * ML}
    host.ask("load", {"volume_al": 40 * ML})
    if begins == "start":
        host.ask("infuse", infusion)
    digest = send(host, OTHER)["ok"]["digest"]
    assert "ok" in host.ask(begins, infusion if begins == "infuse" else {})
    assert host.error("confirm", {"digest": digest}) == "E_CONFIRM"
    assert host.bench.controller.config is SLOW


@pytest.mark.requirement("F2")
def test_a_configuration_is_not_proposed_while_something_runs(host):
    host.ask("load", {"volume_al": 40 * ML})
    host.ask("infuse", {"volume_al": ML, "rate_al_per_h": 5 * ML})
    host.ask("start")
    assert send(host, OTHER)["err"]["code"] == "E_STATE"


@pytest.mark.requirement("F11")
def test_a_direct_order_starts_by_the_digest_of_its_own_plan(host):
    # F11: an order typed meanwhile can't be started by a host that has shown another one.
    host.ask("load", {"volume_al": 40 * ML})
    shown = host.ask("infuse", {"volume_al": ML, "rate_al_per_h": 5 * ML})["ok"]["order_crc"]
    again = host.ask("infuse", {"volume_al": ML, "rate_al_per_h": 5 * ML})["ok"]["order_crc"]
    other = host.ask("infuse", {"volume_al": ML, "rate_al_per_h": 6 * ML})["ok"]["order_crc"]
    back = host.ask("withdraw", {"volume_al": ML, "rate_al_per_h": 6 * ML})["ok"]["order_crc"]
    assert shown == again and len({shown, other, back}) == 3
    host.ask("infuse", {"volume_al": ML, "rate_al_per_h": 6 * ML})
    assert host.error("start", {"order_crc": shown}) == "E_ORDER"
    assert host.bench.controller.state == "ready"
    assert "ok" in host.ask("start", {"order_crc": other})


def test_a_person_at_a_terminal():
    terminal = Host(SLOW)
    terminal.raw(b"load 50 mL\n")
    plan = terminal.raw(b"infuse 1 mL 5 mL/h\n")
    crc = terminal.bench.controller.order.crc.encode()
    assert b"infuse at 5 mL/h, 5762 steps" in plan and b"start " + crc in plan
    assert b"E_ORDER" in terminal.raw(b"start 0badcafe\n")
    assert b"run=1-1" in terminal.raw(b"start " + crc + b"\n")
    said = terminal.raw(b"rate 6 mL/h\n")
    digest = terminal.bench.controller.pending.digest.encode()
    assert b"rate now: 5 mL/h; proposed: 6 mL/h" in said and b"type confirm " + digest in said
    assert b"another proposal is dropped" in terminal.raw(b"rate 6 mL/h\n")
    assert b"E_ARG" in terminal.raw(b"confirm\n")
    assert b"E_CONFIRM" in terminal.raw(b"confirm 0badcafe\n")
    assert terminal.bench.controller.rate() == 5 * ML
    assert terminal.raw(b"confirm " + digest + b"\n").startswith(b"ok, rate 6 mL/h\r\n")
    assert terminal.bench.controller.rate() == 6 * ML


def test_a_bench_without_a_configuration_takes_its_first():
    host = Host()
    host.ask("hello")
    reply = send(host, OTHER)["ok"]
    assert reply["old"] is None and reply["old_al_per_step"] is None
    assert "ok" in host.ask("confirm", {"digest": reply["digest"]})
    assert host.bench.motor is not None
