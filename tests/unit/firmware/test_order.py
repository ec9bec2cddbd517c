"""order.py by hand: what a checked order says of itself, and each refusal with all it tells.

A pump of round numbers: a microstep of 1 uL, 1 to 300 mL/h, a syringe of 50 mL.
"""

import json

import pytest
from unit.firmware.bench import errors

from doseloop import resources

arith = resources.firmware_module("arith")
checks = resources.firmware_module("checks")
order = resources.firmware_module("order")
sealed = resources.firmware_module("sealed")

AL = 10**12
ML = 10**15
MIN = 60_000
HOUR = 60 * MIN
CONFIG = {
    "syringe": {"model": "s50", "capacity_al": 50 * ML},
    "limits": {"rate_max_al_per_h": 300 * ML, "rate_min_al_per_h": ML},
    "motion": {
        "al_per_step": AL, "pull_in_hz": 84, "accel_hz_per_s": 10,
        "backlash_steps": 100, "takeup_hz": 500,
    },
}  # fmt: skip
LIMITS = CONFIG["limits"]
CHECK = "doseloop check ORDER.toml"
LOWER_VOLUME = "lower the volume, or load a larger syringe"
LOWER_RATE = "lower the rate, or use a larger syringe"
RAISE_RATE = "raise the rate, or use a smaller syringe"


def step(mode="infuse", rate=None, volume=None, ms=None, **more):
    known = {"rate_al_per_h": rate, "volume_al": volume, "duration_ms": ms}
    return {
        "mode": mode,
        **{key: value for key, value in known.items() if value is not None},
        **more,
    }


def ramp(rate_end, **more):
    return step("ramp", rate_end_al_per_h=rate_end, **more)


PCA = {
    "mode": "pca",
    "basal_al_per_h": ML,
    "dose_al": ML,
    "dose_rate_al_per_h": 60 * ML,
    "lockout_ms": 6 * MIN,
    "limit_4h_al": 10 * ML,
}
ONE = step(rate=60 * ML, volume=ML)


def made(*steps, **options):
    return order.make("t", list(steps), CONFIG, **options)


def refusal(call, *arguments, **named):
    with pytest.raises(errors.Refused) as caught:
        call(*arguments, **named)
    error = caught.value
    return error.code, error.message, error.limit, error.nearest, error.next


# -- what an order says of itself -----------------------------------------------------------------


def test_what_ramps_and_take_up_add_by_hand():
    # Without a ramp up to 8 Hz; 1 Hz more in 0.1 s. 60 mL/h are 16.7 Hz, 17 in whole ones. From 8:
    # (17^2 - 8^2) / 20 = 11 steps, with which isqrt(64 + 220) = 16 Hz are reached in 0.8 s; at 17
    # Hz they took 0.647. Twice: 1600 - 1294 = 306 ms. The second way back has a take-up of 0.2 s.
    config = {**CONFIG, "motion": {**CONFIG["motion"], "pull_in_hz": 8}}

    def lag(*steps, **options):
        made = order.make("t", list(steps), config, **options)
        return made.duration_ms() - made.repeat * sum(each.total_ms() for each in made.steps)

    fast, slow = step(rate=60 * ML, volume=ML), step(rate=10 * ML, volume=ML)
    back = step("withdraw", rate=10 * ML, volume=ML)
    assert (lag(fast), lag(slow), lag(back)) == (306, 0, 200)
    assert (lag(fast, repeat=7), lag(slow, back, repeat=7)) == (7 * 306, 13 * 200)
    assert lag(step("pause", ms=MIN), back, step("pause", ms=MIN), back, fast) == 2 * 200 + 306
    # 14 steps: a ramp of 7 up to isqrt(64 + 140) = 14 Hz in 0.6 s: 1200 - 14000 // 17 = 377 ms.
    assert lag(step(rate=60 * ML, volume=14 * AL)) == 377
    doses = step("intermittent", rate=60 * ML, volume=ML, every_ms=2 * MIN, count=5)
    assert lag(doses) == 5 * 306
    # Two stairs of a second: 17 Hz on the average of 60, of 61 mL/h: 17 steps each, 8 up: to
    # isqrt(64 + 160) = 14 Hz in 0.6 s: 1200 - 16000 // 17 = 259.
    stairs = step("ramp", rate=60 * ML, ms=2_000, rate_end_al_per_h=61 * ML)
    assert lag(stairs) == 2 * 259
    config["motion"]["backlash_steps"] = 1000  # at 500 Hz
    assert lag(back) == 2_000


def test_an_order_by_hand():
    # 1.0005 mL in and 0.2507 mL out, and a minute between, twice: 2.001 mL are 2001 steps, 0.5014
    # mL 501; 1.0005 mL at 60 mL/h take 60.03 s, 0.2507 at 30 mL/h 30.084 s.
    taken = order.make(
        "name",
        [
            step(rate=60 * ML, volume=ML + AL // 2),
            step("pause", ms=MIN),
            step("withdraw", rate=30 * ML, volume=ML // 4 + 7 * AL // 10),
        ],
        CONFIG,
        fill_al=ML,
        kvo=2 * ML,
        stop_ms=5,
        crc="0123abcd",
        repeat=2,
    )
    assert (taken.name, taken.fill_al, taken.kvo, taken.stop_ms) == ("name", ML, 2 * ML, 5)
    assert (taken.crc, taken.repeat) == ("0123abcd", 2)
    assert taken.volume_al(1) == 2 * ML + AL
    assert taken.volume_al(-1) == ML // 2 + 14 * AL // 10
    assert (taken.steps_of(1), taken.steps_of(-1), taken.total_steps()) == (2001, 501, 2502)
    # Three times the way turns: 100 steps at 500 Hz are taken up.
    assert taken.duration_ms() == 2 * (60_030 + MIN + 30_084) + 3 * 200
    assert [item.kind for item in taken.items()] == ["infuse", "pause", "withdraw"] * 2
    assert [item.number for item in taken.items()] == [1, 2, 3, 1, 2, 3]
    assert taken.text is None
    assert taken.view(CONFIG["syringe"], 7, 0) == {
        "ordered_steps": 2502,
        "duration_ms": 300_828,
        "stretches": [
            ("infuse", 60 * ML, 1000, 60_030),
            ("pause", 0, 0, MIN),
            ("withdraw", 30 * ML, 250, 30_084),
        ],
        "repeat": 2,
        "syringe_changes": 1,
        "syringe": "s50",
        "fill_al": ML,
        "order_crc": "0123abcd",
        "al_per_step": 7,
        "fault_al": 60 * ML * 3001 // 3_600_000 + AL,  # 3 s of lease at 60 mL/h, a tick, a step
    }
    plain = made(ONE)
    assert (plain.fill_al, plain.kvo, plain.stop_ms) == (None, None, None)
    assert plain.repeat == 1
    # not sealed: the digest of what it came to
    told = str([("infuse", 60 * ML, ML, MIN)]) + " " + str(AL)
    assert plain.crc == sealed.crc_hex(told)


@pytest.mark.parametrize(
    ("level", "changes"),
    # 40 mL three times, of syringes with 50 mL. From 50: 10, then 20 of the next, then 30 of the
    # third. From 20 as well, from 19 the third is not enough.
    [(50 * ML, 2), (20 * ML, 2), (20 * ML - 1, 3), (1, 3)],
)
def test_how_many_syringes_an_order_takes(level, changes):
    forty = step(rate=60 * ML, volume=40 * ML)
    assert made(forty, fill_al=level, repeat=3).syringe_changes(50 * ML, 7) == changes
    assert made(forty, repeat=3).syringe_changes(50 * ML, level) == changes
    assert made(forty, repeat=3).view(CONFIG["syringe"], 1, level)["syringe_changes"] == changes


def test_what_is_drawn_up_is_there_to_infuse():
    out, back = step("withdraw", rate=60 * ML, volume=ML), step(rate=60 * ML, volume=2 * ML)
    assert made(out, back).syringe_changes(50 * ML, ML) == 0
    assert made(out, back).syringe_changes(50 * ML, ML - 1) == 1
    # of the second syringe 49 mL are left then
    assert made(out, back, step(rate=60 * ML, volume=49 * ML)).syringe_changes(50 * ML, 0) == 1
    assert made(out, back, step(rate=60 * ML, volume=50 * ML)).syringe_changes(50 * ML, 0) == 2


def test_with_kvo_the_waits_between_doses_flow():
    doses = step("intermittent", rate=60 * ML, volume=ML, every_ms=10 * MIN, count=2)
    assert [item.kind for item in made(doses, kvo=ML).items()] == ["infuse", "kvo", "infuse"]


@pytest.mark.parametrize(
    "given_by",
    [
        {"rate": 60 * ML, "volume": 2 * ML},
        {"rate": 60 * ML, "ms": 2 * MIN},
        {"volume": 2 * ML, "ms": 2 * MIN},
    ],
)
@pytest.mark.parametrize("mode", ["infuse", "withdraw", "bolus"])
def test_any_two_of_rate_volume_and_duration(mode, given_by):
    (taken,) = made(step(mode, **given_by)).steps
    assert (taken.mode, taken.rate, taken.volume_al, taken.duration_ms) == (
        mode, 60 * ML, 2 * ML, 2 * MIN,
    )  # fmt: skip


def test_an_intermittent_step_keeps_its_grid():
    (taken,) = made(step("intermittent", rate=60 * ML, volume=ML, every_ms=MIN + 1, count=3)).steps
    assert (taken.mode, taken.every_ms, taken.count) == ("intermittent", MIN + 1, 3)
    assert (taken.rate, taken.volume_al, taken.duration_ms) == (60 * ML, ML, MIN)


@pytest.mark.parametrize(
    "given_by",
    # from 20 to 40 mL/h: 30 mL/h in the mean, for 20 min 10 mL
    [
        {"rate": 20 * ML, "volume": 10 * ML},
        {"rate": 20 * ML, "ms": 20 * MIN},
        {"volume": 10 * ML, "ms": 20 * MIN},
    ],
)
def test_a_ramp_takes_any_two(given_by):
    (taken,) = made(ramp(40 * ML, **given_by)).steps
    assert (taken.mode, taken.rate, taken.rate_end) == ("ramp", 20 * ML, 40 * ML)
    assert (taken.volume_al, taken.duration_ms) == (10 * ML, 20 * MIN)
    assert type(taken.volume_al) is int


def test_a_pca_keeps_its_rules_and_lasts_a_day():
    (taken,) = made(PCA).steps
    assert (taken.mode, taken.rate, taken.volume_al, taken.duration_ms) == (
        "pca", ML, 24 * ML, 24 * HOUR,
    )  # fmt: skip
    assert taken.pca == (ML, 60 * ML, 6 * MIN, [(4 * HOUR, 10 * ML)], True)
    asked = {**PCA, "limit_1h_al": 3 * ML, "duration_ms": HOUR}
    del asked["basal_al_per_h"]
    (taken,) = made(asked).steps
    assert (taken.rate, taken.volume_al, taken.duration_ms) == (0, 0, HOUR)
    assert taken.pca[3] == [(HOUR, 3 * ML), (4 * HOUR, 10 * ML)]
    assert made({**PCA, "boluses_apart": 1}).steps[0].pca[4] is False


def test_what_lies_on_a_limit_is_allowed():
    for rate in (ML, 300 * ML):
        assert checks.check_rate(rate, LIMITS) is None
        assert made(step(rate=rate, volume=ML), kvo=rate).kvo == rate
    assert made(ONE, fill_al=50 * ML, repeat=1000).repeat == 1000
    assert made(ONE, fill_al=1).fill_al == 1
    assert len(made(*[ONE] * 5, repeat=1000).steps) == 5  # 5000 items
    assert made(step(rate=ML, volume=AL)).total_steps() == 1
    assert made(step("withdraw", rate=ML, volume=AL)).total_steps() == 1
    (pause,) = made(step("pause", ms=1)).steps
    assert (pause.rate, pause.volume_al, pause.duration_ms) == (0, 0, 1)
    assert made(ramp(ML, rate=ML, volume=ML)).steps[0].rate == ML


# -- refusals: code, what was wrong, limit, nearest, what to do -----------------------------------

HIGH = ("E_RATE_HIGH", "rate 300.000000000000001 mL/h is above what board and syringe allow",
        "300 mL/h", "300 mL/h", LOWER_RATE)  # fmt: skip
LOW = ("E_RATE_LOW", "rate 0.999999999999999 mL/h is below what board and syringe allow",
       "1 mL/h", "1 mL/h", RAISE_RATE)  # fmt: skip


def plain(message, code="E_ORDER", next_step=CHECK):
    return code, message, None, None, next_step


def test_a_move_beyond_the_plungers_travel():
    both = made(step(rate=ML, volume=ML), step("withdraw", rate=ML, volume=ML // 2))
    assert checks.check_room(both, 1000, 500, AL) is None
    assert refusal(checks.check_room, both, 999, 500, AL) == (
        "E_VOLUME", "infusing of 1 mL is beyond the plunger's 0.999 mL", "0.999 mL", "0.999 mL",
        LOWER_VOLUME,
    )  # fmt: skip
    assert refusal(checks.check_room, both, 1000, 499, AL) == (
        "E_VOLUME", "withdrawing of 0.5 mL is beyond the plunger's 0.499 mL", "0.499 mL",
        "0.499 mL", LOWER_VOLUME,
    )  # fmt: skip


# -- a dose on top --------------------------------------------------------------------------------


def test_a_bolus_on_top_by_hand():
    # 1 mL at 60 mL/h lasts 1 min, in which 6 mL/h give 0.1 mL, and a millisecond more than that,
    # 6e15 / 3.6e6 = 1666666666 aL: 1100.0017 steps, so 1101, and one that both may share.
    assert checks.check_bolus(ML, 60 * ML, 6 * ML, CONFIG, 1102) is None
    # 1100 steps at 60 of 66 mL/h: 1 mL, less what 2 ms of rounding take, in whole nL
    assert refusal(checks.check_bolus, ML, 60 * ML, 6 * ML, CONFIG, 1101) == (
        "E_VOLUME", "the syringe has less left than the bolus", "0.999996 mL", "0.999996 mL",
        LOWER_VOLUME,
    )  # fmt: skip
    assert checks.check_bolus(ML, 60 * ML, 0, CONFIG, 1001) is None
    assert refusal(checks.check_bolus, ML, 60 * ML, 0, CONFIG, 1000)[2:4] == (
        "0.999 mL",
        "0.999 mL",
    )
    for room in (0, 1):
        assert refusal(checks.check_bolus, ML, 60 * ML, 0, CONFIG, room)[2] == "0 mL"
    assert checks.check_bolus(AL, 60 * ML, 0, CONFIG, 2) is None
    assert refusal(checks.check_bolus, AL - 1, 60 * ML, 0, CONFIG, 50_000) == (
        "E_VOLUME", "less than one step of the motor", "1000 nL", "1000 nL", LOWER_VOLUME,
    )  # fmt: skip


def test_a_bolus_may_take_the_last_but_one_step_to_the_millisecond():
    # 36 mL/h are 1e10 aL a ms, 3.6 mL/h 1e9. 909 ms of the one are 9.09 steps, 910 of the other
    # 0.91: 10 steps exactly. With one more ms they are 10.011.
    most = 909 * 10**10
    assert checks.check_bolus(most, 36 * ML, 36 * ML // 10, CONFIG, 11) is None
    got = refusal(checks.check_bolus, most + 10**10, 36 * ML, 36 * ML // 10, CONFIG, 11)
    assert got[0] == "E_VOLUME"


SQUARE = "a square bolus lasts %s at least, 6 h at most, and not beyond the infusion"


@pytest.mark.parametrize(
    ("ms", "lockout", "left", "edges", "least"),
    [
        (MIN - 1, 0, HOUR, ("1 min", "1 min"), "1 min"),
        (7 * MIN - 1, 7 * MIN, HOUR, ("7 min", "7 min"), "7 min"),
        (6 * HOUR + 1, 0, 7 * HOUR, ("6 h", "6 h"), "1 min"),
        # Of 119.999 s that are left a minute may be had, of 59.999 s nothing.
        (MIN + 1, 0, 2 * MIN - 1, ("1 min", "1 min"), "1 min"),
        (MIN, 0, MIN - 1, ("0 s", None), "1 min"),
    ],
)
def test_the_time_of_a_square_bolus_by_hand(ms, lockout, left, edges, least):
    assert refusal(checks.square_rate, ML, ms, lockout, left) == (
        "E_DURATION", SQUARE % least, *edges, "change the duration, or give a rate",
    )  # fmt: skip


def test_a_square_bolus_takes_its_time_to_the_millisecond():
    assert checks.square_rate(ML, MIN, 0, 2 * MIN - 1) == 60 * ML
    assert checks.square_rate(10, 7 * MIN, 7 * MIN, HOUR) == 86  # 85.7, rounded up


def test_a_bolus_and_the_infusion_share_the_pumps_fastest_rate():
    assert checks.check_bolus(ML, 200 * ML, 100 * ML, CONFIG, 50_000) is None
    assert refusal(checks.check_bolus, ML, 200 * ML + 1, 100 * ML, CONFIG, 50_000) == (
        "E_RATE_HIGH", "bolus and infusion together are too fast", "200 mL/h", "200 mL/h",
        LOWER_RATE,
    )  # fmt: skip
    assert refusal(checks.check_bolus, ML, ML - 1, 0, CONFIG, 50_000) == LOW


# -- a sealed order -------------------------------------------------------------------------------


def text_of(**changes):
    data = {"schema": 1, "steps": [ONE], **changes}
    return sealed.seal("order", 1, json.dumps(data))


def test_a_sealed_order_by_hand():
    text = text_of(
        name="n" * 70, syringe="s50", fill_al=ML, on_link_loss={"stop_ms": 0}, kvo_al_per_h=ML,
        repeat=2,
    )  # fmt: skip
    taken = order.unseal(text, CONFIG)
    assert (taken.name, taken.fill_al, taken.stop_ms) == ("n" * 64, ML, 0)
    assert (taken.kvo, taken.repeat, taken.total_steps()) == (ML, 2, 2000)
    assert taken.crc == sealed.crc_hex(text.split("\n")[1])
    assert taken.text == text
    taken = order.unseal(text_of(on_link_loss="continue", syringe=None), CONFIG)
    assert (taken.name, taken.fill_al, taken.stop_ms, taken.kvo, taken.repeat) == (
        "", None, None, None, 1,
    )  # fmt: skip
    assert order.unseal(text_of(steps=[ONE] * 50), CONFIG).total_steps() == 50_000


def test_a_step_asked_for_by_a_command_is_a_sealed_order_too():
    taken = order.direct("bolus", {"rate_al_per_h": 60 * ML, "volume_al": ML}, CONFIG)
    assert taken.name == "bolus" and taken.total_steps() == 1000
    assert taken.steps[0].mode == "bolus"
    again = order.unseal(taken.text, CONFIG)
    assert (again.name, again.crc, again.total_steps()) == ("bolus", taken.crc, 1000)


def test_an_order_keeps_what_it_says_of_the_drug():
    drug = {"area": "ward", "item": "morphine-1"}
    assert order.unseal(text_of(drug=drug), CONFIG).drug == drug
    assert order.unseal(text_of(), CONFIG).drug is None


def test_what_any_single_fault_may_deliver_counts_a_demand_on_top_of_the_basal_rate():
    pca = {
        "mode": "pca", "basal_al_per_h": 720 * ML, "dose_al": ML, "dose_rate_al_per_h": 360 * ML,
        "lockout_ms": 10 * MIN, "limit_1h_al": 9000 * ML, "limit_4h_al": 0, "duration_ms": HOUR,
    }  # fmt: skip
    fast = {**CONFIG, "limits": {**LIMITS, "rate_max_al_per_h": 3000 * ML}}
    made = order.make("p", [pca], fast)
    # A second of 1080 mL/h is 0.3 mL; the step under way is whole.
    assert made.fault_al == arith.fault_volume(1080 * ML, AL) == 300 * ML // 1000 + AL
    assert order.make("p", [step("pause", ms=MIN)], CONFIG).fault_al == 0
    kept_open = order.make("p", [step("pause", ms=MIN)], CONFIG, kvo=2 * ML)
    assert kept_open.fault_al == arith.fault_volume(2 * ML, AL)


def test_take_ups_and_ramps_add_to_the_time():
    # 100 steps of backlash at 300 a second: 333 ms, in whole ms.
    config = {**CONFIG, "motion": {**CONFIG["motion"], "takeup_hz": 300}}
    back = step("withdraw", rate=60 * ML, volume=ML)
    ramp = step("ramp", rate=60 * ML, volume=ML, rate_end_al_per_h=120 * ML)
    made = order.make("p", [back, ramp], config)
    assert (made.takeup_ms, type(made.takeup_ms)) == (333, int)
    assert made.lag_ms == 2 * 333, "slow: no ramps, a reversal before either"
    assert order.make("p", [back, ramp], config, repeat=3).lag_ms == 3 * 2 * 333
