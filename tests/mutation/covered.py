"""Branch coverage of the dose core by its worked cases alone, without one random example.

python -m mutation.covered     `make coverage`; exit code 1 when a branch is not taken
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from mutation.modules import MODULES, ROOT, SOURCES, omitted, test_files


def measure() -> dict[str, dict[str, Any]]:
    """Return {module: coverage.py's figures}. Raise SystemExit when a test fails."""
    tests = sorted({file for name in MODULES for file in test_files(name)})
    left_out = [f"--deselect={test}" for test in omitted()]
    # `hypothesis` is the mark that its plugin puts on every property.
    chosen = ["-m", "not hypothesis", *left_out, *tests]
    own = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    env = {**own, "PYTHONPATH": str(ROOT / "host_tools")}
    include = ",".join(str(SOURCES / f"{name}.py") for name in MODULES)
    with tempfile.TemporaryDirectory() as folder:
        data, report = f"--data-file={folder}/data", Path(folder) / "report.json"
        for words in (
            ["run", "--branch", data, f"--include={include}", "-m", "pytest", "-q", "-x",
             "-p", "no:cacheprovider", "-p", "no:xdist", *chosen],
            ["json", data, "-q", "-o", str(report)],
        ):  # fmt: skip
            command = [sys.executable, "-m", "coverage", *words]
            done = subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True)
            if done.returncode:
                raise SystemExit(done.stdout[-4000:])
        files = json.loads(report.read_text())["files"]
    return {Path(path).stem: figures for path, figures in files.items()}


def missing(figures: dict[str, Any]) -> list[str]:
    """Return lines and branches that no test took, as text."""
    branches = [f"{start}->{end}" for start, end in figures["missing_branches"]]
    return [str(line) for line in figures["missing_lines"]] + branches


def main() -> None:
    found = measure()
    for name in MODULES:
        summary = found[name]["summary"]
        lines, branches = summary["num_statements"], summary["num_branches"]
        open_ones = " ".join(missing(found[name])) or "all taken"
        print(f"{name:10} {lines:4} statements {branches:4} branches: {open_ones}")
    sys.exit(any(missing(figures) for figures in found.values()))


if __name__ == "__main__":
    main()
