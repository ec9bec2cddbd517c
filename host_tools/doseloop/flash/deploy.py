"""The sequence of a deploy. At any point a power cut leaves the old firmware or the new one.

inventory → plan → folders and copies on the board → files over the line → read back
→ rename one file (the switch) → restart
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from doseloop.errors import DoseloopError, LinkError
from doseloop.flash import scripts
from doseloop.flash.board import Progress
from doseloop.flash.build import Artifact, Build
from doseloop.flash.plan import Inventory, Plan, make_plan, read_inventory


class Target(Protocol):
    """What a deploy needs of a board; `board.Board` is the one that ships."""

    def run(self, script: str) -> str: ...
    def send(self, files: tuple[tuple[Artifact, str], ...], progress: Progress) -> None: ...
    def reset(self) -> None: ...


class VerifyError(DoseloopError):
    """What was read back differs from what was sent; the old firmware is still active."""

    default_code = "E_VERIFY"
    default_next = "try again; if it stays, the board's flash is worn out"


@dataclass(frozen=True)
class Deployed:
    """What a deploy did: `changed` is False when the board already had it all."""

    plan: Plan
    changed: bool


def look(target: Target, only: str | None = None) -> Inventory:
    """Return what lies on the board; of the firmware folders only `only`, when it is named."""
    folders = None if only is None else [only]
    return read_inventory(target.run(scripts.fill(scripts.INVENTORY, only=folders)))


def deploy(
    build: Build,
    target: Target,
    check: Callable[[Inventory], None],
    progress: Progress,
) -> Deployed:
    """Make `build` the active firmware of the board and restart it.

    `check` raises when the board is the wrong one; nothing has been written by then.
    Raise VerifyError before the switch when a file on the board is not what was sent.
    """
    inventory = look(target)
    check(inventory)
    plan = make_plan(build, inventory)
    if plan.nothing:
        return Deployed(plan, changed=False)
    target.run(
        scripts.fill(
            scripts.PREPARE,
            folders=list(plan.folders),
            copies=[list(pair) for pair in plan.copies],
            stale=list(plan.stale),
        )
    )
    target.send(plan.send, progress)
    verify(build, plan, look(target, plan.folder))
    target.run(scripts.fill(scripts.SWITCH, loader=list(plan.loader), folder=plan.folder))
    active = target.run(scripts.ACTIVE).strip()
    if active != plan.folder:
        raise LinkError(f"the switch failed: '{active}' is still active")
    return Deployed(plan, changed=True)


def verify(build: Build, plan: Plan, found: Inventory) -> None:
    """Raise VerifyError unless the board holds every file of the build, by hash."""
    expected = {f"/{plan.folder}/{a.path}": a.sha256 for a in build.payload}
    for artifact in build.loader:
        suffix = ".new" if artifact.path in plan.loader else ""
        expected[f"/{artifact.path}{suffix}"] = artifact.sha256
    wrong = [path for path, sha256 in expected.items() if found.files.get(path) != sha256]
    if wrong:
        raise VerifyError(
            f"{len(wrong)} of {len(expected)} files on the board are not what was sent, "
            f"the first is {wrong[0]}"
        )
