"""Look for inputs that break a target, led by what they reach: `make fuzz`.

python -m fuzz [--runs N] [--keep] [target ...]

Each target runs in a process of its own, as many inputs as it can stand for its share of N
(`SHARE`). An input that breaks one is left in out/fuzz/, and `python -m fuzz --again FILE target`
runs it alone. --keep adds what reached something new to the corpus in the repository.
"""

from __future__ import annotations

import argparse
import importlib
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "out" / "fuzz"
# Of a thousand inputs. The line makes a pump infuse for each some hundred; the rest is pure.
SHARE = {
    "frame": 400,
    "text": 250,
    "typed": 200,
    "order": 50,
    "config": 50,
    "library": 40,
    "line": 10,
}


def child(name: str, corpus: Path, runs: int) -> None:
    """Fuzz one target; ends the process."""
    import atheris

    with atheris.instrument_imports(include=["pump"]):
        target = _target(name)
    words = OUT / f"{name}.words"
    words.write_text("".join(f'"{word}"\n' for word in sorted(_words(name))))
    arguments = [sys.argv[0], str(corpus), f"-runs={runs}", f"-dict={words}", "-max_len=4096",
                 "-timeout=10", "-rss_limit_mb=2048", "-seed=1", "-print_final_stats=1",
                 f"-artifact_prefix={OUT}/{name}-"]  # fmt: skip
    atheris.Setup(arguments, target)
    atheris.Fuzz()


def _words(name: str) -> set[str]:
    """Return the words of a target's good inputs: no luck finds a key of forty letters."""
    found: set[str] = set()
    for data in importlib.import_module("fuzz.targets").seeds()[name]:
        found |= set(re.findall(r"[A-Za-z_]{2,}", data.decode("latin-1")))
    return found


def again(name: str, file: Path) -> None:
    """Run one input through a target."""
    _target(name)(file.read_bytes())


def _target(name: str) -> Callable[[bytes], None]:
    importlib.import_module("unit.firmware.conftest")  # viper's names
    return importlib.import_module("fuzz.targets").TARGETS[name]


def main() -> int:
    """Fuzz the targets, one after the other; return 1 when one broke."""
    plain = argparse.RawDescriptionHelpFormatter
    options = argparse.ArgumentParser("python -m fuzz", description=__doc__, formatter_class=plain)
    options.add_argument("--runs", type=int, default=10_000_000, help="inputs in all")
    options.add_argument("--keep", action="store_true", help="add what is new to the corpus")
    options.add_argument("--again", type=Path, metavar="FILE")
    options.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options.add_argument("targets", nargs="*", metavar="target", help=", ".join(SHARE))
    asked = options.parse_args()
    names = asked.targets or list(SHARE)
    if set(names) - set(SHARE):
        options.error(f"no target: {', '.join(sorted(set(names) - set(SHARE)))}")
    if asked.again is not None:
        for name in names:
            again(name, asked.again)
        return 0
    if asked.child:
        child(names[0], OUT / names[0], asked.runs)
    broken: list[str] = []
    for name in names:
        runs = asked.runs * SHARE[name] // sum(SHARE[each] for each in names)
        begun = time.monotonic()
        if not _fuzz(name, runs, asked.keep):
            broken.append(name)
        took, end = time.monotonic() - begun, "BROKEN" if name in broken else "ok"
        print(f"{name:8} {runs:>9,} inputs in {took:6.0f} s: {end}", flush=True)
    return 1 if broken else 0


def _fuzz(name: str, runs: int, keep: bool) -> bool:
    from fuzz.feed import CORPUS

    found, given = OUT / name, CORPUS / name
    found.mkdir(parents=True, exist_ok=True)
    for path in given.iterdir():
        (found / path.name).write_bytes(path.read_bytes())
    log = OUT / f"{name}.log"
    with log.open("w") as file:
        code = subprocess.run(
            [sys.executable, "-m", "fuzz", "--child", "--runs", str(runs), name],
            stdout=file, stderr=subprocess.STDOUT,
        ).returncode  # fmt: skip
    if code:
        print(log.read_text()[-2000:])
        return False
    if keep:
        for path in found.iterdir():
            if path.stat().st_size <= 400:
                (given / path.name[:12]).write_bytes(path.read_bytes())
    return True


if __name__ == "__main__":
    sys.exit(main())
