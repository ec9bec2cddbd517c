"""Order files: the examples, a case by hand, everything that must be refused, the schema."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doseloop import resources
from doseloop.boards import find_board
from doseloop.config import compile_config
from doseloop.errors import FileError, Refused
from doseloop.limits import check_order, step_rate, syringe_changes, total_volume
from doseloop.order import load_order, order_json_schema
from doseloop.syringes import find_syringe

EXAMPLES = Path(__file__).parents[3] / "examples"
ML = 10**15

ORDER = """schema = 1
name = "A test"
[syringe]
model = "bd-plastipak-50"
fill = "40 mL"
[[step]]
mode = "infuse"
rate = "5 mL/h"
duration = "30 min"
[[step]]
mode = "pause"
duration = "1 min"
[[step]]
mode = "withdraw"
volume = "1 mL"
duration = "10 min"
[after]
kvo = "0.5 mL/h"
"""


@pytest.fixture
def order_file(tmp_path):
    def write(text):
        path = tmp_path / "order.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="module")
def config():
    return compile_config(find_board("pico_tmc2209"), find_syringe("bd-plastipak-50")).data


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_example_loads_names_its_source_and_fits_the_reference_board(path):
    order = load_order(path)
    assert order.source
    assert order.syringe is not None
    compiled = compile_config(find_board("pico_tmc2209"), find_syringe(order.syringe))
    check_order(order, compiled.data)
    firmware = resources.firmware_module("order")
    config = resources.firmware_module("config").check(compiled.sealed)
    assert len(firmware.unseal(order.sealed, config).steps) == len(order.steps)


def test_immunoglobulin_is_forty_millilitres_stepped_as_the_label_says():
    order = load_order(EXAMPLES / "immunoglobulin.toml")
    assert order.syringe == "bd-plastipak-50"
    assert order.fill_al == 40 * ML
    assert total_volume(order) == 40 * ML
    rates = [step_rate(step) / ML for step in order.steps]
    # Label, for 10 kg: first 0.5 mL/kg/h, at most 5 mL/kg/h, each rate for 30 minutes.
    assert rates[0] == 5
    assert max(rates) <= 50
    assert rates == sorted(rates)
    assert {step.duration_ms for step in order.steps[:-1]} == {30 * 60_000}


def test_compiled_by_hand(order_file):
    order = load_order(order_file(ORDER))
    assert json.loads(order.text) == {
        "schema": 1,
        "name": "A test",
        "syringe": "bd-plastipak-50",
        "fill_al": 40_000_000_000_000_000,
        "on_link_loss": "continue",
        "steps": [
            {"mode": "infuse", "rate_al_per_h": 5_000_000_000_000_000, "duration_ms": 1_800_000},
            {"mode": "pause", "duration_ms": 60_000},
            {"mode": "withdraw", "volume_al": 1_000_000_000_000_000, "duration_ms": 600_000},
        ],
        "kvo_al_per_h": 500_000_000_000_000,
    }
    unseal = resources.firmware_module("sealed").unseal
    assert unseal("order", 1, order.sealed) == order.text
    assert order.text.isascii()


def test_everything_optional_may_be_absent(order_file):
    text = 'schema = 1\nname = "x"\n[[step]]\nmode = "infuse"\nrate = "1 mL/h"\nvolume = "1 mL"\n'
    compiled = load_order(order_file(text)).compiled()
    assert compiled["syringe"] is compiled["fill_al"] is compiled["kvo_al_per_h"] is None
    assert compiled["on_link_loss"] == "continue"


def test_a_pca_by_hand(order_file):
    text = f'schema = 1\nname = "x"\n[[step]]\n{PCA}\nbasal = "1 mL/h"\n'
    (step,) = load_order(order_file(text)).compiled()["steps"]
    assert step == {
        "mode": "pca",
        "basal_al_per_h": ML,
        "dose_al": ML,
        "dose_rate_al_per_h": 60 * ML,
        "lockout_ms": 360_000,
        "limit_1h_al": 8 * ML,
        "duration_ms": 86_400_000,
    }


@pytest.mark.requirement("C21")
@pytest.mark.parametrize(("word", "compiled"), [("counted", None), ("apart", 1)])
def test_whether_a_clinicians_bolus_counts_is_set(order_file, word, compiled):
    text = f'schema = 1\nname = "x"\n[[step]]\n{PCA}\nboluses = "{word}"\n'
    (step,) = load_order(order_file(text)).compiled()["steps"]
    assert step.get("boluses_apart") == compiled


def test_link_loss_and_drug(order_file):
    head = 'on_link_loss = "stop:60 s"\n[drug]\nname = "saline"\nweight = "10 kg"\n'
    order = load_order(order_file(ORDER.replace("[syringe]", head + "[syringe]")))
    assert order.compiled()["on_link_loss"] == {"stop_ms": 60_000}
    assert order.compiled()["name"] == "A test [saline]"
    assert order.drug is not None
    assert order.drug.weight is not None
    assert order.drug.weight.value == 10


PCA = 'mode = "pca"\ndose = "1 mL"\ndose_rate = "60 mL/h"\nlockout = "6 min"\nlimit_1h = "8 mL"'

# (what is replaced, by what, code, what the message must hold)
WRONG = [
    ("[after]", "[afterwards]", "E_ORDER", "unknown key"),
    ('rate = "5 mL/h"', 'speed = "5 mL/h"', "E_ORDER", "step 1, speed: unknown key"),
    ('rate = "5 mL/h"', 'rate = "5"', "E_UNIT", "step 1, rate: '5': unit missing"),
    ('rate = "5 mL/h"', "rate = 5", "E_UNIT", "step 1, rate"),
    ('rate = "5 mL/h"', 'rate = "5 mL"', "E_UNIT", "is an amount, but a rate belongs here"),
    ('rate = "5 mL/h"', 'rate = "1,5 mL/h"', "E_NUMBER", "not a comma"),
    ('rate = "5 mL/h"', 'rate = "0 mL/h"', "E_NUMBER", "more than zero"),
    ('rate = "5 mL/h"\n', "", "E_ORDER", "exactly two of rate, volume, duration; here: duration"),
    ('rate = "5 mL/h"', 'rate = "5 mL/h"\nvolume = "1 mL"', "E_ORDER", "exactly two"),
    ('duration = "1 min"', 'duration = "1 min"\nrate = "1 mL/h"', "E_ORDER", "step 2: a pause"),
    ('mode = "pause"', 'mode = "bolus"', "E_ORDER", "exactly two of rate, volume, duration"),
    ('mode = "pause"', 'mode = "ramp"', "E_ORDER", "step 2, rate_end: ramp needs it"),
    ('mode = "pause"', 'mode = "intermittent"\ncount = 2', "E_ORDER", "every: intermittent needs"),
    (
        'mode = "pause"',
        'mode = "pause"\ncount = 2',
        "E_ORDER",
        "step 2, count: pause has no count",
    ),
    ('mode = "pause"', 'mode = "ramp"\nrate_end = "1 mL"', "E_UNIT", "step 2, rate_end"),
    (
        "schema = 1",
        "schema = 1\nrepeat = 0",
        "E_ORDER",
        "repeat: must be a whole number, 1 … 1000",
    ),
    ('mode = "pause"', 'mode = "pca"\nbasal = "1 mL/h"', "E_ORDER", "step 2, dose: missing"),
    ('mode = "pause"', PCA, "E_ORDER", "a pca is an order of its own"),
    ('mode = "pause"', f'{PCA}\nboluses = "no"', "E_ORDER", "'no' is not one of counted, apart"),
    ('mode = "pause"', 'mode = "wait"', "E_ORDER", "'wait' is not one of infuse, withdraw, bolus"),
    ('mode = "pause"\n', "", "E_ORDER", "step 2, mode: missing"),
    ("schema = 1", "schema = 2", "E_ORDER", "must be a whole number, 1 … 1"),
    ("schema = 1\n", "", "E_ORDER", "schema: missing"),
    ('name = "A test"', 'name = ""', "E_ORDER", "must be a text of one line"),
    ('name = "A test"', f'name = "{"x" * 65}"', "E_ORDER", "longer than 64"),
    ("schema = 1", 'schema = 1\non_link_loss = "wait"', "E_ORDER", "'wait' is neither"),
    ("schema = 1", 'schema = 1\non_link_loss = "stop:60"', "E_UNIT", "on_link_loss"),
    ('fill = "40 mL"', 'fill = "40 ML"', "E_UNIT", "write mL, not ML"),
    ("[[step]]", "[step]", "E_ORDER", ""),
    ("[after]", "[drug]\nname = 'x'\nconcentration = '1 mg'\n[after]", "E_UNIT", "concentration"),
]


@pytest.mark.parametrize(("old", "new", "code", "message"), WRONG)
def test_what_is_wrong_is_named(order_file, old, new, code, message):
    path = order_file(ORDER.replace(old, new, 1))
    with pytest.raises(FileError) as caught:
        load_order(path)
    assert caught.value.code == code
    assert message in caught.value.message
    assert caught.value.message.startswith(str(path))
    assert caught.value.exit_code == 2


def test_the_line_is_that_of_the_right_step(order_file):
    path = order_file(ORDER.replace('volume = "1 mL"', 'volume = "1 mg"'))
    with pytest.raises(FileError) as caught:
        load_order(path)
    line = 1 + path.read_text().splitlines().index('volume = "1 mg"')
    assert caught.value.message.startswith(f"{path}:{line}: step 3, volume: ")


def test_fifty_steps_and_not_one_more(order_file):
    step = '[[step]]\nmode = "pause"\nduration = "1 s"\n'
    head = 'schema = 1\nname = "x"\n'
    assert len(load_order(order_file(head + 50 * step)).steps) == 50
    with pytest.raises(FileError, match="at most 50"):
        load_order(order_file(head + 51 * step))
    with pytest.raises(FileError, match="step: missing"):
        load_order(order_file(head))


@pytest.mark.requirement("A1")
@pytest.mark.parametrize(
    ("old", "new", "code", "nearest"),
    [
        ('rate = "5 mL/h"', 'rate = "13 L/h"', "E_RATE_HIGH", "12494.217852216 mL/h"),
        ('rate = "5 mL/h"', 'rate = "500 nL/h"', "E_RATE_LOW", "581.807357439 nL/h"),
        ('kvo = "0.5 mL/h"', 'kvo = "13 L/h"', "E_RATE_HIGH", "12494.217852216 mL/h"),
        ('duration = "10 min"', 'duration = "1 ms"', "E_RATE_HIGH", "12494.217852216 mL/h"),
        ('fill = "40 mL"', 'fill = "51 mL"', "E_VOLUME", "50 mL"),
        ('volume = "1 mL"', 'volume = "20 mL"', "E_VOLUME", "12.5 mL"),
        ('volume = "1 mL"', 'volume = "100 nL"', "E_VOLUME", "173.530803503 nL"),
        ('model = "bd-plastipak-50"', 'model = "terumo-60"', "E_SYRINGE", None),
    ],
)
def test_beyond_board_and_syringe_is_refused_with_the_nearest(
    order_file, config, old, new, code, nearest
):
    order = load_order(order_file(ORDER.replace(old, new, 1)))
    with pytest.raises(Refused) as caught:
        check_order(order, config)
    assert (caught.value.code, caught.value.nearest) == (code, nearest)
    assert caught.value.exit_code == 5


@pytest.mark.requirement("A1")
def test_the_nearest_rates_are_themselves_allowed(order_file, config):
    for rate in ("12494.217852216 mL/h", "581.807357439 nL/h"):
        check_order(load_order(order_file(ORDER.replace("5 mL/h", rate, 1))), config)


@pytest.mark.requirement("B9")
@pytest.mark.parametrize(
    ("modes", "fill", "changes"),
    [
        # 50 mL a syringe; 30 mL each step
        (("infuse", "infuse"), 50, 1),
        (("infuse",) * 4, 20, 2),
        (("withdraw", "infuse"), 1, 0),
        (("infuse", "withdraw"), 1, 1),
    ],
)
def test_host_and_pump_announce_the_same_syringe_changes(order_file, config, modes, fill, changes):
    steps = [f'[[step]]\nmode = "{m}"\nvolume = "30 mL"\nrate = "9 mL/h"\n' for m in modes]
    head = ORDER.split("[[step]]")[0].replace("40 mL", f"{fill} mL")
    order = load_order(order_file(head + "".join(steps)))
    assert syringe_changes(order, 50 * ML) == changes
    taken = resources.firmware_module("order").unseal(order.sealed, config)
    assert taken.syringe_changes(50 * ML, 0) == changes


def test_an_order_larger_than_the_syringe_is_allowed(order_file, config):
    order = load_order(order_file(ORDER.replace('duration = "30 min"', 'duration = "24 h"')))
    assert total_volume(order) == 120 * ML
    check_order(order, config)


def _schema_allows(schema, step):
    """The part of JSON Schema that a step uses, checked by hand."""
    allowed = schema["properties"]
    if not set(step) <= set(allowed) or not set(schema["required"]) <= set(step):
        return False
    if step["mode"] not in allowed["mode"]["enum"]:
        return False
    for name, value in step.items():
        rule = allowed[name]
        if rule.get("type") == "integer":
            if type(value) is not int or not rule["minimum"] <= value <= rule["maximum"]:
                return False
        elif "pattern" in rule and not re.search(rule["pattern"], value):
            return False

    def holds(case):
        mode = case["properties"]["mode"]
        if step["mode"] not in mode.get("enum", [mode.get("const")]):
            return False
        if not any(set(one["required"]) <= set(step) for one in case.get("anyOf", [case])):
            return False
        return set(case["required"]) <= set(step) and not any(
            set(one["required"]) <= set(step) for one in case["not"]["anyOf"]
        )

    return sum(holds(case) for case in schema["oneOf"]) == 1


@given(
    st.fixed_dictionaries(
        {
            "mode": st.sampled_from(
                ["infuse", "withdraw", "pause", "bolus", "ramp", "intermittent"]
            )
        },
        optional={
            "rate": st.sampled_from(["5 mL/h", "0.5 uL/min", "5", "5 mL", "1e3 mL/h"]),
            "volume": st.sampled_from(["1 mL", "01 mL", "250 nL"]),
            "duration": st.sampled_from(["30 min", "1 h", "1 m"]),
            "rate_end": st.sampled_from(["9 mL/h", "9"]),
            "every": st.sampled_from(["8 h", "8"]),
            "count": st.sampled_from([1, 21, 0, 1001, "3"]),
            "dose": st.sampled_from(["1 mL", "1"]),
            "dose_rate": st.just("60 mL/h"),
            "lockout": st.just("6 min"),
            "limit_1h": st.just("8 mL"),
            "limit_4h": st.just("20 mL"),
        },
    )
)
def test_schema_and_loader_agree_on_steps(tmp_path_factory, step):
    lines = "\n".join(f"{name} = {json.dumps(value)}" for name, value in step.items())
    path = tmp_path_factory.getbasetemp() / "step.toml"
    path.write_text(f'schema = 1\nname = "x"\n[[step]]\n{lines}\n')
    schema = order_json_schema()["properties"]["step"]["items"]
    try:
        load_order(path)
    except FileError:
        assert not _schema_allows(schema, step)
    else:
        assert _schema_allows(schema, step)
