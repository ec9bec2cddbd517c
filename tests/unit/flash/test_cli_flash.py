"""The verb: what it prints, what it refuses, and a whole deploy through the command line."""

import json

import pytest
from click.testing import CliRunner

from doseloop.cli.flash import flash
from doseloop.errors import NoPump, Refused, UsageError
from doseloop.flash import guard
from doseloop.flash.board import Board
from doseloop.flash.plan import check_target


def invoke(*arguments):
    return CliRunner().invoke(flash, arguments, standalone_mode=False)


def test_dry_run_lists_every_file_and_the_mpy_total_without_a_board():
    text = invoke("--dry-run")
    assert text.exception is None
    data = json.loads(invoke("--dry-run", "--json").stdout)
    mpy = sum(each["size"] for each in data["files"] if each["path"].endswith(".mpy"))
    assert data["mpy_bytes"] == mpy > 0
    assert f"{mpy} " in text.stdout
    assert all(each["path"] in text.stdout for each in data["files"])


def test_wrong_use_is_named():
    with pytest.raises(UsageError, match="toaster"):
        raise invoke("--board", "toaster").exception
    with pytest.raises(UsageError, match="belong to --uf2"):
        raise invoke("--any-version").exception
    with pytest.raises(NoPump):
        raise invoke("--port", "/dev/doseloop-is-not-here").exception


def test_a_working_pump_is_refused_and_the_board_is_not_touched(bench, monkeypatch):
    def working(port):
        raise Refused("the pump is infusing", code="E_STATE")

    monkeypatch.setattr(guard, "release", working)
    with pytest.raises(Refused, match="infusing"):
        raise invoke("--port", bench.port).exception
    bench.off()


def test_deploy_prints_what_was_sent_and_what_the_board_reports(bench, monkeypatch):
    reported = json.loads(invoke("--dry-run", "--json").stdout)["hash"]
    monkeypatch.setattr(guard, "await_hash", lambda port, serial: reported)
    monkeypatch.setattr(
        "doseloop.cli.flash.check_target",
        lambda found: check_target(found, version=found.version, chip="linux"),
    )
    first = json.loads(invoke("--port", bench.port, "--json").stdout)
    assert first["changed"]
    assert len(first["sent"]) == len(first["files"])
    second = invoke("--port", bench.port, "--board", "pico_tmc2209")
    assert "was already on" in second.stdout
    assert "doseloop config push --board pico_tmc2209" in second.stderr


def test_a_board_with_another_chip_is_refused_and_restarted(bench, monkeypatch):
    monkeypatch.setattr(guard, "release", lambda port: None)
    restarted = []
    monkeypatch.setattr(Board, "reset", lambda board: restarted.append(board.port))
    with pytest.raises(Refused, match="built for RP2040"):
        raise invoke("--port", bench.port).exception
    assert restarted == [bench.port]
