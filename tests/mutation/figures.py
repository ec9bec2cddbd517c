"""The figures of the repository, docs/mutation.json: read, one module replaced, judged."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from mutation.modules import MODULES, ROOT, SOURCES

FIGURES = ROOT / "docs" / "mutation.json"
Figures = dict[str, dict[str, Any]]


def fingerprint(name: str, folder: Path = SOURCES) -> str:
    """Return what a module's text is recognized by."""
    return hashlib.sha256((folder / f"{name}.py").read_bytes()).hexdigest()[:12]


def committed() -> Figures:
    """Return the figures of the repository, in the order of the modules."""
    found = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    return {name: found[name] for name in MODULES if name in found}


def keep(name: str, figures: dict[str, Any]) -> None:
    """Put a module's figures in the place of those before."""
    FIGURES.write_text(json.dumps({**committed(), name: figures}, indent=1) + "\n")


def score(figures: dict[str, Any]) -> float:
    """Return the share of mutants that the tests notice, in percent; an endless one is noticed."""
    return 100 * (figures["killed"] + figures["timeout"]) / figures["mutants"]
