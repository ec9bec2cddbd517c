"""Compiling board and syringe: a case by hand, an oracle in fractions, the shared vectors."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doseloop import resources
from doseloop.boards import board_names, find_board
from doseloop.config import compile_config
from doseloop.errors import UsageError
from doseloop.syringes import find_syringe, load_syringes

sealed = resources.firmware_module("sealed")
BOARD = find_board("pico_tmc2209")
SYRINGE = find_syringe("bd-plastipak-50")


def test_by_hand():
    # pi/4 · (26.59 mm)² = 0.785398163397448 25 · 707.0281 mm² = 555.298 571 20… mm²
    # · 0.0003125 mm = 0.173 530 803 50… mm³ a microstep; 1 mm³ = 10^12 aL
    data = compile_config(BOARD, SYRINGE).data
    assert data["motion"]["al_per_step"] == 173_530_803_503
    # 50 mL = 50 · 10^15 aL
    assert data["syringe"]["stroke_steps"] == 50 * 10**15 // 173_530_803_503 == 288_133
    # 20000 steps/s · 3600 s
    assert data["limits"]["rate_max_al_per_h"] == 173_530_803_503 * 72_000_000


def test_the_shape_the_device_expects():
    compiled = compile_config(BOARD, SYRINGE)
    sections = ["schema", "board", "motion", "syringe", "limits", "alarms", "force"]
    assert list(compiled.data) == sections
    assert compiled.data["board"]["pins"] == {
        "step": 2, "dir": 3, "enable": 4, "witness": 5, "stop": 6, "end_front": 7, "end_back": 8,
        "bolus": 9, "clamp": 14, "diag": 13, "uart_tx": 0, "uart_rx": 1, "battery": 27,
        "temperature": 28, "buzzer": 20, "lamp_red": 21, "lamp_yellow": 22,
        "force": 26,
    }  # fmt: skip
    # 150 mN per mm · 26.59 mm = 3988.5 mN; the area by hand above, 555.298 571 mm²
    assert compiled.data["force"] == {
        "sensor": "adc", "gain_num": 500, "gain_den": 1, "zero": 3277, "least": 1000,
        "most": 62000, "friction_mn": 3988, "area_um2": 555_298_571, "occlusion_pa": 60_000,
        "auto_restart": 0,
    }  # fmt: skip
    assert compiled.data["board"]["witness_bridge"] == "step pin jumpered to witness pin"
    assert compiled.data["alarms"] == {"near_empty_ms": 600_000}
    assert compiled.text.isascii()
    assert ": " not in compiled.text.replace("step pin jumpered", "")
    assert sealed.unseal("config", 1, compiled.sealed) == compiled.text
    assert json.loads(compiled.text) == compiled.data


def test_a_board_without_a_force_sensor_has_no_word_of_it():
    pins = tuple(pin for pin in BOARD.pins if pin.signal != "force")
    data = compile_config(replace(BOARD, pins=pins, force=None), SYRINGE).data
    assert "force" not in data and "force" not in data["board"]["pins"]


def test_a_board_without_a_bolus_button_has_no_word_of_it():
    # As before there were buttons: an older firmware takes it.
    pins = tuple(pin for pin in BOARD.pins if pin.signal != "bolus")
    board = compile_config(replace(BOARD, pins=pins, bolus_pressed=None), SYRINGE).data["board"]
    assert "bolus" not in board["pins"] and "bolus_pressed" not in board


def test_what_is_watched_by_hand():
    board = compile_config(BOARD, SYRINGE).data["board"]
    assert board["tmc2209"] == {
        "address": 1,
        "mres": 3,  # 256 / 2^3 = 32 microsteps
        "irun": 15,
        "ihold": 7,
        # 6400 steps/s: 156.25 us and one more; · 12 clocks/us · 32 / 256 = 235.875
        "tcoolthrs": 236,
        "sgthrs": 30,
    }
    # 65535 · 3488 / 13488 = 16947.2
    assert board["hot_counts"] == 16_948
    assert board["supply"]["full_mv"] == 15_522
    assert board["supply"]["curve"][-2:] == [[10_290, 5], [9_000, 0]]


def test_a_board_with_nothing_to_watch_has_no_word_of_it():
    board = compile_config(find_board("pico_a4988"), SYRINGE).data["board"]
    assert not {"tmc2209", "hot_counts", "supply"} & set(board)
    assert not {"clamp", "diag", "uart_tx", "battery", "temperature"} & set(board["pins"])


@pytest.mark.parametrize("board", board_names())
@pytest.mark.parametrize("model", load_syringes())
def test_every_board_with_every_syringe(board, model):
    _agrees_with_the_oracle(find_board(board), find_syringe(model))
    compiled = compile_config(find_board(board), find_syringe(model))
    checked = resources.firmware_module("config").check(compiled.sealed)
    assert checked == dict(compiled.data, crc=sealed.crc_of(compiled.sealed))


@given(
    diameter=st.integers(10**5, 60 * 10**6),
    lead=st.integers(10**5, 10**7),
    capacity=st.integers(10**13, 10**17),
    gear=st.fractions(Fraction(1, 20), 100, max_denominator=50),
    max_hz=st.integers(1000, 100_000),
)
def test_any_mechanism(diameter, lead, capacity, gear, max_hz):
    board = replace(BOARD, lead_nm=lead, gear=gear, max_hz=max_hz)
    syringe = replace(SYRINGE, diameter_nm=diameter, capacity_al=capacity)
    try:
        _agrees_with_the_oracle(board, syringe)
    except UsageError as error:
        assert error.code == "E_CONFIG"


def _agrees_with_the_oracle(board, syringe):
    """Recompute everything from the definition: metres, pi to 15 decimals, half up."""
    compiled = compile_config(board, syringe)
    motion, limits = compiled.data["motion"], compiled.data["limits"]
    pi = Fraction(3141592653589793, 10**15)
    diameter_m, lead_m = Fraction(syringe.diameter_nm, 10**9), Fraction(board.lead_nm, 10**9)
    steps_per_turn = board.full_steps * board.microsteps * board.gear
    exact = pi / 4 * diameter_m**2 * lead_m / steps_per_turn * 10**21  # 1 aL = 10^-21 m³
    al = motion["al_per_step"]
    assert al - Fraction(1, 2) <= exact < al + Fraction(1, 2)
    assert abs(compiled.rounding_ppt) == abs(al - exact) / exact * 10**12
    stroke = compiled.data["syringe"]["stroke_steps"]
    assert stroke * al <= syringe.capacity_al < (stroke + 1) * al
    assert limits["rate_max_al_per_h"] == al * 3600 * board.max_hz
    slowest = limits["rate_min_al_per_h"]
    period = Fraction(al * 3600 * 10**6, slowest)
    assert period <= 2**30 - 1 < Fraction(al * 3600 * 10**6, max(slowest - 1, 1)) or slowest == 1
    travel_nm = motion["backlash_steps"] * board.microstep_nm
    assert travel_nm >= board.backlash_nm > travel_nm - board.microstep_nm or not travel_nm


def test_shared_vectors_are_what_we_compile_today():
    path = Path(__file__).parents[2] / "vectors" / "compile.json"
    for case in json.loads(path.read_text()):
        compiled = compile_config(find_board(case["board"]), find_syringe(case["syringe"]))
        assert compiled.sealed == case["sealed"]
        assert compiled.al_per_step == int(case["al_per_step"])


def test_a_stroke_must_hold_the_capacity():
    short = replace(SYRINGE, stroke_nm=50 * 10**6)  # 50 mL need 90 mm of this barrel
    with pytest.raises(UsageError, match="does not hold its capacity"):
        compile_config(BOARD, short)
    long = replace(SYRINGE, stroke_nm=100 * 10**6)
    assert compile_config(BOARD, long).data["syringe"]["stroke_steps"] == 320_000


def test_a_syringe_smaller_than_one_step_is_refused():
    with pytest.raises(UsageError, match="less than one microstep"):
        compile_config(BOARD, replace(SYRINGE, capacity_al=10**11))
