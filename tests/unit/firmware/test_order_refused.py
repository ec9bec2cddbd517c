"""order.py by hand: each refusal of a step, an order, a sealed order, with all it tells.

Code, what was wrong, the limit, the nearest that works, what to do. The pump of test_order.py.
"""

import pytest
from unit.firmware.test_order import (
    AL,
    CONFIG,
    HIGH,
    HOUR,
    LOW,
    LOWER_VOLUME,
    MIN,
    ML,
    ONE,
    PCA,
    RAISE_RATE,
    made,
    order,
    plain,
    ramp,
    refusal,
    sealed,
    step,
    text_of,
)  # fmt: skip

TWO = plain("give exactly two of rate, volume and duration, none of them 0")
PAUSE = plain("a pause has a duration and nothing else")
NEEDS = plain("pca needs dose, dose_rate, lockout and a limit")


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (5, plain("a step is a table")),
        ({}, plain("mode None", "E_MODE")),
        (step(["infuse"]), plain("mode ['infuse']", "E_MODE")),
        (step("x" * 20), plain("mode " + "x" * 16, "E_MODE")),
        ({**ONE, "speed" * 8: 1}, plain("unknown key in a step: " + ("speed" * 8)[:32])),
        ({**ONE, "count": 1}, plain("unknown key in a step: count")),
        ({**PCA, "volume_al": 1}, plain("unknown key in a step: volume_al")),
        ({**PCA, "speed" * 8: 1}, plain("unknown key in a step: " + ("speed" * 8)[:32])),
        (ramp(None, rate=ML, volume=ML), plain("ramp needs rate_end_al_per_h")),
        (step("ramp", rate=ML, volume=ML), plain("ramp needs rate_end_al_per_h")),
        (step("intermittent", rate=ML, volume=ML, every_ms=1), plain("intermittent needs count")),
        (step("intermittent", rate=ML, volume=ML, count=2), plain("intermittent needs every_ms")),
        (step(rate=ML), TWO),
        (step(), TWO),
        (step(rate=ML, volume=ML, ms=HOUR), TWO),
        (step(rate=ML, volume=0), TWO),
        (step(rate=0, volume=ML), TWO),
        (step(rate=ML, ms=0), TWO),
        (step("pause"), PAUSE),
        (step("pause", ms=0), PAUSE),
        (step("pause", ms=1, rate=ML), PAUSE),
        (step("pause", rate=ML), PAUSE),
        (step(rate=1.5, volume=ML), plain("rate_al_per_h is not a whole number")),
        (step(rate=True, volume=ML), plain("rate_al_per_h is not a whole number")),
        (step(rate=ML, volume=-1), plain("volume_al is not a whole number")),
        (step(rate=ML, ms=10**30), plain("duration_ms is not a whole number")),
        (step(rate=300 * ML + 1, volume=ML), HIGH),
        (step(rate=ML - 1, volume=ML), LOW),
        (ramp(300 * ML + 1, rate=ML, ms=HOUR), HIGH),
        (ramp(ML, rate=ML - 1, ms=HOUR), LOW),
        # 2 V / T - r1 = 2 * 2 mL/h - 4 mL/h + less than 1: below zero is 0
        (ramp(90 * ML, volume=ML, ms=HOUR),
         ("E_RATE_LOW", "rate 0 mL/h is below what board and syringe allow", "1 mL/h", "1 mL/h",
          RAISE_RATE)),
        (ramp(ML, rate=ML, volume=1),
         plain("a ramp of less than a millisecond", "E_DURATION",
               "give a duration of at least 1 ms and a volume of at least one step")),
        (step("intermittent", rate=60 * ML, volume=ML, every_ms=MIN, count=2),
         ("E_DURATION", "a dose takes 1 min, longer than `every`", "1 min", None,
          "give a duration of at least 1 ms and a volume of at least one step")),
        (step(rate=ML, volume=AL - 1),
         ("E_VOLUME", "less than one step of the motor", "1000 nL", "1000 nL", LOWER_VOLUME)),
        ({**PCA, "dose_al": 0}, NEEDS),
        ({**PCA, "dose_rate_al_per_h": 0}, NEEDS),
        ({**PCA, "lockout_ms": 0}, NEEDS),
        ({**PCA, "limit_4h_al": 0}, NEEDS),
        *[({key: PCA[key] for key in PCA if key != less}, NEEDS)
          for less in ("dose_al", "dose_rate_al_per_h", "lockout_ms", "limit_4h_al")],
        ({**PCA, "basal_al_per_h": ML - 1}, LOW),
        ({**PCA, "dose_rate_al_per_h": 299 * ML + 1}, HIGH),
        ({**PCA, "dose_al": -1}, plain("dose_al is not a whole number")),
        ({**PCA, "boluses_apart": 2}, plain("boluses_apart is 0 or 1")),
        ({**PCA, "basal_al_per_h": 26 * ML // 10},
         ("E_LIMIT", "basal rate alone exceeds a limit", "2.5 mL/h", "2.5 mL/h",
          "lower the rate or the dose, or wait")),
    ],
)  # fmt: skip
def test_a_step_that_is_refused(asked, answer):
    assert refusal(made, asked) == answer


@pytest.mark.parametrize(
    ("steps", "options", "answer"),
    [
        ([ONE], {"fill_al": 50 * ML + 1},
         ("E_VOLUME", "fill of 50.000000000000001 mL is beyond the plunger's 50 mL", "50 mL",
          "50 mL", LOWER_VOLUME)),
        ([ONE], {"fill_al": 0},
         ("E_VOLUME", "fill of 0 mL is beyond the plunger's 50 mL", "50 mL", "50 mL",
          LOWER_VOLUME)),
        ([ONE], {"repeat": 0}, plain("an order is repeated 1 to 1000 times")),
        ([ONE], {"repeat": 1001}, plain("an order is repeated 1 to 1000 times")),
        ([ONE] * 6, {"repeat": 834}, plain("more than 5000 doses, stairs and steps")),
        ([ONE], {"kvo": ML - 1}, LOW),
        ([ONE], {"kvo": 300 * ML + 1}, HIGH),
        ([PCA, ONE], {}, plain("a pca is an order of its own", next_step="leave the rest out")),
        ([ONE, PCA], {}, plain("a pca is an order of its own", next_step="leave the rest out")),
        ([PCA], {"repeat": 2},
         plain("a pca is an order of its own", next_step="leave the rest out")),
        ([ONE, step("prime", rate=60 * ML, volume=ML)], {},
         plain("a prime is an order of its own", next_step="leave the rest out")),
    ],
)  # fmt: skip
def test_an_order_that_is_refused(steps, options, answer):
    assert refusal(made, *steps, **options) == answer


LOSS = plain("on_link_loss is continue or a time to stop after")
STEPS = plain("an order has 1 to 50 steps")
GOOD = text_of()


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (GOOD.replace("60", "61", 1),
         plain("the CRC does not match: damaged; compile and send it again", "E_CRC",
               "send it again")),
        (GOOD[:-1], plain("the end is missing; send the text again", "E_CRC", "send it again")),
        (sealed.seal("config", 1, "{}"), plain("this is a sealed config, not a order")),
        (sealed.seal("order", 2, "{}"),
         plain("order schema 2, but this program reads schema 1; use matching versions")),
        (sealed.seal("order", 1, "{"), plain("order is not JSON")),
        (sealed.seal("order", 1, "[]"), plain("order of schema 1 expected")),
        (text_of(schema=2), plain("order of schema 1 expected")),
        (text_of(**{"speed" * 8: 1}), plain("unknown key " + ("speed" * 8)[:32])),
        (text_of(steps=None), STEPS),
        (text_of(steps={"0": ONE}), STEPS),
        (text_of(steps=[]), STEPS),
        (text_of(steps=[ONE] * 51), STEPS),
        (text_of(syringe="s" * 70),
         plain("order is for syringe %s, the pump has s50" % ("s" * 64), "E_SYRINGE",
               "doseloop config push, or another order")),
        (text_of(fill_al="1"), plain("fill_al is not a whole number")),
        (text_of(kvo_al_per_h=-1), plain("kvo_al_per_h is not a whole number")),
        (text_of(repeat=1.0), plain("repeat is not a whole number")),
        (text_of(on_link_loss="stop"), LOSS),
        (text_of(on_link_loss=5), LOSS),
        (text_of(on_link_loss={}), LOSS),
        (text_of(on_link_loss={"stop_ms": None}), LOSS),
        (text_of(on_link_loss={"after_ms": 1}), LOSS),
        (text_of(on_link_loss={"stop_ms": 1, "x": 1}), LOSS),
        (text_of(on_link_loss={"stop_ms": -1}), plain("stop_ms is not a whole number")),
    ],
)  # fmt: skip
def test_a_sealed_order_that_is_refused(text, answer):
    assert refusal(order.unseal, text, CONFIG) == answer
