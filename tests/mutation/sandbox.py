"""One module's place to be mutated in: out/mutation/<module>, and what mutmut left there.

mutmut wants the package it mutates (`pump`) and `tests` below the folder it runs in. It mutates
the bodies of functions: not constants of a module, not defaults, not decorated functions.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mutation.modules import ROOT, SOURCES, omitted, test_files

PLACE = ROOT / "out" / "mutation"
# What mutmut calls the ways a mutant may end (mutmut.stats.status_by_exit_code).
KILLED, SURVIVED, TIMEOUT, UNTESTED = "killed", "survived", "timeout", "no tests"

_CONFIG = """[mutmut]
source_paths=pump
only_mutate=pump/{name}.py
pytest_add_cli_args=
    -p
    mutation.inside
    -p
    no:cacheprovider
    -p
    no:xdist
    {omitted}
pytest_add_cli_args_test_selection=
    {tests}
timeout_multiplier=4
use_git_change_detection=false
track_dependencies=false
"""


class Sandbox:
    """The folder of one module."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.folder = PLACE / name

    def prepare(self) -> None:
        """Lay out the folder anew."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        shutil.copytree(SOURCES, self.folder / "pump", ignore=shutil.ignore_patterns("__pyc*"))
        (self.folder / "tests").symlink_to(ROOT / "tests")
        shutil.copy(ROOT / "pyproject.toml", self.folder)
        tests = "\n    ".join(test_files(self.name))
        left_out = "\n    ".join(f"--deselect={test}" for test in omitted())
        config = _CONFIG.format(name=self.name, tests=tests, omitted=left_out)
        (self.folder / "setup.cfg").write_text(config)

    def mutmut(self, *arguments: str) -> None:
        """Run mutmut in the folder, or raise CalledProcessError."""
        env = dict(os.environ, DOSELOOP_HYPOTHESIS="mutation", PYTHONWARNINGS="ignore")
        env["PYTHONPATH"] = os.pathsep.join([str(ROOT / "host_tools"), str(ROOT / "tests")])
        program = "import sys; from mutmut.__main__ import cli; cli()"
        subprocess.run(
            [sys.executable, "-c", program, *arguments], cwd=self.folder, env=env, check=True
        )

    def results(self) -> dict[str, str]:
        """Return {mutant: how it ended}."""
        from mutmut.stats import status_by_exit_code

        meta = json.loads((self.folder / f"mutants/pump/{self.name}.py.meta").read_text())
        return {key: status_by_exit_code[code] for key, code in meta["exit_code_by_key"].items()}

    def changes(self, keys: list[str]) -> Iterator[dict[str, Any]]:
        """Yield what each of these mutants changes: function, line before, line after."""
        from mutmut.mutation.diff_apply import get_diff_for_mutant
        from mutmut.utils.format_utils import orig_function_and_class_names_from_key

        before = Path.cwd()
        os.chdir(self.folder)
        try:
            for key in keys:
                function, owner = orig_function_and_class_names_from_key(key)
                diff = get_diff_for_mutant(key, path=Path(f"pump/{self.name}.py")).splitlines()
                lines = [line for line in diff if not line.startswith(("---", "+++"))]
                yield {
                    "function": f"{owner}.{function}" if owner else function,
                    "before": " ".join(line[1:].strip() for line in lines if line[0] == "-"),
                    "after": " ".join(line[1:].strip() for line in lines if line[0] == "+"),
                }
        finally:
            os.chdir(before)
