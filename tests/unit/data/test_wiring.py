"""The wiring page is made from the board files and committed as made."""

from pathlib import Path

from doseloop import wiring

PAGE = Path(__file__).resolve().parents[3] / "docs" / "wiring.md"


def test_the_committed_page_is_the_one_we_would_make():
    page = PAGE.read_text(encoding="utf-8")
    assert page == wiring.wiring_text(), "run: python -m doseloop.wiring"


def test_every_board_and_its_witness_are_on_it():
    text = wiring.wiring_text()
    for name, gpio in (("pico_tmc2209", 5), ("pico_a4988", 5), ("skr_pico", 1)):
        section = text.split(f"`--board {name}`")[1].split("## ")[0]
        assert f"| witness | {gpio} |" in section
