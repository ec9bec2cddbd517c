"""Mutate the dose core and write down which mutants its tests notice: `make mutation`.

python -m mutation [--jobs 2] [module ...]     all: some twenty minutes of one core

docs/mutation.json gets the figures of each module when that is done; `make docs` makes the tables
of docs/safety.md of them. What survives needs a word in mutation/survivors.py.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from mutation import figures
from mutation.modules import MODULES
from mutation.sandbox import KILLED, SURVIVED, TIMEOUT, Sandbox


def measure(name: str, jobs: int) -> dict[str, Any]:
    """Return the figures of one module."""
    sandbox = Sandbox(name)
    begun = time.monotonic()
    sandbox.prepare()
    sandbox.mutmut("run", "--max-children", str(jobs))
    results = sandbox.results()
    ends = list(results.values())
    unnoticed = [key for key, end in results.items() if end not in (KILLED, TIMEOUT)]
    return {
        "source": figures.fingerprint(name, sandbox.folder / "pump"),
        "mutants": len(results),
        "killed": ends.count(KILLED),
        "timeout": ends.count(TIMEOUT),
        "survived": ends.count(SURVIVED),
        "seconds": round(time.monotonic() - begun),
        "survivors": list(sandbox.changes(unnoticed)),
    }


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m mutation", description=__doc__)
    options.add_argument("--jobs", type=int, default=2, help="processes at a time")
    options.add_argument("modules", nargs="*", metavar="module", help=", ".join(MODULES))
    asked = options.parse_args()
    unknown = set(asked.modules) - set(MODULES)
    if unknown:
        options.error(f"no module of the dose core: {', '.join(sorted(unknown))}")
    for name in asked.modules or MODULES:
        print(f"\n== {name}", flush=True)
        found = measure(name, asked.jobs)
        figures.keep(name, found)
        print(
            json.dumps({key: found[key] for key in ("mutants", "killed", "timeout", "survived")})
        )
        for one in found["survivors"]:
            print(f"  {one['function']}: {one['before']}  ->  {one['after']}")


if __name__ == "__main__":
    main()
