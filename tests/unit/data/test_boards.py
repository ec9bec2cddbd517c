"""Board files: those we ship load; a wrong one is refused by file, key and remedy."""

import re
from pathlib import Path

import pytest

from doseloop import boards, resources
from doseloop.config import compile_config
from doseloop.errors import FileError, UsageError
from doseloop.syringes import find_syringe

REFERENCE = resources.boards_root() / "pico_tmc2209.toml"


@pytest.mark.parametrize("name", boards.board_names())
def test_every_board_loads(name):
    board = boards.find_board(name)
    assert board.name == name
    assert {"step", "dir", "witness", "stop"} <= {pin.signal for pin in board.pins}


def test_reference_board_by_hand():
    board = boards.find_board("pico_tmc2209")
    # 2 mm / (200 · 32) = 312.5 nm; 20 um / 312.5 nm = 64
    assert board.microstep_nm * 2 == 625
    assert board.backlash_steps == 64
    assert [board.gpio(name) for name in ("step", "dir", "enable", "witness")] == [2, 3, 4, 5]
    assert [board.gpio(name) for name in ("stop", "end_front", "end_back")] == [6, 7, 8]
    assert (board.gpio("bolus"), board.bolus_pressed) == (9, 0)


def test_published_pins_of_the_skr_pico():
    # Z axis of Klipper's generic-bigtreetech-skr-pico-v1.0.cfg
    board = boards.find_board("skr_pico")
    assert [board.gpio(name) for name in ("step", "dir", "enable")] == [19, 28, 2]
    assert [board.gpio(name) for name in ("end_front", "end_back", "stop")] == [4, 3, 25]


def test_a_file_is_found_by_its_path():
    assert boards.find_board(str(REFERENCE)).name == "pico_tmc2209"
    with pytest.raises(UsageError, match="known: pico_a4988, pico_tmc2209, skr_pico"):
        boards.find_board("pico")


# (what is replaced, by what, what the message must hold)
WRONG = [
    ("microsteps = 32", "microstep = 32", "unknown key; known: model, microsteps"),
    ("microsteps = 32\n", "", "driver, microsteps: missing"),
    ("microsteps = 32", "microsteps = 24", "can't be strapped to 24 microsteps"),
    ("microsteps = 32", "microsteps = true", "must be a whole number"),
    ("microsteps = 32", 'microsteps = "32"', "must be a whole number"),
    ('lead = "2 mm"', 'lead = "2"', "unit missing; use nm um mm cm m"),
    ('lead = "2 mm"', "lead = 2", "write a text with a unit"),
    ('lead = "2 mm"', 'lead = "0 mm"', "must be more than zero"),
    ('lead = "2 mm"', 'lead = "2 ml"', "unknown length unit 'ml'"),
    ('gear = "1:1"', 'gear = "0:1"', "is not a ratio"),
    ('pull_in = "1000 Hz"', 'pull_in = "30000 Hz"', "30000 Hz is above max_rate (20000 Hz)"),
    ('take_up = "500 Hz"', 'take_up = "2000 Hz"', "2000 Hz is above pull_in (1000 Hz)"),
    ('acceleration = "20000 Hz/s"', 'acceleration = "0 Hz/s"', "it would never be reached"),
    ('max_rate = "20000 Hz"', 'max_rate = "600 kHz"', "more than the step generator makes"),
    ('step_high = "100 ns"', 'step_high = "50 ns"', "shorter than a tmc2209 can see"),
    ('step_high = "100 ns"', 'step_high = "2.5 us"', "too short for this driver"),
    ('model = "tmc2209"', 'model = "tmc9"', "is not one of tmc2209, a4988"),
    ("gpio = 5", "gpio = 2", "GPIO 2 is used twice: pins, step"),
    ("gpio = 5", "gpio = 25", "a pico has no GPIO 25 to wire"),
    ("gpio = 5", "gpio = 31", "must be a whole number, 0 … 29"),
    ("gpio = 5", 'gpio = "GP5"', "must be a whole number, 0 … 29"),
    ("[pins.witness]", "[pins.wittness]", "pins, wittness: unknown key"),
    ("[alarms]", "[reserved]\ngpio2 = 'LED'\n\n[alarms]", "used twice: reserved: LED"),
    ("[alarms]", "[reserved]\ngpio99 = 'LED'\n\n[alarms]", "must read like gpio8"),
    ("stall_threshold = 30", "stall_treshold = 30", "tmc2209, stall_treshold: unknown key"),
    ("address = 1", "address = 4", "must be a whole number, 0 … 3"),
    ('stall_from = "6400 Hz"', 'stall_from = "1 Hz"', "beyond what TCOOLTHRS can hold"),
    ("[pins.uart_rx]", "[pins.clamp2]", "pins, clamp2: unknown key"),
    ("gpio = 1\n", "gpio = 17\n", "pins, uart_rx, gpio: of another UART"),
    ("gpio = 27", "gpio = 15", "pins, battery, gpio: no ADC input"),
    ("[heat]", "[supply.more]", "[heat] and [pins.temperature] go together"),
    ("pull_up_ohm = 10000", "pull_up_ohm = 100000", "too far from the NTC's resistance"),
    ("low_mv = 8500", "low_mv = 13000", "low_mv: not below external_mv"),
    ("low_mv = 8500", "low_mv = 9500", "must lie between low_mv and external_mv"),
    ('left = "294 min"', 'left = "294.5 min"', "not in whole minutes"),
    ('left = "294 min"', 'left = "240 min"', "must fall in mv and left"),
    ('left = "0 min"', 'left = "1 min"', "the last with 0 min left"),
    ('model = "tmc2209"', 'model = "a4988"', "can't be strapped to 32"),
    ('name = "pico_tmc2209"', 'name = "pico"', "'pico' in a file called pico_tmc2209.toml"),
    ('bolus_pressed = "low"\n', "", "bolus_pressed: missing, but there is a bolus button"),
    ("gpio = 22", "gpio = 19", "is not the GPIO after lamp_red's"),
    (
        'near_empty = "10 min"',
        'near_empty = "10 min"\npaused = "16 min"',
        "16 min is out of range",
    ),
    (
        'near_empty = "10 min"',
        'near_empty = "10 min"\nstandby = "1 ms"',
        "0.001 s is out of range",
    ),
    ("schema = 1", "schema = 2", "must be a whole number, 1 … 1"),
    ('title = "R', "title = R", "not TOML"),
]


@pytest.mark.parametrize(("old", "new", "message"), WRONG)
def test_what_is_wrong_is_named_with_its_file_and_line(tmp_path, old, new, message):
    text = REFERENCE.read_text()
    assert text.count(old) >= 1
    path = tmp_path / REFERENCE.name
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(FileError) as caught:
        boards.load_board(path)
    error = caught.value
    assert message in error.message
    assert error.message.startswith(str(path))
    assert error.code.startswith("E_")
    assert error.exit_code == 2


def test_the_line_and_the_remedy_are_given(tmp_path):
    path = tmp_path / REFERENCE.name
    path.write_text(REFERENCE.read_text().replace("microsteps = 32", "microstep = 32"))
    with pytest.raises(FileError) as caught:
        boards.load_board(path)
    number = 1 + path.read_text().splitlines().index("microstep = 32")
    assert caught.value.message.startswith(f"{path}:{number}: driver, microstep: ")
    assert caught.value.next == "did you mean 'microsteps'?"


def test_a_missing_optional_wire_is_none(tmp_path):
    text = re.sub(r"\[pins.end_back\]\n(.+\n)+", "", REFERENCE.read_text())
    path = tmp_path / REFERENCE.name
    path.write_text(text)
    assert boards.load_board(path).gpio("end_back") is None


def test_a_level_for_a_button_that_is_not_wired_is_refused(tmp_path):
    path = tmp_path / REFERENCE.name
    path.write_text(re.sub(r"\[pins.bolus\]\n(.+\n)+", "", REFERENCE.read_text()))
    with pytest.raises(FileError, match="no pin is called bolus"):
        boards.load_board(path)


def test_buzzer_and_lamps_come_together_or_not_at_all(tmp_path):
    path = tmp_path / REFERENCE.name
    without = REFERENCE.read_text()
    for name in ("lamp_yellow", "buzzer", "lamp_red"):
        without = re.sub(rf"\[pins.{name}\]\n(.+\n)+", "", without)
        path.write_text(without)
        if name == "lamp_red":
            assert boards.load_board(path).gpio("buzzer") is None
        else:
            with pytest.raises(FileError, match="buzzer and both lamps|is missing"):
                boards.load_board(path)


@pytest.mark.requirement("E12", "E13", "F13")
def test_reminders_are_the_pumps_own_unless_the_file_sets_them(tmp_path):
    path = tmp_path / REFERENCE.name
    assert boards.load_board(REFERENCE).reminders_ms == {}
    more = 'near_empty = "10 min"\npaused = "90 s"\nstandby = "30 min"'
    path.write_text(REFERENCE.read_text().replace('near_empty = "10 min"', more))
    board = boards.load_board(path)
    assert board.reminders_ms == {"paused": 90_000, "standby": 1_800_000}
    data = compile_config(board, find_syringe("bd-plastipak-50")).data
    assert data["alarms"] == {
        "near_empty_ms": 600_000,
        "paused_ms": 90_000,
        "standby_ms": 1_800_000,
    }


def test_a_missing_file_is_a_file_error():
    with pytest.raises(FileError, match="no such file"):
        boards.load_board(Path("no_such_board.toml"))
