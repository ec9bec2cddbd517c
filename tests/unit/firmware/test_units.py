"""Every message carries its units (F7): in the names of numbers, or written beside them."""

import pytest
from unit.firmware.bench import Bench, errors
from unit.firmware.test_modes import MIN
from unit.firmware.test_patient import STEP, ask, begun
from unit.firmware.test_therapy import ML, SLOW, infuse, started

from doseloop import resources

commands = resources.firmware_module("commands")
words = resources.firmware_module("words")
UNITS = {"volume": "_al", "rate": "_al_per_h", "duration": "_ms"}
# How a number's name says what it counts in; the rest are plain counts and numbers of things.
SUFFIXES = ("_al", "_nl", "_al_per_h", "_ms", "_hz", "_steps", "al_per_step")
COUNTS = set(
    """
    schema protocol last_event step steps repeat stretch_count syringe_changes
    demands given denied boluses
""".split()
)


def numbers(reply, name=""):
    """Yield the name of every number in a reply; what is denied is counted by the reason."""
    if isinstance(reply, dict):
        for key, value in reply.items():
            yield from numbers(value, "denied" if name == "denied" else key)
    elif isinstance(reply, (list, tuple)):
        for value in reply:
            yield from numbers(value, name)
    elif isinstance(reply, int) and not isinstance(reply, bool):
        yield name


@pytest.mark.requirement("F7")
def test_every_argument_that_is_a_quantity_names_its_unit():
    seen = set()
    for spec in commands.TABLE.values():
        for name, kind, _ in spec:
            if kind in UNITS:
                assert name.endswith(UNITS[kind]), name
                seen.add(kind)
            elif kind == "whole":
                assert not name.endswith(("_al", "_al_per_h"))
    assert seen == set(UNITS)


@pytest.mark.requirement("F7")
def test_every_number_in_a_reply_names_its_unit():
    bench = started([infuse(ML, 6 * ML), {"mode": "pause", "duration_ms": MIN}])
    replies = [bench.table.run("plan", {}), bench.table.run("status", {})]
    bench.run_to(60_000_000)
    bench.alarms.raise_("A_NEAR_EMPTY")
    replies += [bench.table.run("status", {}), bench.table.run("pause", {})]
    replies += [bench.table.run("rate", {"rate_al_per_h": ML}), bench.table.run("stop", {})]
    patient = begun(STEP)
    replies += [ask(patient), patient.table.run("pca", {})]
    names = {name for reply in replies for name in numbers(reply)}
    assert {"remaining_ms", "rate_al_per_h", "used_nl", "since_ms", "steps"} <= names
    for name in names:
        assert name.endswith(SUFFIXES) or name in COUNTS, name


@pytest.mark.requirement("F7")
@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("load 40", "E_UNIT"),
        ("load 40 mL/h", "E_UNIT"),
        ("load 40 mg", "E_UNIT"),
        ("load 40 ml", "E_UNIT"),
        ("infuse 2.5 5 mL/h", "E_UNIT"),
        ("infuse 2.5 mL 5", "E_UNIT"),
        ("rate 5 mL", "E_UNIT"),
        ("rate 5 mL / h", "E_UNIT"),
        ("rate 300 s", "E_UNIT"),
        ("bolus_now 1 mL 60 mL", "E_ARG"),
    ],
)
def test_words_without_their_unit_or_with_another_are_refused(line, code):
    with pytest.raises(errors.Refused) as caught:
        words.parse(line)
    assert caught.value.code == code and caught.value.next


@pytest.mark.requirement("F7")
def test_a_number_under_another_units_name_is_refused():
    bench = Bench(SLOW)
    for args in ({"volume_nl": 10**6}, {"volume": ML}, {"rate_al_per_h": ML}):
        with pytest.raises(errors.Refused) as caught:
            bench.table.run("load", args)
        assert caught.value.code == "E_ARG"
    assert bench.motor.remaining_steps() == 0
