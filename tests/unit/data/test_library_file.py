"""Drug library files: what is read, what is refused and where it stands, what the pump gets."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doseloop import resources
from doseloop.cli.main import call
from doseloop.errors import FileError
from doseloop.library import LIMITS, library_json_schema, load_library
from doseloop.library_check import entries_of, judge, read, row_text
from doseloop.order import load_order

EXAMPLES = Path(__file__).parents[3] / "examples"
LIBRARY = EXAMPLES / "libraries" / "example.toml"
HEAD = """schema = 1
name = "Test"
version = 7
date = "2026-11-26"
[[area]]
id = "icu"
name = "Intensive care"
"""
ENTRY = """[[entry]]
area = "icu"
item = "dopamine"
drug = "dopamine"
source = "made up"
"""
ORDER = """schema = 1
name = "test"
[syringe]
model = "bd-plastipak-50"
fill = "40 mL"
[drug]
name = "dopamine"
concentration = "1.6 mg/mL"
weight = "70 kg"
care_area = "icu"
library_item = "dopamine"
[[step]]
mode = "infuse"
rate = "{rate}"
duration = "1 min"
"""


@pytest.fixture
def written(tmp_path):
    def write(text, name="library.toml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def problem(path, load=load_library):
    with pytest.raises(FileError) as caught:
        load(path)
    assert caught.value.next
    return caught.value


def test_an_entry_by_hand(written):
    row = 'dose_rate = { lower_soft = "2 mcg/kg/min", typical = "3 mcg/kg/min", '
    row += 'upper_hard = "50 mcg/kg/min" }\n'
    library = load_library(written(HEAD + ENTRY + row + 'duration = { upper_soft = "1 h" }\n'))
    ((area, item, rows),) = entries_of(library.sealed)
    # 2 mcg/kg/min = 2 · 1000 · 60 ng/kg/h = 120,000; 3: 180,000; 50: 3,000,000
    assert (area, item) == ("icu", "dopamine")
    assert rows == {
        "dose_rate": ["mass", "weight", 1, None, 120_000, 180_000, None, 3_000_000],
        "duration": ["time", "", 1, None, None, None, 3_600_000, None],
    }
    assert row_text("dose_rate", rows["dose_rate"]) == (
        "– | 2 mcg/kg/min | 3 mcg/kg/min | – | 50 mcg/kg/min"
    )
    head = read(library.sealed)
    assert (head["name"], head["version"], head["entries"]) == ("Test", 7, 1)
    assert head["crc"] == library.crc == library.sealed[19:27]


def test_a_limit_that_is_no_whole_number_of_units_stays_exact(written):
    # 1 mg/day = 10^6/24 ng/h = 125000/3: over 3.
    path = written(
        HEAD + ENTRY + 'dose_rate = { lower_hard = "1 mg/day", upper_hard = "1 mg/h" }\n'
    )
    rows = entries_of(load_library(path).sealed)[0][2]
    assert rows["dose_rate"] == ["mass", "", 3, 125_000, None, None, None, 3_000_000]


@pytest.mark.requirement("I3")
@pytest.mark.parametrize(
    "text, code, said",
    [
        (HEAD, "E_LIBRARY", "entry: missing"),
        (HEAD + ENTRY, "E_LIBRARY", ":8: entry 1: has no limits"),
        (HEAD + ENTRY + "dose = {}\n", "E_LIBRARY", ":13: entry 1, dose: has no limit"),
        (HEAD + ENTRY + 'rate = { upper_hard = "5" }\n', "E_UNIT", ":13: entry 1, rate, upper"),
        (HEAD + ENTRY + 'rate = { upper_hard = "0 mL/h" }\n', "E_NUMBER", "more than zero"),
        (HEAD + ENTRY + 'rate = { upper = "5 mL/h" }\n', "E_LIBRARY", "unknown key"),
        (HEAD + ENTRY + 'rates = { upper_hard = "5 mL/h" }\n', "E_LIBRARY", ":13: entry 1, rates"),
        (HEAD + ENTRY + 'dose = { upper_hard = "5 mcg/kg/min" }\n', "E_UNIT", "an amount"),
        (HEAD + ENTRY + 'rate = { lower_hard = "6 mL/h", upper_hard = "5 mL/h" }\n',
         "E_LIBRARY", ":13: entry 1, rate: rate: its limits are not in order"),
        (HEAD + ENTRY + 'dose = { typical = "6 mg", upper_hard = "5 units" }\n',
         "E_LIBRARY", "count different things"),
        (HEAD + ENTRY + 'dose = { typical = "6 mg", upper_hard = "9 mg/kg" }\n',
         "E_LIBRARY", "count different things"),
        (HEAD + (ENTRY + 'rate = { upper_hard = "5 mL/h" }\n') * 2, "E_LIBRARY", "there twice"),
        (HEAD + ENTRY.replace('"icu"', '"ICU"') + 'rate = { upper_hard = "5 mL/h" }\n',
         "E_LIBRARY", ":9: entry 1, area: no care area"),
        (HEAD + ENTRY.replace('item = "d', 'item = "D') + 'rate = { upper_hard = "5 mL/h" }\n',
         "E_LIBRARY", ":10: entry 1, item"),
        (HEAD.replace("2026-11-26", "26.11.2026") + ENTRY, "E_LIBRARY", "no date"),
        (HEAD.replace("Test", "T" * 25) + ENTRY, "E_LIBRARY", "24 plain"),
        (HEAD.replace("version = 7", "version = 0") + ENTRY, "E_LIBRARY", "version"),
        (HEAD + ENTRY.replace('source = "made up"\n', ""), "E_LIBRARY", "source: missing"),
    ],
)  # fmt: skip
def test_every_problem_is_named_where_it_stands(written, text, code, said):
    found = problem(written(text))
    assert found.code == code and said in found.message, found.message


def test_more_than_the_pump_takes(written):
    entry = ENTRY + 'rate = { upper_hard = "5 mL/h" }\n'
    many = [entry.replace('"dopamine"', f'"d{i}"', 1) for i in range(800)]
    assert "32768" in problem(written(HEAD + "".join(many))).message


numbers = st.lists(st.one_of(st.none(), st.integers(1, 9)), min_size=5, max_size=5)


@pytest.mark.requirement("I3")
@given(numbers)
def test_only_limits_in_order_are_read(tmp_path_factory, limits):
    path = tmp_path_factory.mktemp("any") / "library.toml"
    texts = [f'{k} = "{n} mL/h"' for k, n in zip(LIMITS, limits, strict=True) if n is not None]
    path.write_text(HEAD + ENTRY + f"rate = {{ {', '.join(texts)} }}\n")
    given_ones = [limit for limit in limits if limit is not None]
    if given_ones and given_ones == sorted(given_ones):
        row = entries_of(load_library(path).sealed)[0][2]["rate"]
        assert row[3:] == [limit and limit * 10**15 for limit in limits]
    else:
        problem(path)


def test_an_order_names_its_item_and_the_pump_gets_it(written):
    order = load_order(written(ORDER.format(rate="5 mcg/kg/min"), "order.toml"))
    assert order.compiled()["drug"] == {
        "area": "icu", "item": "dopamine",
        "concentration": ["mass", 1_600_000, 1], "weight": [70, 1],
    }  # fmt: skip
    text = ORDER.format(rate="5 mcg/kg/min") + '[override]\nwho = "me"\nwhy = "because"\n'
    drug = load_order(written(text, "order.toml")).compiled()["drug"]
    assert (drug["who"], drug["why"]) == ("me", "because")
    assert "drug" not in load_order(EXAMPLES / "dopamine.toml").compiled()


@pytest.mark.parametrize(
    "old, new, said",
    [
        ('care_area = "icu"\n', "", "library_item: goes with care_area"),
        ('library_item = "dopamine"\n', "", "care_area: goes with library_item"),
        ('"icu"', '"ICU"', "a-z"),
        ("[[step]]", '[override]\nwho = "x"\n[[step]]', "why: missing"),
        ("[[step]]", f'[override]\nwho = "{"x" * 17}"\nwhy = "y"\n[[step]]', "at most 16"),
        ("[[step]]", '[override]\nwho = "é"\nwhy = "y"\n[[step]]', "plain"),
    ],
)
def test_orders_that_can_not_be_looked_up(written, old, new, said):
    text = ORDER.format(rate="5 mL/h").replace(old, new)
    assert said in problem(written(text, "order.toml"), load_order).message
    text = 'schema = 1\nname = "x"\n[override]\nwho = "x"\nwhy = "y"\n[[step]]\nmode = "infuse"\n'
    text += 'rate = "5 mL/h"\nduration = "1 h"\n'
    assert "no library_item" in problem(written(text, "order.toml"), load_order).message


@pytest.mark.requirement("I1", "I2")
@pytest.mark.parametrize(
    "rate, hard, soft",
    [("2 mcg/kg/min", 0, 0), ("1.9 mcg/kg/min", 0, 1), ("50 mcg/kg/min", 0, 1),
     ("50.1 mcg/kg/min", 1, 0)],
)  # fmt: skip
def test_an_order_is_judged_by_the_pumps_own_rules(written, rate, hard, soft):
    text = ORDER.format(rate=rate).replace('item = "dopamine"', 'item = "dopamine-1600"')
    order = load_order(written(text, "order.toml"))
    judged = judge(load_library(LIBRARY).sealed, order)
    assert judged is not None
    assert (len(judged.hard), len(judged.soft)) == (hard, soft)
    # 2 … 20 (… 50) mcg/kg/min · 70 kg · 60 / 1600 mcg/mL
    assert judged.limits.edges["rate"] == [None, 525 * 10**13, 525 * 10**14, 13125 * 10**13]
    assert judge(load_library(LIBRARY).sealed, load_order(EXAMPLES / "dopamine.toml")) is None


def test_check_library_on_the_command_line(written, capsys):
    text = ORDER.format(rate="25 mcg/kg/min").replace('= "dopamine"\n[[', '= "dopamine-1600"\n[[')
    order = str(written(text, "order.toml"))
    assert call(["check", order]) == 0
    capsys.readouterr()
    assert call(["check", "--library", str(LIBRARY), order]) == 5
    said = capsys.readouterr().err
    assert "E_SOFT_LIMIT" in said and "! needed" in said and "5.25 mL/h … 52.5 mL/h" in said
    override = text + '[override]\nwho = "me"\nwhy = "because"\n'
    assert call(["check", "--library", str(LIBRARY), str(written(override, "order.toml"))]) == 0
    assert "! override  me: because" in capsys.readouterr().out
    assert call(["check", "--json", "--library", str(LIBRARY), order]) == 0
    (file,) = json.loads(capsys.readouterr().out)["files"]
    assert len(file["library"]["beyond_soft"]) == 1 and not file["library"]["beyond_hard"]
    unknown = text.replace("dopamine-1600", "adrenaline")
    assert call(["check", "--library", str(LIBRARY), str(written(unknown, "order.toml"))]) == 5


def test_library_check_on_the_command_line(written, capsys):
    bad = str(written(HEAD + ENTRY + 'rate = { upper_hard = "5" }\n'))
    assert call(["library", "check", bad, str(LIBRARY)]) == 2
    said = capsys.readouterr()
    assert "ok " in said.out and f"{bad}:13: entry 1, rate, upper_hard" in said.err
    assert call(["library", "check", "--json", bad, str(LIBRARY)]) == 2
    answer = json.loads(capsys.readouterr().out)
    assert [file["ok"] for file in answer["files"]] == [False, True]
    assert answer["error"]["code"] == "E_UNIT"
    assert call(["library", "check"]) == 2
    assert call(["library", "check", "--schema"]) == 0


def test_the_schema_knows_every_key():
    schema = library_json_schema()
    entry = schema["properties"]["entry"]["items"]
    assert set(entry["required"]) == {"area", "item", "drug", "source"}
    assert set(entry["properties"]["dose"]["properties"]) == set(LIMITS)
    kinds = set(resources.firmware_module("dose_limits").KINDS)
    assert kinds <= set(entry["properties"])
