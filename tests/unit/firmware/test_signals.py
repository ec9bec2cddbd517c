"""How alarms sound and look: the words for the annunciator against 60601-1-8's limits."""

import pytest

from doseloop import resources

plan = resources.firmware_module("signal_plan")
signals = resources.firmware_module("signals")

HIGH, MEDIUM, LOW = range(3)
RED, YELLOW, TONE = 1, 2, 4
# The alarm table of requirements.md, ms: pulse, spacing within a burst, from the end of a burst
# to the next one. 2x + pulse of high is checked by itself.
PULSE = {HIGH: (75, 200), MEDIUM: (125, 250), LOW: (125, 250)}
BETWEEN = {HIGH: (2500, 15_000), MEDIUM: (2500, 30_000), LOW: (15_000, 10**9)}
LAMP = {HIGH: (RED, 1.4, 2.8), MEDIUM: (YELLOW, 0.4, 0.8)}


def stretches(words, bit):
    """Return [begin, end] in ms of each stretch in which a bit is set; a word adds 0.16 ms."""
    out, now = [], 0.0
    for word in words:
        length = 0.16 + 2 * ((word >> 3) + 1)
        if word & bit:
            if out and abs(out[-1][1] - now) < 1e-6:
                out[-1][1] = now + length
            else:
                out.append([now, now + length])
        now += length
    return out


def within(value, low, high):
    return low <= value * 0.95 and value * 1.05 <= high  # with 5 % to spare


@pytest.mark.requirement("E4")
def test_a_high_burst_by_hand():
    # Slots of 50 ms: three pulses of 3 at 0, 5, 10: on for 150 ms, off for 100. The fourth begins
    # 2x + a pulse after the third ended: 650 + 350 = 1000 ms; the sixth 500 ms after the fifth.
    found = stretches(plan.pattern(HIGH, False), TONE)
    wanted = [0, 250, 500, 1000, 1250, 1900, 2150, 2400, 2900, 3150]
    assert [round(begin) for begin, _ in found] == pytest.approx(wanted, abs=8)
    assert [end - begin for begin, end in found] == pytest.approx([150] * 10, abs=0.5)


@pytest.mark.requirement("E4")
@pytest.mark.parametrize("rank", [HIGH, MEDIUM, LOW])
def test_bursts_lie_within_the_limits_with_five_percent_to_spare(rank):
    words = plan.pattern(rank, False)
    found = stretches(words + words, TONE)
    count = {HIGH: 10, MEDIUM: 3, LOW: 2}[rank]
    assert len(found) == 2 * count
    burst = found[:count]
    assert all(within(end - begin, *PULSE[rank]) for begin, end in burst)
    gaps = [burst[i + 1][0] - burst[i][1] for i in range(count - 1)]
    if rank == HIGH:
        pulse = burst[0][1] - burst[0][0]
        assert gaps.pop(4) == pytest.approx(500, rel=0.05)  # 5 -> 6: 350 ... 1300 ms
        x = [gaps[i] for i in (0, 1, 3, 4, 5, 7)]
        assert all(within(gap, 50, 125) for gap in x)
        assert [gaps[2], gaps[6]] == pytest.approx([2 * x[0] + pulse] * 2, rel=0.05)
    else:
        assert all(within(gap, 125, 250) for gap in gaps)
    assert within(found[count][0] - burst[-1][1], *BETWEEN[rank])


@pytest.mark.requirement("E4", "E7")
@pytest.mark.parametrize("silent", [False, True])
def test_lamps_keep_their_frequency_and_duty(silent):
    for rank, (bit, slowest, fastest) in LAMP.items():
        words = plan.pattern(rank, silent)
        found = stretches(words + words, bit)
        onsets = [begin for begin, _ in found]
        for this, then, (begin, end) in zip(onsets, onsets[1:], found, strict=False):
            assert within(1000 / (then - this), slowest, fastest)
            assert within((end - begin) / (then - this), 0.20, 0.60)
        assert not stretches(words, (RED | YELLOW) ^ bit)
    steady = stretches(plan.pattern(LOW, silent), YELLOW)
    assert len(steady) == 1 and not stretches(plan.pattern(LOW, silent), RED)


@pytest.mark.requirement("E5", "E7")
@pytest.mark.parametrize("rank", [HIGH, MEDIUM, LOW])
def test_silence_takes_the_tone_and_leaves_the_light(rank):
    silent, loud = plan.pattern(rank, True), plan.pattern(rank, False)
    assert not any(word & TONE for word in silent)
    for bit in (RED, YELLOW):
        assert [round(a) for a, _ in stretches(silent, bit)] == pytest.approx(
            [round(a) for a, _ in stretches(loud, bit)], abs=12
        )


@pytest.mark.parametrize("rank", [HIGH, MEDIUM, LOW])
@pytest.mark.parametrize("silent", [False, True])
def test_a_pattern_fills_its_ring(rank, silent):
    words = plan.pattern(rank, silent)
    assert len(words) == plan.WORDS == 64
    assert all(0 <= word < 2**32 for word in words)
    cycle = plan.PLAN[rank][2] * plan.SLOT_MS
    assert sum(2 * ((word >> 3) + 1) for word in words) == cycle


def test_the_test_gives_both_sounds_and_lamps_and_ends_dark():
    words, ms = plan.test()
    assert len(words) <= 64 and words[-1] & 7 == 0
    assert len(stretches(words, TONE)) == 13
    assert stretches(words, RED) and stretches(words, YELLOW)
    assert sum(2 * ((word >> 3) + 1) for word in words) == pytest.approx(ms, abs=5)


class Annunciator:
    """Remembers what it was told to play."""

    def __init__(self):
        self.played = []

    def play(self, words, again, first=()):
        self.played.append((tuple(words), again, first))


@pytest.mark.requirement("E14")
def test_what_sounds_is_begun_once_and_a_hint_comes_before_the_light_goes_on():
    told = Annunciator()
    voice = signals.Signals(told)
    voice.show(None, False)
    assert not told.played
    hint = plan.HINT  # 30 periods of 2 ms with the tone
    assert hint & 7 == TONE and (hint >> 3) + 1 == 30
    voice.show(None, False, True)
    assert told.played.pop() == ((), True, (hint, 0))
    voice.show(HIGH, False)
    voice.show(HIGH, False)
    assert told.played.pop() == (tuple(plan.pattern(HIGH, False)), True, ())
    assert not told.played
    voice.show(HIGH, False, True)
    assert not told.played, "an alarm sounds already"
    voice.show(HIGH, True)
    voice.show(HIGH, True, True)
    assert told.played.pop() == (tuple(plan.pattern(HIGH, True)), True, (hint | RED,))
    voice.show(None, False)
    assert told.played.pop() == ((), True, ())
    assert voice.test() == plan.test()[1]
    assert told.played.pop() == (tuple(plan.test()[0]), False, ())
