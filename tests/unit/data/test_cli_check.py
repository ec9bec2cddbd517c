"""`doseloop check`: exit codes and what is said where."""

import json
from pathlib import Path

import pytest

from doseloop.cli.main import call

EXAMPLES = Path(__file__).parents[3] / "examples"
BOARDS = EXAMPLES.parent / "boards"
GOOD = str(EXAMPLES / "immunoglobulin.toml")


@pytest.fixture
def broken(tmp_path):
    path = tmp_path / "broken.toml"
    path.write_text(Path(GOOD).read_text().replace('rate = "5 mL/h"', 'rate = "5"'))
    return str(path)


def test_many_good_files(capsys):
    files = [str(path) for path in [*EXAMPLES.glob("*.toml"), *BOARDS.glob("*.toml")]]
    assert call(["check", *files]) == 0
    said = capsys.readouterr()
    told = [line for line in said.out.splitlines() if not line.startswith("  ")]
    assert len(told) == len(files)
    assert all(line.startswith("ok ") for line in told)
    assert said.err == ""


@pytest.mark.requirement("B2")
def test_b2_doses_are_shown_with_the_rate_they_become(capsys):
    path = str(EXAMPLES / "dopamine.toml")
    assert call(["check", path]) == 0
    said = capsys.readouterr().out.splitlines()
    # 2 mcg/kg/min · 70 kg · 60 min/h / 1600 mcg/mL
    assert said[-1] == "  step 4, rate: 2 mcg/kg/min (70 kg, 1.6 mg/mL) = 5.25 mL/h"
    assert call(["check", "--json", path, GOOD]) == 0
    dosed, plain = json.loads(capsys.readouterr().out)["files"]
    assert dosed["doses"][-1] == {
        "where": "step 4, rate",
        "ordered": "2 mcg/kg/min",
        "basis": ["70 kg", "1.6 mg/mL"],
        "gives": "5.25 mL/h",
        "rate_al_per_h": 5_250_000_000_000_000,
    }
    assert "doses" not in plain


def test_e_dose_is_an_invalid_file(capsys, tmp_path):
    path = tmp_path / "light.toml"
    text = (EXAMPLES / "dopamine.toml").read_text(encoding="utf-8")
    path.write_text(text.replace('weight = "70 kg"\n', ""), encoding="utf-8")
    assert call(["check", "--json", str(path)]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["code"], error["next"]) == ("E_DOSE", 'add to [drug]: weight = "… kg"')


def test_one_bad_file_is_named_and_the_rest_still_checked(capsys, broken):
    assert call(["check", broken, GOOD]) == 2
    said = capsys.readouterr()
    assert said.out.startswith(f"ok {GOOD}")
    assert f"{broken}:" in said.err
    assert "E_UNIT" in said.err


def test_limits_only_with_a_board(capsys, tmp_path):
    path = tmp_path / "fast.toml"
    path.write_text(Path(GOOD).read_text().replace('rate = "5 mL/h"', 'rate = "13 L/h"'))
    assert call(["check", str(path)]) == 0
    assert call(["check", "--board", "pico_tmc2209", str(path)]) == 5
    assert "nearest allowed: 12494.217852216 mL/h" in capsys.readouterr().err


def test_a_fill_beyond_the_syringe_is_an_invalid_file(capsys, tmp_path):
    path = tmp_path / "full.toml"
    path.write_text(Path(GOOD).read_text().replace('fill = "40 mL"', 'fill = "80 mL"'))
    assert call(["check", str(path)]) == 2
    said = capsys.readouterr().err
    assert "E_VOLUME" in said
    assert "limit: 50 mL" in said


@pytest.mark.requirement("B9")
def test_a_syringe_change_is_announced(capsys, tmp_path):
    path = tmp_path / "more.toml"
    path.write_text(Path(GOOD).read_text().replace('fill = "40 mL"', 'fill = "8 mL"'))
    assert call(["check", str(path)]) == 0
    assert "1 syringe change(s)" in capsys.readouterr().out
    assert call(["check", GOOD]) == 0
    assert "syringe change" not in capsys.readouterr().out


def test_invalid_outweighs_refused(tmp_path, broken):
    path = tmp_path / "fast.toml"
    path.write_text(Path(GOOD).read_text().replace('rate = "5 mL/h"', 'rate = "13 L/h"'))
    assert call(["check", "--board", "pico_tmc2209", str(path), broken]) == 2


def test_json(capsys, broken):
    assert call(["check", "--json", GOOD, broken]) == 2
    answer = json.loads(capsys.readouterr().out)
    assert answer["error"]["code"] == "E_UNIT"
    assert [file["ok"] for file in answer["files"]] == [True, False]


@pytest.mark.parametrize("arguments", [[], ["no_such_file.toml"]])
def test_nothing_to_check(arguments):
    assert call(["check", *arguments]) == 2


def test_unknown_syringe(tmp_path, capsys):
    path = tmp_path / "order.toml"
    path.write_text(Path(GOOD).read_text().replace("bd-plastipak-50", "bd-plastipak-55"))
    assert call(["check", str(path)]) == 2
    assert "bd-plastipak-50" in capsys.readouterr().err


def test_schema(capsys):
    assert call(["check", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "Doseloop order, schema 1"
