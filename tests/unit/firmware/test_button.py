"""The bolus button's debounce: by hand, over traces of bouncing contacts, over any trace."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doseloop import resources

button = resources.firmware_module("button")

MASK = 2**30 - 1
MS = 1000
SETTLE = button.SETTLE_US


class Contact:
    """A contact that feeds a Button with its edges, on a clock that wraps."""

    def __init__(self, down=False, at=0):
        self.now, self.down = at, down
        self.button = button.Button(at & MASK, down)
        self.presses = 0
        self.deaf = False

    def set(self, down):
        if down == self.down:
            return
        self.down = down
        if not self.deaf:
            self.deaf = self.button.edge(self.now & MASK, down)

    def hold(self, us):
        self.now += us

    def look(self):
        self.deaf = False
        self.presses += self.button.look(self.now & MASK, self.down)
        return self.presses

    def bounce(self, us, period_us):
        """Open and close for a while; end as it began."""
        for _ in range(us // period_us):
            for level in (not self.down, self.down):
                self.set(level)
                self.hold(period_us // 2)
                self.look()


def test_a_press_by_hand():
    it = Contact()
    it.set(True)
    assert it.look() == 0 and it.button.wait_ms(it.now) == 30
    it.hold(SETTLE - 1)
    assert it.look() == 0 and it.button.wait_ms(it.now) == 1
    it.hold(1)
    assert it.look() == 1 and it.button.down
    it.hold(500 * MS)
    it.set(False)
    assert it.look() == 1 and it.button.down
    it.hold(SETTLE)
    assert it.look() == 1 and not it.button.down


def test_debounced_within_20_to_50_ms():
    assert 20 * MS <= SETTLE <= 50 * MS


def test_a_touch_shorter_than_the_debounce_is_nothing():
    it = Contact()
    for _ in range(50):
        it.set(True)
        it.hold(SETTLE - 1)
        it.set(False)
        it.hold(SETTLE - 1)
        assert it.look() == 0


def test_a_short_press_while_main_is_busy_is_not_missed():
    it = Contact()
    it.hold(20 * MS)
    it.set(True)
    it.hold(60 * MS)
    it.set(False)
    it.hold(20 * MS)
    assert it.look() == 1  # main looks after 100 ms, when it is up again
    it.hold(100 * MS)
    assert it.look() == 1


def test_two_presses_while_main_is_busy_are_two():
    it = Contact()
    for _ in range(2):
        it.set(True)
        it.hold(60 * MS)
        it.set(False)
        it.hold(60 * MS)
    assert it.look() == 2


@pytest.mark.requirement("F4")
@pytest.mark.parametrize("period_us", [200, 1 * MS, 10 * MS, 50 * MS])
def test_one_press_is_one_event_with_bounce_at_both_ends(period_us):
    # F4: 100 Hz is a period of 10 ms
    it = Contact()
    it.hold(1000 * MS)
    it.set(True)
    it.bounce(200 * MS, period_us)
    it.hold(300 * MS)
    assert it.look() == 1
    it.set(False)
    it.bounce(200 * MS, period_us)
    it.hold(300 * MS)
    assert it.look() == 1 and not it.button.down


@pytest.mark.requirement("F4")
@pytest.mark.parametrize("down", [False, True])
def test_bursts_of_noise_change_nothing(down):
    it = Contact()
    it.hold(100 * MS)
    it.set(down)
    it.hold(100 * MS)
    before = it.look()
    assert before == down
    for _ in range(20):
        it.bounce(40 * MS, 300)
        it.hold(7 * MS)
        it.look()
        it.bounce(3 * MS, 50)
        it.hold(100 * MS)
        assert it.look() == before and it.button.down == down


def test_a_storm_of_edges_is_cut_and_what_came_unseen_is_no_press():
    it = Contact()
    it.hold(100 * MS)
    it.button.edge(it.now, False)  # down and up again before it was read
    for _ in range(button.EDGES_MAX - 1):
        it.set(not it.down)
        it.hold(50)
    assert it.deaf and it.down
    it.hold(20)
    it.set(False)
    it.hold(90 * MS)  # main is busy, the noise goes on and nobody hears it
    it.set(True)
    assert it.look() == 0  # down as it was last heard, but not since
    it.hold(SETTLE)
    assert it.look() == 1  # held since: that is a press


def test_what_is_down_from_the_beginning_gives_nothing_until_it_was_up():
    it = Contact(down=True)
    it.hold(5_000 * MS)
    assert it.look() == 0 and it.button.down
    it.set(False)
    it.hold(SETTLE)
    it.look()
    it.set(True)
    it.hold(SETTLE)
    assert it.look() == 1


@pytest.mark.parametrize("before_us", [0, 1, SETTLE - 1])
def test_what_is_down_when_a_run_begins_is_forgotten(before_us):
    it = Contact()
    it.set(True)
    it.hold(before_us)
    assert it.look() == 0
    it.button.forget()
    it.hold(1000 * MS)
    assert it.look() == 0
    it.set(False)
    it.hold(SETTLE)
    it.look()
    it.set(True)
    it.hold(SETTLE)
    assert it.look() == 1


@pytest.mark.requirement("F5")
@pytest.mark.parametrize("from_the_beginning", [False, True])
def test_held_for_a_minute_it_is_stuck(from_the_beginning):
    # F5, over a clock that wraps meanwhile
    it = Contact(down=from_the_beginning, at=2**30 - 30_000 * MS)
    it.set(True)
    it.hold(59_999 * MS)
    presses = it.look()
    assert not it.button.stuck
    assert it.button.wait_ms(it.now & MASK) == 1
    it.hold(1 * MS)
    it.look()
    assert it.button.stuck
    for _ in range(60):  # an hour: the clock wraps three times
        it.hold(60_000 * MS)
        it.look()
        assert it.button.stuck and it.button.wait_ms(it.now & MASK) > 1000
    assert it.presses == presses == (0 if from_the_beginning else 1)
    it.set(False)
    it.hold(SETTLE)
    it.look()
    assert not it.button.stuck


@pytest.mark.requirement("F5")
def test_bounce_while_it_is_held_does_not_hide_that_it_is_stuck():
    it = Contact()
    it.set(True)
    for _ in range(601):
        it.hold(90 * MS)
        it.bounce(10 * MS, 2 * MS)
        it.look()
    assert it.button.stuck and it.presses == 1


pieces = st.lists(
    st.tuples(
        st.one_of(st.integers(1, 3 * SETTLE), st.sampled_from([SETTLE - 1, SETTLE, 400 * MS])),
        st.integers(0, 2),
    ),
    max_size=60,
)


@pytest.mark.requirement("F4")
@given(pieces, st.booleans(), st.integers(0, 2**30 - 1))
def test_any_trace(trace, down, at):
    """Presses are the times that a level which held for SETTLE was down after one that was up,
    whenever main looks; and none is seen before it has held so long."""
    it = Contact(down, at)
    settled, wanted = down, 0
    for i, (us, looks) in enumerate(trace):
        if i % 15 == 14:
            it.look()  # fewer edges than a storm
        for part in range(looks):
            it.hold(us // 3)
            expected = wanted + (it.down and not settled and (part + 1) * (us // 3) >= SETTLE)
            assert it.look() == expected
        it.hold(us - looks * (us // 3))
        if us >= SETTLE:
            wanted += it.down and not settled
            settled = it.down
        it.set(not it.down)
    assert it.look() == wanted
    assert it.button.down == settled


@given(pieces, st.integers(0, 2**30 - 1))
def test_looking_when_it_says_is_soon_enough(trace, at):
    """Main that looks at each edge and when wait_ms is over sees a press 31 ms after its start."""
    it = Contact(at=at)
    began = None
    for us, _ in trace:
        end = it.now + us
        it.look()
        while it.now < end:
            wait = it.button.wait_ms(it.now & MASK)
            it.now = min(end, it.now + max(1, wait * MS))
            before = it.presses
            if it.look() > before:
                assert began is not None and SETTLE <= it.now - began <= SETTLE + MS
        it.set(not it.down)
        began = it.now if it.down else None
