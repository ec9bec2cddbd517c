"""The alarms: a closed table, the highest wins, silence, and what a person has to do."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.firmware.bench import (
    CONFIG,
    Bench,
    Clock,
    alarm_table,
    alarms,
    config_module,
    errors,
    events,
    sealed,
)
from unit.firmware.test_therapy import ML, SLOW, infuse, started

TABLE = alarm_table.TABLE
CODES = sorted(TABLE)
RANK = {"high": 0, "medium": 1, "low": 2}
STOPS = {code for code in TABLE if TABLE[code][1] in ("stops", "ends")}


class Voice:
    """Stands for signals.Signals: remembers what shows."""

    def __init__(self):
        self.shown, self.hints, self.tests = None, 0, 0

    def show(self, rank, silent, hint=False):
        self.shown = (rank, silent)
        self.hints += hint

    def test(self):
        self.tests += 1
        return 5500


def made():
    clock = Clock()
    own = alarms.Alarms(clock)
    own.voice = Voice()
    return clock, events.Events(clock, 1), own


def named(log):
    return [event["e"] for event in log.since(0, 10**6)]


@pytest.mark.requirement("E1", "E2")
def test_the_table_is_closed_and_every_alarm_has_its_words():
    assert set(alarm_table.ACTS) == set(alarm_table.DOES)
    assert set(alarm_table.ENDINGS) == set(alarm_table.CLEARS)
    texts = []
    for priority, does, clears, text, after in TABLE.values():
        assert priority in alarm_table.PRIORITIES
        assert does in alarm_table.DOES and clears in alarm_table.CLEARS
        assert 10 < len(text) < 80 and text[0].islower() and after
        texts.append(text)
        if does in ("stops", "ends"):
            assert clears != "self", "what stops needs a person"
            assert priority != "low"
    assert len(set(texts)) == len(texts), "each its own cause"


@pytest.mark.requirement("E3")
@given(codes=st.lists(st.sampled_from(CODES), unique=True, min_size=1))
def test_the_highest_wins_and_the_others_stay_listed(codes):
    clock, log, own = made()
    for code in codes:
        clock.now += 1_000_000
        own.tell(code, log)
    own.service()
    listed = own.as_list()
    assert sorted(a["code"] for a in listed) == sorted(codes)
    keys = [(RANK[a["priority"]], a["since_ms"]) for a in listed]
    assert keys == sorted(keys)
    assert own.voice.shown == (min(RANK[TABLE[code][0]] for code in codes), False)
    assert set(own.stopping()) == set(codes) & STOPS
    told = [event for event in log.since(0, 10**6) if event["e"] == "alarm"]
    assert [(e["code"], e["priority"], e["text"]) for e in told] == [
        (code, TABLE[code][0], TABLE[code][3]) for code in codes
    ]
    for code in codes:
        own.end(code, log)
    own.service()
    assert own.voice.shown == (None, False)


@pytest.mark.requirement("E5", "E7", "J8")
def test_silence_by_hand():
    clock, log, own = made()
    with pytest.raises(errors.Refused, match="no alarm"):
        own.silence(log)
    own.tell("A_LINK", log)
    own.service()
    assert own.voice.shown == (1, False)
    assert own.silence(log) == {"silent_ms": 120_000}
    own.service()
    assert own.voice.shown == (1, True) and own.as_list()[0]["silenced"]
    # Asked again after 60 s it lasts no longer; main is woken for its end, at 120 s.
    clock.now = 60_000_000
    assert own.silence(log) == {"silent_ms": 60_000}
    assert own.wait_ms(10**6) == 60_000
    clock.now = 119_999_000
    own.service()
    assert own.voice.shown == (1, True)
    clock.now = 120_000_000
    own.service()
    assert own.voice.shown == (1, False) and not own.as_list()[0]["silenced"]
    # A burst is heard first: no host can keep it silent by asking.
    with pytest.raises(errors.Refused, match="just ended"):
        own.silence(log)
    clock.now = 130_000_000
    assert own.silence(log) == {"silent_ms": 120_000}
    # A new alarm ends it, also one of lower priority, and may be silenced at once.
    own.tell("A_STORE", log)
    own.service()
    assert own.voice.shown == (1, False)
    assert own.silence(log) == {"silent_ms": 120_000}
    assert named(log) == ["alarm", "silence", "silence", "alarm", "silence"]


@pytest.mark.requirement("E6", "J8")
@given(st.lists(st.tuples(st.sampled_from(("ask", "wait", "again")), st.integers(1, 300))))
def test_nobody_can_keep_it_silent(steps):
    # Whatever is asked how often: of any 131 s with one alarm standing, one second sounds.
    clock, log, own = made()
    own.tell("A_DRIFT", log)
    silent = 0
    for what, seconds in steps:
        for _ in range(seconds if what != "ask" else 1):
            if what != "wait":
                try:
                    own.silence(log)
                except errors.Refused:
                    pass
            clock.now += 1_000_000
            own.service()
            silent = silent + 1 if own.voice.shown[1] else 0
            assert silent <= 120


def test_an_alarm_is_raised_once_and_matters_more_than_its_words(monkeypatch):
    clock, _, own = made()
    assert own.raise_("A_STALL") and not own.raise_("A_STALL")
    clock.now = 5_000_000
    assert own.as_list()[0]["since_ms"] == 0
    for error in (MemoryError, OSError(2)):

        def unreadable(error=error):
            raise error

        monkeypatch.setattr(alarms.borrow, "alarm_table", unreadable)
        assert alarms.text_of("A_STALL") == "A_STALL"


def test_a_code_that_the_table_has_not_is_a_fault():
    _, log, own = made()
    with pytest.raises(KeyError):
        own.tell("A_NOTHING", log)


# -- what the pump does -------------------------------------------------------------------------


@pytest.mark.requirement("E10", "E15")
@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("tries", [("resume",), ("start",), ("rate", "confirm"), ("bolus_now",)])
def test_the_rate_during_an_alarm_is_the_tables_and_nothing_but_clear_and_restart_moves(
    code, tries
):
    bench = started([infuse(ML, 5 * ML)])
    bench.run_to(10_000_000)
    # What the tick finds comes with the motor standing; raise it the way the motor ends.
    if code in STOPS:
        bench.controller._halt("pause")
        bench.controller.service()
    bench.controller._alarm(code)
    made_so_far = len(bench.dose.edges) + bench.dose.seen * bench.dose.active
    if code not in STOPS:
        assert bench.controller.rate() == 5 * ML and bench.dose.active
        return
    assert bench.controller.rate() == 0 and bench.controller.state == "alarm"
    assert not bench.pins.on
    args = {"rate": {"rate_al_per_h": ML}, "bolus_now": {"volume_al": ML, "rate_al_per_h": 5 * ML}}
    for name in tries:
        with pytest.raises(errors.Refused):
            bench.table.run(name, args.get(name, {"digest": "0"} if name == "confirm" else {}))
        bench.run_to(bench.clock.now + 60_000_000)
    assert len(bench.dose.edges) == made_so_far
    if TABLE[code][2] == "load":
        bench.table.run("load", {"volume_al": 40 * ML})
    else:
        bench.table.run("clear", {})
    assert bench.alarms.standing() == []
    bench.run_to(bench.clock.now + 60_000_000)
    assert len(bench.dose.edges) == made_so_far, "clearing alone moves nothing"
    if TABLE[code][1] == "stops":
        bench.table.run("resume", {})
        bench.run_out()
        assert len(bench.dose.edges) == ML // bench.motor.al
    else:
        assert bench.controller.state == "idle" and bench.controller.run.ended


@pytest.mark.requirement("E11")
@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("power_lost", [False, True])
def test_what_latches_outlasts_a_reset_and_still_stops(code, power_lost):
    bench = started([infuse(ML, 5 * ML)])
    bench.run_to(10_000_000)
    if code in STOPS:
        bench.controller._halt("pause")
    bench.controller._alarm(code)
    bench.controller.service()
    for _ in range(2):
        bench = bench.reboot(power_lost)
        stands = bench.alarms.standing()
        if TABLE[code][2] == "self":
            assert code not in stands
        elif code in ("A_PAUSED", "A_WAITING", "A_STANDBY"):
            continue  # of a state that the reset has ended; they come again in time
        else:
            assert code in stands
            told = [e for e in bench.events.since(0, 10**6) if e.get("code") == code]
            assert told[0]["text"] == TABLE[code][3]
        if code in STOPS:
            assert bench.controller.state == "alarm"
            with pytest.raises(errors.Refused):
                bench.table.run("resume", {})
    assert not bench.dose.active
    bench.table.run("stop", {})
    assert bench.controller.state == "idle" and not bench.alarms.stopping()
    bench.controller.service()
    assert code not in STOPS or bench.reboot().alarms.standing() == []


@pytest.mark.requirement("E11")
def test_a_damaged_record_of_alarms_is_told_and_a_failing_flash_too():
    bench = Bench(SLOW)
    bench.storage.files["alarms.a"] = "x"
    assert "A_STORE" in bench.reboot().alarms.standing()
    bench = Bench(SLOW)
    bench.storage.failing = True
    bench.controller._alarm("A_LINK")
    bench.controller.service()
    assert "A_STORE" in bench.alarms.standing()
    bench.storage.failing = False
    bench.controller.clear()
    bench.controller._alarm("A_LINK")
    bench.controller.service()
    assert bench.reboot().alarms.standing() == ["A_LINK"]


# -- who is waited for --------------------------------------------------------------------------

MIN = 60_000_000


def planned(config=SLOW):
    bench = Bench(config)
    bench.alarms.voice = Voice()
    bench.table.run("load", {"volume_al": 40 * ML})
    bench.table.run("infuse", {"volume_al": ML, "rate_al_per_h": 5 * ML})
    return bench


@pytest.mark.requirement("E12", "E13")
def test_a_long_pause_alerts_and_again():
    bench = planned()
    bench.controller.start()
    bench.run_to(MIN)
    bench.table.run("pause", {})
    bench.run_to(3 * MIN - 2_000_000)
    assert not bench.alarms.standing()
    bench.run_to(3 * MIN + 2_000_000)
    assert bench.alarms.standing() == ["A_PAUSED"] and bench.alarms.voice.shown == (2, False)
    bench.table.run("clear", {})
    bench.run_to(5 * MIN)
    assert not bench.alarms.standing()
    bench.run_to(5 * MIN + 6_000_000)
    assert bench.alarms.standing() == ["A_PAUSED"]
    bench.run_to(62 * MIN)
    assert bench.alarms.standing() == ["A_STANDBY", "A_PAUSED"]
    bench.table.run("resume", {})
    bench.controller.service()
    assert not bench.alarms.standing()
    assert bench.alarms.voice.shown == (None, False)


@pytest.mark.requirement("E12")
def test_the_board_file_sets_the_times():
    bench = planned({**SLOW, "alarms": {"near_empty_ms": 0, "paused_ms": 30_000}})
    bench.controller.start()
    bench.controller.pause()
    bench.run_to(33_000_000)
    assert bench.alarms.standing() == ["A_PAUSED"]


@pytest.mark.requirement("F13", "E13")
def test_an_order_that_waits_reminds_within_a_quarter_of_an_hour_and_alarms_after_one():
    bench = planned()
    bench.run_to(15 * MIN - 2_000_000)
    assert not bench.alarms.standing()
    bench.run_to(15 * MIN + 2_000_000)
    assert bench.alarms.standing() == ["A_WAITING"]
    bench.run_to(60 * MIN + 2_000_000)
    assert bench.alarms.standing() == ["A_STANDBY", "A_WAITING"]
    bench.table.run("stop", {})
    bench.controller.service()
    assert not bench.alarms.standing()
    bench.run_to(200 * MIN)
    assert not bench.alarms.standing(), "idle, nobody is waited for"


@pytest.mark.requirement("F13")
def test_an_ordered_pause_waits_for_nobody():
    pause = {"mode": "pause", "duration_ms": 30 * 60_000}
    bench = started([infuse(ML // 10, 60 * ML), pause, infuse(ML // 10, 60 * ML)])
    bench.run_out()
    assert bench.controller.state == "idle"
    told = [e for e in bench.events.since(0, 10**6) if e["e"] == "alarm"]
    assert told == []


@pytest.mark.requirement("F8")
def test_a_change_nobody_confirms_alerts_then_alarms_and_is_dropped():
    bench = started([infuse(10 * ML, 5 * ML)])
    digest = bench.table.run("rate", {"rate_al_per_h": 6 * ML})["digest"]
    bench.run_to(5 * MIN - 2_000_000)
    assert not bench.alarms.standing()
    bench.run_to(5 * MIN + 4_000_000)
    assert bench.alarms.standing() == ["A_CHANGE"]
    bench.run_to(10 * MIN + 2_000_000)
    assert bench.alarms.standing() == ["A_CHANGE_LOST"]
    with pytest.raises(errors.Refused, match="nothing waits"):
        bench.table.run("confirm", {"digest": digest})
    assert bench.controller.rate() == 5 * ML
    bench.table.run("clear", {})
    digest = bench.table.run("rate", {"rate_al_per_h": 6 * ML})["digest"]
    bench.run_to(16 * MIN)
    assert bench.alarms.standing() == ["A_CHANGE"]
    bench.table.run("confirm", {"digest": digest})
    bench.controller.service()
    assert not bench.alarms.standing() and bench.controller.rate() == 6 * ML


@pytest.mark.requirement("F5")
def test_a_stop_input_held_for_a_minute_is_an_alarm_of_its_own_and_ends_with_it():
    bench = planned()
    bench.pins.stop = True
    bench.run_to(59_000_000)
    assert not bench.alarms.standing()
    bench.run_to(64_000_000)
    assert bench.alarms.standing() == ["A_STOP_HELD"]
    bench.table.run("clear", {})
    bench.run_to(70_000_000)
    assert not bench.alarms.standing()
    bench.run_to(130_000_000)
    assert bench.alarms.standing() == ["A_STOP_HELD"], "it is held all the same"
    bench.pins.stop = False
    bench.run_to(133_000_000)
    assert not bench.alarms.standing()


# -- the test of the signals --------------------------------------------------------------------


@pytest.mark.requirement("E9")
def test_the_alarm_test_asks_and_a_no_is_an_alarm():
    bench = planned()
    with pytest.raises(errors.Refused, match="no test waits"):
        bench.table.run("alarm_test", {"sound": 1, "lamp": 1})
    assert bench.table.run("alarm_test", {}) == {"ms": 5500}
    with pytest.raises(errors.Refused, match="0 or 1"):
        bench.table.run("alarm_test", {"sound": 1})
    assert bench.table.run("alarm_test", {"sound": 1, "lamp": 1}) == {"alarms": []}
    bench.table.run("alarm_test", {})
    assert bench.table.run("alarm_test", {"sound": 0, "lamp": 1}) == {"alarms": ["A_SIGNAL"]}
    told = [e for e in bench.events.since(0, 10**6) if e["e"] == "alarm_tested"]
    assert [(e["sound"], e["lamp"]) for e in told] == [(True, True), (False, True)]
    with pytest.raises(errors.Refused, match="alarm stands"):
        bench.table.run("alarm_test", {})
    bench.table.run("clear", {})
    bench.table.run("alarm_test", {})
    bench.run_to(bench.clock.now + 5 * MIN)
    with pytest.raises(errors.Refused, match="no test waits"):
        bench.table.run("alarm_test", {"sound": 1, "lamp": 1})
    bench.controller.start()
    with pytest.raises(errors.Refused, match="not while infusing"):
        bench.table.run("alarm_test", {})
    assert bench.alarms.voice.tests == 3


def test_a_board_without_buzzer_says_so():
    with pytest.raises(errors.Refused, match="no buzzer"):
        Bench(SLOW).table.run("alarm_test", {})


def test_the_list_comes_in_pages():
    bench = Bench(SLOW)
    for code in CODES:
        bench.alarms.raise_(code)
    found, start = [], 0
    while start is not None:
        page = bench.table.run("alarms", {"from": start})
        assert len(page["alarms"]) <= 8
        found += [alarm["code"] for alarm in page["alarms"]]
        start = page["next"]
    assert found == bench.alarms.standing() and len(found) > 8


# -- the configuration --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "good"),
    [
        ({}, True),
        ({"pins": {"lamp_yellow": None}}, False),
        ({"pins": {"buzzer": None}}, False),
        ({"pins": {"lamp_yellow": 19}}, False),
        ({"pins": {"buzzer": None, "lamp_red": None, "lamp_yellow": None}}, True),
        ({"alarms": {"paused_ms": 900_000}}, True),
        ({"alarms": {"paused_ms": 900_001}}, False),
        ({"alarms": {"waiting_ms": 999}}, False),
        ({"alarms": {"standby_ms": 3_600_001}}, False),
        ({"alarms": {"standby_ms": "1"}}, False),
    ],
)
def test_the_pump_checks_signals_and_reminders_itself(change, good):
    data = json.loads(sealed.unseal("config", 1, CONFIG))
    data["board"]["pins"].update(change.get("pins", {}))
    data["alarms"].update(change.get("alarms", {}))
    text = sealed.seal("config", 1, json.dumps(data))
    if good:
        assert config_module.check(text)["alarms"]["near_empty_ms"] == 600_000
    else:
        with pytest.raises(errors.Refused) as caught:
            config_module.check(text)
        assert caught.value.code == "E_CONFIG"
