"""A pytest plugin for runs inside mutmut: `pump` is the copy with the mutants, not the original.

mutmut runs pytest in the folder that holds the copy, with the plugin's name in its options.
"""

from __future__ import annotations

import resource
from pathlib import Path

from doseloop import resources

_COPY = Path.cwd().resolve()
assert _COPY.name == "mutants" or (_COPY / "mutants").is_dir(), f"{_COPY} is no place of mutmut's"


def _firmware_root() -> Path:
    return _COPY if _COPY.name == "mutants" else _COPY / "mutants"


resources.firmware_root = _firmware_root

# A mutant that never comes to an end mostly collects something: without memory it dies sooner.
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
