"""config.check and order.unseal on mutated texts: a Refused with a next step, or a good value."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.firmware.bench import CONFIG, configuration, errors

from doseloop import resources

config_module = resources.firmware_module("config")
next_steps = resources.firmware_module("next_steps")
order = resources.firmware_module("order")
sealed = resources.firmware_module("sealed")
wire = resources.firmware_module("wire")

GOOD_CONFIG = configuration()
GOOD_ORDER = {
    "schema": 1,
    "name": "test",
    "syringe": "bd-plastipak-50",
    "fill_al": 40 * 10**15,
    "on_link_loss": {"stop_ms": 60_000},
    "steps": [
        {"mode": "infuse", "rate_al_per_h": 5 * 10**15, "duration_ms": 1_800_000},
        {"mode": "pause", "duration_ms": 1000},
        {"mode": "withdraw", "volume_al": 10**15, "rate_al_per_h": 5 * 10**15},
    ],
    "kvo_al_per_h": 5 * 10**14,
}

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**31), 10**31)
    | st.sampled_from([0, 1, 2, 29, 30, 10**15, 2**30, 1.5, 1e300, "", "up", "infuse", "bolus"])
    | st.text(max_size=8)
)
values = st.recursive(
    scalars,
    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=6), v, max_size=3),
)


def places(value, path=()):
    """Yield the path of every value inside a JSON value."""
    yield path
    if not isinstance(value, dict | list):
        return
    for key, child in value.items() if isinstance(value, dict) else enumerate(value):
        yield from places(child, (*path, key))


def replaced(value, path, new):
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    if len(path) == 1 and new is MISSING:
        del copy[path[0]]
    else:
        copy[path[0]] = replaced(copy[path[0]], path[1:], new)
    return copy


MISSING = object()


def config_text(value):
    return sealed.seal("config", 1, json.dumps(value))


def order_text(value):
    return sealed.seal("order", 1, json.dumps(value))


def good_or_refused(call):
    try:
        return call()
    except errors.Refused as error:
        assert error.code in next_steps.NEXT
        assert error.message and error.next
        json.dumps(error.as_dict())
        return None


def test_the_originals_are_good():
    assert config_module.check(CONFIG) == dict(GOOD_CONFIG, crc=sealed.crc_of(CONFIG))
    taken = order.unseal(order_text(GOOD_ORDER), GOOD_CONFIG)
    assert [step[2] for step in taken.view(GOOD_CONFIG["syringe"], 1, 0)["stretches"]] == [
        14406,
        0,
        5762,
    ]
    assert (taken.fill_al, taken.stop_ms) == (40 * 10**15, 60_000)


CONFIG_PLACES = list(places(GOOD_CONFIG))
ORDER_PLACES = list(places(GOOD_ORDER))


@pytest.mark.parametrize("path", CONFIG_PLACES[1:], ids=lambda path: ".".join(map(str, path)))
def test_a_configuration_lacks_nothing_that_is_used(path):
    text = config_text(replaced(GOOD_CONFIG, path, MISSING))
    unused = path == ("crc",) or (
        path[0] == "board"
        and path[-1]
        in (  # check() puts it in
            "driver",
            "witness_bridge",
            "end_front",
            "end_back",
            "bolus",
            "clamp",
            "diag",
        )
    )
    unused = unused or path[-2:-1] == ("curve",)  # a point less: still a curve
    assert (good_or_refused(lambda: config_module.check(text)) is None) != unused


@settings(max_examples=400)
@given(st.sampled_from(CONFIG_PLACES), values)
def test_any_value_anywhere_in_a_configuration(path, new):
    config = good_or_refused(
        lambda: config_module.check(config_text(replaced(GOOD_CONFIG, path, new)))
    )
    if config is not None:  # good: then an order on it is too, or refused
        good_or_refused(lambda: order.unseal(order_text(GOOD_ORDER), config))


@settings(max_examples=600)
@given(st.sampled_from(ORDER_PLACES), values)
def test_any_value_anywhere_in_an_order(path, new):
    text = order_text(replaced(GOOD_ORDER, path, new))
    taken = good_or_refused(lambda: order.unseal(text, GOOD_CONFIG))
    if taken is not None:
        assert 1 <= len(taken.steps) <= 50
        found = list(taken.items())
        assert 1 <= len(found) <= 5000
        assert all(item.volume_al >= 0 and item.duration_ms >= 0 for item in found)
        least, most = (GOOD_CONFIG["limits"][f"rate_{end}_al_per_h"] for end in ("min", "max"))
        assert all(least <= item.rate <= most for item in taken.steps if item.way)


@pytest.mark.parametrize("path", ORDER_PLACES, ids=lambda path: ".".join(map(str, path)) or "top")
def test_an_unknown_key_is_refused(path):
    value = GOOD_ORDER
    for key in path:
        value = value[key]
    if isinstance(value, dict):
        text = order_text(replaced(GOOD_ORDER, path, {**value, "speed": 1}))
        with pytest.raises(errors.Refused):
            order.unseal(text, GOOD_CONFIG)


@pytest.mark.parametrize("seed", range(200))
def test_mutated_characters(seed):
    dice = random.Random(seed)
    for check, text in (
        (config_module.check, CONFIG),
        (lambda text: order.unseal(text, GOOD_CONFIG), order_text(GOOD_ORDER)),
    ):
        letters = list(text)
        for _ in range(dice.randrange(1, 4)):
            at = dice.randrange(len(letters))
            letters[at : at + dice.randrange(2)] = dice.choice(
                ["", "0", "[", "é", "\n", "\x00", " "]
            )
        mutated = "".join(letters)
        if mutated != text:
            with pytest.raises(errors.Refused):
                check(mutated)
        # and the same damage under a right seal: only the content is judged
        again = sealed.seal(text.split(" ")[1], 1, mutated.partition("\n")[2][:-1])
        good_or_refused(lambda check=check, again=again: check(again))


@pytest.mark.parametrize(
    "text", ["", "\n", "[" * 900, '{"a":' * 150, "null", "1", '"x"', "[]", "1e999", "-", "NaN"]
)
def test_texts_that_are_no_table(text):
    for kind, check in (
        ("config", config_module.check),
        ("order", lambda text: order.unseal(text, GOOD_CONFIG)),
    ):
        for candidate in (text, sealed.seal(kind, 1, text)):
            with pytest.raises(errors.Refused):
                check(candidate)


@given(st.binary(max_size=1100) | st.text(max_size=300).map(lambda text: b"!q 1 " + text.encode()))
def test_wire_takes_any_bytes(line):
    with pytest.raises(wire.WireError) as caught:
        wire.decode(line)
    assert caught.value.code in next_steps.NEXT


@given(st.dictionaries(st.text(max_size=20), values, max_size=4), st.integers(0, 2**32))
def test_wire_round_trip(obj, seq):
    try:
        line = wire.encode("q", seq, obj)
    except wire.WireError as error:
        assert error.code == "E_SIZE"
        return
    assert len(line) <= wire.MAX_LINE
    assert all(32 <= byte <= 126 for byte in line[:-1])
    assert wire.decode(line) == ("q", seq, obj)
    for at in range(0, len(line) - 1, 7):
        damaged = line[:at] + bytes([line[at] ^ 1]) + line[at + 1 :]
        with pytest.raises(wire.WireError):
            wire.decode(damaged)
        with pytest.raises(wire.WireError):
            wire.decode(line[:at])
