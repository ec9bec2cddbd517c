"""The drug library from file to pump: check, push, show, and orders held against it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

LIBRARY = Path(__file__).parents[2] / "examples" / "libraries" / "example.toml"
RATE = "5 mcg/kg/min"  # 5 · 70 · 60 / 1600 mL/h = 13.125 mL/h


def dopamine(tmp_path: Path, rate: str = RATE, more: str = "") -> Path:
    path = tmp_path / "dopamine.toml"
    path.write_text(
        'schema = 1\nname = "test"\n[syringe]\nmodel = "bd-plastipak-50"\nfill = "40 mL"\n'
        '[drug]\nname = "dopamine"\nconcentration = "1.6 mg/mL"\nweight = "70 kg"\n'
        'care_area = "icu"\nlibrary_item = "dopamine-1600"\n'
        f'[[step]]\nmode = "infuse"\nrate = "{rate}"\nduration = "6 min"\n{more}',
        encoding="utf-8",
    )
    return path


def push(cli, port: str, path: Path = LIBRARY, *more: str):
    return cli("library", "push", path, "--yes", "--port", port, *more)


@pytest.mark.requirement("I2", "I5", "I6")
def test_from_file_to_record(cli, sim, tmp_path):
    board = ("--board", "pico_tmc2209", "--syringe", "bd-plastipak-50")
    pump = sim(*board, "--state", str(tmp_path / "flash"), held=False)
    port = pump.port
    # Without a library: an order with an item stays stopped, one without runs, and that is shown.
    shown = cli("library", "show", "--port", port)
    assert (shown.code, "no drug library" in shown.err) == (5, True)
    refused = cli("run", dopamine(tmp_path), "--dry-run", "--port", port)
    assert (refused.code, "E_LIBRARY" in refused.err) == (5, True)
    assert cli("status", "--json", "--port", port).json["library"] is None
    # Loading needs a yes.
    asked = cli("library", "push", LIBRARY, "--port", port)
    assert (asked.code, "E_NO_TERMINAL" in asked.err) == (2, True)
    assert cli("status", "--json", "--port", port).json["library"] is None
    pushed = push(cli, port)
    assert pushed.code == 0 and "old  none" in pushed.err, pushed.err
    assert "Doseloop example, version 1" in pushed.out
    head = cli("library", "show", "--json", "--port", port).json
    library = cli("status", "--json", "--port", port).json["library"]
    assert library == {key: head[key] for key in ("name", "version", "crc")}
    assert head["items"][0]["item"] == "dopamine-1600"
    text = cli("library", "show", "--port", port).out
    assert "– | 2 mcg/kg/min | 5 mcg/kg/min | 20 mcg/kg/min | 50 mcg/kg/min" in text
    # Limits are shown with the plan; beyond a soft one it needs an override.
    plan = cli("run", dopamine(tmp_path), "--dry-run", "--port", port)
    assert "5.25 mL/h … 52.5 mL/h (hard: – … 131.25 mL/h)" in plan.out, plan.out + plan.err
    for rate, code in (("25 mcg/kg/min", "E_SOFT_LIMIT"), ("51 mcg/kg/min", "E_HARD_LIMIT")):
        refused = cli("run", dopamine(tmp_path, rate), "--yes", "--json", "--port", port)
        assert (refused.code, refused.json["error"]["code"]) == (5, code)
    override = '[override]\nwho = "Dr. Grey"\nwhy = "septic shock"\n'
    report = tmp_path / "page.html"
    order = dopamine(tmp_path, "25 mcg/kg/min", override)
    done = cli("run", order, "--yes", "--report", report, "--port", port)
    assert done.code == 0, done.err
    page = report.read_text(encoding="utf-8")
    assert "override by Dr. Grey: septic shock" in page and library["crc"] in page
    logs = cli("logs", "--port", port).out
    assert "icu/dopamine-1600 of Doseloop example 1" in logs
    # The same order without an item: allowed, and shown.
    order.write_text(order.read_text().replace('library_item = "dopamine-1600"\n', "")
                     .replace('care_area = "icu"\n', "").replace(override, ""))  # fmt: skip
    plan = cli("run", order, "--dry-run", "--port", port)
    assert plan.code == 0 and "names no item of a drug library" in plan.out
    done = cli("run", order, "--yes", "--report", report, "--port", port)
    assert done.code == 0 and "no drug library" in report.read_text(encoding="utf-8")


@pytest.mark.requirement("I6", "I8")
def test_an_older_one_needs_an_administrator_and_a_reboot_keeps_it(cli, sim, tmp_path):
    board = ("--board", "pico_tmc2209", "--syringe", "bd-plastipak-50")
    flash = tmp_path / "flash"
    pump = sim(*board, "--state", str(flash), held=False)
    newer = tmp_path / "newer.toml"
    newer.write_text(LIBRARY.read_text(encoding="utf-8").replace("version = 1", "version = 2"))
    assert push(cli, pump.port, newer).code == 0
    older = push(cli, pump.port)
    assert (older.code, "--replace" in older.err) == (5, True)
    assert push(cli, pump.port, LIBRARY, "--replace").code == 0
    assert push(cli, pump.port, newer).code == 0
    pump.end()
    again = sim(*board, "--state", str(flash), held=False)
    now = cli("status", "--json", "--port", again.port).json
    assert now["library"]["version"] == 2
    assert json.loads(cli("library", "show", "--json", "--port", again.port).out)["version"] == 2
