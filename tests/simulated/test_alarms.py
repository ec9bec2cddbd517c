"""Every alarm, provoked on the simulated board: what it sounds and looks like at the pins, what it
says, what the pump does, that it is logged, silenced, cleared, and that it outlasts a reset.

How each is provoked is provoke.py's; a code of the table without a row there fails.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from bench import Bench
from oracle import ML
from simulated.provoke import END_CAUSE, ROWS, SECOND

from doseloop import resources

_TABLE = resources.firmware_module("alarm_table").TABLE
_MS = 1_000_000  # ns

# 60601-1-8's alarm signals as chosen: by priority the onsets of a burst's pulses and their length
# in ms, from one burst to the next in s, the lamp, its Hz and the share of time it is lit.
SIGNALS: dict[str, Any] = {
    "high": ([0, 250, 500, 1000, 1250, 1900, 2150, 2400, 2900, 3150], 150, 8, "red", 2, 0.4),
    "medium": ([0, 400, 800], 200, 10, "yellow", 0.5, 0.5),
    "low": ([0, 400], 200, 20, "yellow", None, 1),
}


def near(value: float, wanted: float) -> bool:
    return abs(value - wanted) <= 0.05 * wanted


def log(bench: Bench) -> list[list[Any]]:
    return bench.control("signals")["signals"]


def bursts(entries: list[list[Any]]) -> list[list[tuple[float, float]]]:
    """Return bursts of (begin, length) in ms: pulses more than 2 s apart are of two bursts."""
    out: list[list[tuple[float, float]]] = []
    last = None
    for entry in entries:
        if entry[1] == "buzzer":
            begin, end = entry[0] / _MS, entry[2] / _MS
            assert near((end - begin) / entry[3], 2.0), "500 Hz"
            if last is None or begin - last > 2000:
                out.append([])
            out[-1].append((begin, end - begin))
            last = end
    return out


def check_sound(entries: list[list[Any]], priority: str) -> None:
    onsets, pulse, cycle, *_ = SIGNALS[priority]
    found = [burst for burst in bursts(entries) if len(burst) == len(onsets)]
    assert len(found) >= 2, "two whole bursts"
    for burst in found:
        for (begin, length), onset in zip(burst, onsets, strict=True):
            assert near(length, pulse)
            assert begin - burst[0][0] == pytest.approx(onset, rel=0.05, abs=1)
    for this, then in pairwise(found):
        assert near(then[0][0] - this[0][0], cycle * 1000)


def check_lamp(entries: list[list[Any]], priority: str) -> None:
    *_, lamp, hertz, lit = SIGNALS[priority]
    edges = [(entry[0] / _MS, entry[2]) for entry in entries if entry[1] == lamp]
    other = [entry for entry in entries if entry[1] not in (lamp, "buzzer")]
    assert not other, "one lamp at a time"
    if hertz is None:
        assert not [level for _, level in edges if not level], "steady"
        return
    rises = [at for at, level in edges if level]
    falls = [at for at, level in edges if not level]
    falls = [at for at in falls if at > rises[0]]
    assert len(rises) >= 4
    for this, then, off in zip(rises, rises[1:], falls, strict=False):
        assert near(then - this, 1000 / hertz)
        assert near((off - this) / (then - this), lit)


def standing(bench: Bench) -> list[str]:
    return [alarm.code for alarm in bench.pump.alarms()]


def last_told(bench: Bench, code: str) -> dict[str, Any]:
    return [e for e in bench.events() if e["e"] in ("alarm", "near_empty", "fault")
            and e.get("code", "A_NEAR_EMPTY") == code][-1]  # fmt: skip


def test_every_code_of_the_table_has_a_row() -> None:
    assert set(ROWS) == set(_TABLE)


@pytest.mark.requirement("E1", "E2", "E4", "E5", "E7", "E10", "E11", "E15", "F5")
@pytest.mark.parametrize("code", sorted(ROWS))
def test_it_sounds_says_acts_and_outlasts_a_reset(code: str) -> None:
    priority, does, clears, text, _ = _TABLE[code]
    with Bench() as bench:
        bench.pump.load(40 * ML)
        ROWS[code](bench)
        found = bench.pump.alarms()
        # What it says, in status and log. (What comes again and again stands beside it.)
        assert code in [alarm.code for alarm in found] and found[0].priority == priority
        assert code == "A_REPEATED" or found[0].code == code
        assert not found[0].silenced
        if code != "A_NEAR_EMPTY":
            assert last_told(bench, code)["text"] == text
        assert code in [alarm.code for alarm in bench.pump.status().alarms]
        # What it does: two bursts and a half long.
        edges, moving = len(bench.edges()), bench.pump.status().rate_al_per_h
        log(bench)
        bench.advance((45 if priority == "low" else 25) * SECOND)
        check_sound(signals := log(bench), priority)
        check_lamp(signals, priority)
        if does in ("stops", "ends"):
            assert (moving, len(bench.edges())) == (0, edges)
            assert bench.pump.status().state == "alarm"
        else:
            assert (len(bench.edges()) > edges) == (moving > 0)
        # Silence: at most two minutes, the light stays.
        assert bench.pump.silence() <= 120_000
        bench.advance(SECOND // 10)
        assert bench.pump.status().alarms[0].silenced
        log(bench)
        bench.advance(30 * SECOND)
        quiet = log(bench)
        assert not bursts(quiet)
        check_lamp(quiet, priority)
        bench.advance(90 * SECOND)
        log(bench)
        bench.advance((45 if priority == "low" else 25) * SECOND)
        if standing(bench)[0] == code:  # more may have come meanwhile
            check_sound(log(bench), priority)
        # A reset keeps what latches; what stopped the pump still does.
        bench.control("power cut")
        bench.advance(SECOND)
        if code in END_CAUSE and code != "A_STOP_INPUT":
            bench.control(END_CAUSE[code])
        after = standing(bench)
        states = {"A_PAUSED", "A_WAITING", "A_STANDBY"}  # of one that the reset has ended
        if clears != "self" and code not in states | {"A_STORE"}:
            assert code in after
        if does in ("stops", "ends"):
            assert bench.pump.status().state == "alarm"
        # And a person clears it, once its cause is gone.
        if code == "A_STOP_INPUT":
            bench.control(END_CAUSE[code])
        if clears == "load":
            bench.pump.load(25 * ML)
        bench.advance(35 * SECOND)  # the supply is looked at every 30 s
        bench.pump.clear()
        bench.advance(SECOND)
        assert code not in standing(bench)
        made = len(bench.edges())
        log(bench)
        bench.advance(30 * SECOND)
        assert len(bench.edges()) == made, "clearing alone moves nothing"
        if not standing(bench):
            assert not log(bench), "dark and silent"


@pytest.mark.requirement("E4")
def test_it_sounds_on_while_main_hangs() -> None:
    with Bench() as bench:
        bench.pump.load(40 * ML)
        ROWS["A_STOP_INPUT"](bench)
        bench.advance(8 * SECOND)
        log(bench)
        bench.control("fault main_hang")
        bench.advance(5 * SECOND)  # the watchdog comes eight after main has last been there
        assert "main_hang" in bench.control("status")["faults"]
        signals = log(bench)
        assert sum(len(burst) for burst in bursts(signals)) >= 3
        check_lamp(signals, "high")


@pytest.mark.requirement("E3")
def test_the_highest_sounds_and_the_lower_stay_listed() -> None:
    with Bench() as bench:
        bench.pump.load(40 * ML)
        ROWS["A_NEAR_EMPTY"](bench)
        log(bench)
        bench.control("fault open_wire")
        bench.advance(20 * SECOND)
        assert standing(bench) == ["A_STOP_INPUT", "A_NEAR_EMPTY"]
        signals = [entry for entry in log(bench) if entry[1] != "yellow"]
        check_sound(signals, "high")
        # The high one goes: the low one sounds again.
        bench.control("clear open_wire")
        bench.pump.clear()
        bench.advance(SECOND // 10)
        assert "A_STOP_INPUT" not in standing(bench)


@pytest.mark.requirement("E14")
def test_a_press_that_is_refused_gives_a_short_sound() -> None:
    with Bench() as bench:
        bench.pump.load(40 * ML)
        log(bench)
        bench.control("press bolus")
        bench.advance(SECOND)
        (entry,) = log(bench)
        assert entry[1] == "buzzer" and near((entry[2] - entry[0]) / _MS, 60)


@pytest.mark.requirement("E9")
def test_the_alarm_test_shows_both_lamps_and_both_sounds() -> None:
    with Bench() as bench:
        bench.pump.load(40 * ML)
        log(bench)
        ms = bench.pump.alarm_test()
        bench.advance(ms * 1000 + SECOND)
        signals = log(bench)
        assert [len(burst) for burst in bursts(signals)] == [10, 3] or sum(
            len(burst) for burst in bursts(signals)
        ) == 13
        assert {entry[1] for entry in signals} == {"red", "yellow", "buzzer"}
        assert signals[-1][2] == 0
        assert bench.pump.alarm_noticed(sound=True, lamp=True) == []
        told = [event for event in bench.events() if event["e"] == "alarm_tested"]
        assert [(event["sound"], event["lamp"]) for event in told] == [(True, True)]


@pytest.mark.requirement("E7", "E9")
def test_the_command_line(sim: Any, cli: Any) -> None:
    at = ("--port", sim("--board", "pico_tmc2209", "--syringe", "bd-plastipak-50").port)
    assert cli("alarms", "list", *at).out == "no alarm\n"
    assert cli("alarms", "silence", *at).code == 5
    assert cli("alarms", "test", *at).code == 2, "nobody is there to be asked"
    asked = cli("alarms", "test", "--heard", "--not-seen", "--json", *at)
    assert (asked.code, asked.json["alarms"]) == (6, ["A_SIGNAL"])
    listed = cli("alarms", "list", *at)
    _, _, _, text, after = _TABLE["A_SIGNAL"]
    assert listed.code == 6 and text in listed.out and after in listed.out
    assert cli("alarms", "silence", *at).out.startswith("silent for 120 s")
    assert "A_SIGNAL (medium, silenced)" in cli("status", *at).out
    found = cli("alarms", "list", "--json", *at).json["alarms"]
    assert [(alarm["code"], alarm["silenced"]) for alarm in found] == [("A_SIGNAL", True)]
    assert cli("alarms", "ack", *at).code == 0
    assert cli("alarms", "list", *at).code == 0


@pytest.mark.requirement("F4")
def test_a_bouncing_stop_button_is_one_alarm() -> None:
    with Bench() as bench:
        bench.pump.load(40 * ML)
        bench.pump.infuse(volume_al=ML, rate_al_per_h=5 * ML)
        bench.pump.start()
        bench.advance(5 * SECOND)
        bench.control("press stop")
        bench.advance(2 * SECOND)
        told = [e["code"] for e in bench.events() if e["e"] == "alarm"]
        assert told == ["A_STOP_INPUT"]
