"""Deploys over the real mpremote; the firmware here says which version of each file runs."""

import shutil
from pathlib import Path

import pytest

from doseloop import resources
from doseloop.errors import Refused, VersionMismatch
from doseloop.flash import scripts
from doseloop.flash.board import Board
from doseloop.flash.build import Build, build
from doseloop.flash.deploy import VerifyError, deploy, look
from doseloop.flash.plan import Inventory, check_target, make_plan

APP = """
import sys
from pump import part
from pump import same
VERSION = {version}
def main():
    sys.stderr.write("app %d part %d\\n" % (VERSION, part.VERSION))
"""


def accept(inventory: Inventory) -> None:
    check_target(inventory, version=inventory.version, chip="linux")


def quiet(path: str, size: int) -> None:
    pass


def firmware(folder: Path, version: int, app: int | None = None) -> Build:
    root = folder / f"v{version}.{app}"
    (root / "pump").mkdir(parents=True)
    (root / "boot.py").write_text("# nothing\n")
    shutil.copy(resources.firmware_root() / "main.py", root / "main.py")  # the one that ships
    (root / "pump" / "__init__.py").write_text("")
    (root / "pump" / "version.py").write_text(f'FIRMWARE = "0.{version}.0"\n')
    (root / "pump" / "app.py").write_text(APP.format(version=app or version))
    (root / "pump" / "part.py").write_text(f"VERSION = {version}\n")
    (root / "pump" / "same.py").write_text("NUMBERS = %r\n" % list(range(300)))
    return build(root)


def restart(bench):
    bench.off()
    return bench.on()


def test_fresh_board_runs_what_was_deployed_and_a_second_deploy_sends_nothing(bench, tmp_path):
    one = firmware(tmp_path, 1)
    told = []
    done = deploy(one, Board(bench.port), accept, lambda path, size: told.append((path, size)))
    assert done.changed
    # five modules, manifest, hash, boot.py and main.py
    assert len(told) == 9
    assert sum(size for _, size in told) == done.plan.send_bytes
    assert restart(bench) == ["app 1 part 1"]
    again = deploy(one, Board(bench.port), accept, quiet)
    assert not again.changed
    assert again.plan.send == ()


def test_update_sends_only_what_changed_and_going_back_sends_nothing(bench, tmp_path):
    one, two = firmware(tmp_path, 1), firmware(tmp_path, 1, app=2)
    deploy(one, Board(bench.port), accept, quiet)
    update = deploy(two, Board(bench.port), accept, quiet)
    assert sorted(artifact.path for artifact, _ in update.plan.send) == [
        "firmware.hash",
        "firmware.json",
        "pump/app.mpy",
    ]
    assert restart(bench) == ["app 2 part 1"]
    back = deploy(one, Board(bench.port), accept, quiet)
    assert back.plan.send == ()
    assert restart(bench) == ["app 1 part 1"]


class Cut:
    """A board that loses power (or its cable) at the n-th thing that a deploy asks of it."""

    def __init__(self, bench, at: int, power: bool) -> None:
        self._bench, self._left, self._power = bench, at, power
        self._board = Board(bench.port)

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            if self._power:
                self._bench.off()
            raise InterruptedError

    def run(self, script):
        self._count()
        return self._board.run(script)

    def send(self, files, progress):
        def each(path, size):
            progress(path, size)
            self._count()

        self._board.send(files, each)

    def reset(self):
        self._count()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_cut_at_any_point_leaves_the_old_firmware_or_the_new_never_a_mixture(bench, tmp_path):
    old, new = firmware(tmp_path, 1), firmware(tmp_path, 2)
    deploy(old, Board(bench.port), accept, quiet)
    bench.off()
    before = bench.flash.read_bytes()
    seen = []
    for at in range(30):
        bench.flash.write_bytes(before)
        bench.on()
        try:
            deploy(new, Cut(bench, at, power=at % 2 == 1), accept, quiet)
        except InterruptedError:
            seen.append(restart(bench))
            bench.off()
        else:
            break
    else:
        pytest.fail("the deploy never got through")
    # look, prepare, five changed files, look again, switch | last look: nine cuts keep the old
    assert seen == [["app 1 part 1"]] * 9 + [["app 2 part 2"]]
    assert restart(bench) == ["app 2 part 2"]


def test_a_deploy_after_a_cut_sends_only_the_rest(bench, tmp_path):
    old, new = firmware(tmp_path, 1), firmware(tmp_path, 2)
    deploy(old, Board(bench.port), accept, quiet)
    with pytest.raises(InterruptedError):
        deploy(new, Cut(bench, 4, power=True), accept, quiet)
    restart(bench)
    done = deploy(new, Board(bench.port), accept, quiet)
    assert 0 < len(done.plan.send) < 5
    assert restart(bench) == ["app 2 part 2"]


def test_a_cut_first_deploy_leaves_a_board_at_its_prompt_that_takes_the_next(bench, tmp_path):
    one = firmware(tmp_path, 1)
    with pytest.raises(InterruptedError):
        deploy(one, Cut(bench, 5, power=True), accept, quiet)
    assert "app" not in "".join(restart(bench))
    deploy(one, Board(bench.port), accept, quiet)
    assert restart(bench) == ["app 1 part 1"]


def test_a_damaged_active_firmware_is_repaired_beside_not_in_place(bench, tmp_path):
    one = firmware(tmp_path, 1)
    board = Board(bench.port)
    deploy(one, board, accept, quiet)
    board.run(f"with open('/{one.folder}/pump/part.mpy', 'wb') as file: file.write(b'x')")
    done = deploy(one, board, accept, quiet)
    assert done.plan.folder == one.folder + "r"
    assert [artifact.path for artifact, _ in done.plan.send] == ["pump/part.mpy"]
    assert restart(bench) == ["app 1 part 1"]


def test_a_file_that_arrives_damaged_stops_the_deploy_before_the_switch(bench, tmp_path):
    one, two = firmware(tmp_path, 1), firmware(tmp_path, 2)
    deploy(one, Board(bench.port), accept, quiet)

    class Flipping(Board):
        def send(self, files, progress):
            super().send(files, progress)
            self.run(f"with open('{files[0][1]}', 'r+b') as file: file.write(b'!')")

    with pytest.raises(VerifyError, match="1 of 9 files"):
        deploy(two, Flipping(bench.port), accept, quiet)
    assert restart(bench) == ["app 1 part 1"]


def test_leftovers_of_older_firmware_are_removed_but_the_active_one_stays(bench, tmp_path):
    board = Board(bench.port)
    builds = [firmware(tmp_path, version) for version in (1, 2, 3)]
    for each in builds:
        deploy(each, board, accept, quiet)
    found = look(board)
    assert found.active == builds[2].folder
    assert sorted(found.folders) == sorted([builds[1].folder, builds[2].folder])


def test_the_list_of_files_needs_no_memory_in_one_piece(bench, tmp_path):
    # At a prompt that a deploy reaches after a crash the heap may be in small pieces.
    board = Board(bench.port)
    deploy(firmware(tmp_path, 1), board, accept, quiet)
    lines = board.run(scripts.fill(scripts.INVENTORY, only=None)).splitlines()
    assert len(lines) == 10  # nine files as above, and what the board is
    assert max(len(line) for line in lines) < 400


def test_wrong_micropython_and_wrong_chip_are_refused_before_anything_is_written(bench, tmp_path):
    one = firmware(tmp_path, 1)
    board = Board(bench.port)
    with pytest.raises(Refused, match="built for RP2040") as wrong_chip:
        deploy(one, board, check_target, quiet)
    assert wrong_chip.value.code == "E_BOARD"
    with pytest.raises(VersionMismatch, match="needs 1.28.0") as wrong_version:
        deploy(one, board, lambda found: check_target(found, chip="linux"), quiet)
    assert wrong_version.value.exit_code == 7
    assert "--uf2" in str(wrong_version.value.next)
    assert look(board).files == {}


def test_a_full_flash_is_told_before_anything_is_written(tmp_path):
    one = firmware(tmp_path, 1)
    nearly_full = Inventory("1.28.0", "RP2040", None, (), {}, free=20_000)
    with pytest.raises(Refused, match="20000 are free"):
        make_plan(one, nearly_full)


def test_scripts_take_hostile_names_as_literals():
    name = "a'; import os; os.remove('/active') #"
    text = scripts.fill("open({path})", path=name)
    assert text == f"open({name!r})"
