"""alarms.py by hand: each call, what it returns, records and shows."""

import pytest
from unit.firmware.bench import Clock, alarm_table, alarms, errors, events

LOW = next(code for code, row in alarm_table.TABLE.items() if row[0] == "low")
COUNTED = next(code for code, row in alarm_table.TABLE.items() if row[:2] == ("high", "stops"))
OTHER = [code for code, row in alarm_table.TABLE.items() if row[:2] == ("high", "stops")][1]
BURST = 10_000
SILENCE = 120_000


class Shown:
    def __init__(self):
        self.last = None

    def show(self, rank, silent, hint):
        self.last = (rank, silent, hint)


class Told:
    """Alarms at a time of their own, with a voice, and what they recorded."""

    def __init__(self):
        self.clock = Clock()
        self.log = events.Events(self.clock, 1)
        self.alarms = alarms.Alarms(self.clock)
        self.alarms.voice = self.voice = Shown()

    def at(self, ms):
        self.clock.now = ms * 1000
        return self.alarms

    def recorded(self):
        plain = {"n", "boot"}
        found = self.log.since(0, 100)
        return [{key: each[key] for key in each if key not in plain} for each in found]


@pytest.fixture
def told():
    return Told()


def refusal(call, *arguments):
    with pytest.raises(errors.Refused) as caught:
        call(*arguments)
    return caught.value.code, caught.value.message, caught.value.next


def test_nothing_stands_at_first(told):
    assert told.alarms.changed is False and told.alarms.tested_ms is None
    told.at(5).service()
    assert told.voice.last == (None, False, False)
    told.alarms.service(True)
    assert told.voice.last == (None, False, True)
    assert told.alarms.wait_ms(777) == 777
    code, message, _ = refusal(told.alarms.silence, told.log)
    assert (code, message) == ("E_STATE", "no alarm stands")
    assert told.alarms.clear(LOW) is False and told.alarms.changed is False


def test_what_comes_and_goes_is_recorded_once(told):
    told.at(1000).tell(LOW, told.log)
    told.at(2000).tell(LOW, told.log)
    assert told.alarms.changed is True
    told.at(3000).end(LOW, told.log)
    told.at(4000).end(LOW, told.log)
    text = alarm_table.TABLE[LOW][3]
    assert told.recorded() == [
        {"ms": 1000, "e": "alarm", "code": LOW, "priority": "low", "text": text},
        {"ms": 3000, "e": "clear", "code": LOW},
    ]


def test_a_silence_by_hand(told):
    told.at(0).raise_(COUNTED)
    assert told.at(1000).silence(told.log) == {"silent_ms": SILENCE}
    assert told.recorded() == [{"ms": 1000, "e": "silence", "ms_long": SILENCE}]
    assert told.alarms.as_list()[0]["silenced"] is True
    assert told.at(2000).silence(told.log) == {"silent_ms": SILENCE - 1000}
    assert told.alarms.wait_ms(10**6) == SILENCE - 1000 and told.alarms.wait_ms(5) == 5
    told.alarms.service()
    assert told.voice.last == (0, True, False)
    # A minute later another alarm comes: it sounds, and may be silenced at once.
    told.at(60_000).raise_(OTHER)
    assert told.alarms.as_list()[0]["silenced"] is False
    assert told.alarms.silence(told.log) == {"silent_ms": SILENCE}
    end = 60_000 + SILENCE
    told.at(end - 1).service()
    assert told.voice.last == (0, True, False)
    assert told.at(end).wait_ms(5) == 0 and told.at(end + 1).wait_ms(5) == 0
    told.alarms.service()
    assert told.voice.last == (0, False, False)
    again = ("E_STATE", "a silence has just ended", "wait 10 s")
    assert refusal(told.at(end + BURST - 1).silence, told.log) == again
    assert told.at(end + BURST).silence(told.log) == {"silent_ms": SILENCE}


def test_a_silence_ends_with_the_last_alarm(told):
    told.at(0).raise_(COUNTED)
    told.alarms.raise_(OTHER)
    told.alarms.silence(told.log)
    assert told.alarms.clear(COUNTED) is True
    assert told.alarms.as_list()[0]["silenced"] is True, "one is left"
    assert told.alarms.clear(OTHER) is True
    assert told.alarms.wait_ms(10**6) == 10**6
    told.at(SILENCE).service()
    told.alarms.raise_(OTHER)
    assert told.alarms.silence(told.log) == {"silent_ms": SILENCE}, "nothing had just ended"


def test_the_third_in_ten_minutes_by_hand(told):
    assert [told.at(ms).strike(COUNTED) for ms in (0, 1, 599_999)] == [False, False, True]
    # It is counted anew, and another's count is its own.
    assert told.at(600_000).strike(OTHER) is False
    assert [told.at(600_000 + ms).strike(COUNTED) for ms in range(3)] == [False, False, True]
    assert [told.at(600_010 + ms).strike(OTHER) for ms in range(2)] == [False, True]
    # What is ten minutes old is over.
    ages = (2_000_000, 2_000_001, 2_600_000)
    assert [told.at(ms).strike(COUNTED) for ms in ages] == [False, False, False]
    told.at(2_600_000).forgive(COUNTED)
    assert [told.at(2_600_001 + ms).strike(COUNTED) for ms in range(2)] == [False, False]


def test_what_has_to_last_begins_anew_when_it_was_cleared(told):
    for ms in (0, 999):
        told.at(ms).due(LOW, True, 1000, told.log)
        assert not told.alarms.stands(LOW)
    told.at(1000).due(LOW, True, 1000, told.log)
    assert told.alarms.stands(LOW)
    told.alarms.clear(LOW)
    told.at(1500).due(LOW, True, 1000, told.log)
    told.at(2499).due(LOW, True, 1000, told.log)
    assert not told.alarms.stands(LOW)
    told.at(2499).due(LOW, False, 1000, told.log)
    told.at(2500).due(LOW, True, 1000, told.log)
    assert not told.alarms.stands(LOW), "it had gone in between"


@pytest.mark.parametrize("code", sorted(alarm_table.TABLE))
def test_what_the_table_says_of_each(told, code):
    priority, acts, ends = alarm_table.TABLE[code][:3]
    own = told.alarms
    assert own.priority(code) == priority
    assert own.stops(code) is (acts in ("stops", "ends"))
    assert own.resumable(code) is (acts != "ends")
    assert own.latches(code) is (ends != "self")
    assert own.until_load(code) is (ends == "load")
