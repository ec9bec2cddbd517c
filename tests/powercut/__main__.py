"""Cut the power wherever the pump stores something: `make cuts`.

python -m powercut [--every N] [--jobs N] [scenario ...]
python -m powercut --again SCENARIO:HISTORY:ID         that cut alone

The flash is flash.py's, the file system and the interpreter are MicroPython's own, what is stored
is stored by the firmware's modules (scenarios.py). Exit code 1 when a cut left something wrong.
"""

from __future__ import annotations

import argparse
import sys
import time

from rich.progress import track

from powercut.cuts import HISTORIES, SCENARIOS, Cuts, again, made


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m powercut", description=__doc__)
    options.add_argument("--every", type=int, default=1, help="only every so many first cuts")
    options.add_argument("--jobs", type=int, default=2, help="processes at a time")
    options.add_argument("--again", help="a cut by its id")
    options.add_argument("scenarios", nargs="*", help=", ".join(SCENARIOS))
    asked = options.parse_args()
    if asked.again:
        failed = again(asked.again)
        print(f"{asked.again}: {failed or 'nothing is wrong'}")
        sys.exit(bool(failed))
    names = asked.scenarios or SCENARIOS
    begun = time.monotonic()
    sums = {name: Cuts() for name in names}
    work = [(name, history) for history in range(HISTORIES) for name in reversed(names)]
    for name, cuts in track(made(work, asked.every, asked.jobs), "power cuts", len(work)):
        sums[name].add(cuts)
    for name, cuts in sums.items():
        print(f"{name:10} {cuts.cuts:7,} cuts, {len(cuts.failed)} left something wrong")
        for mark, why in cuts.failed[:10]:
            print(f"  {mark}: {why}")
    total = sum(cuts.cuts for cuts in sums.values())
    print(f"{'in all':10} {total:7,} cuts in {time.monotonic() - begun:.0f} s")
    sys.exit(any(cuts.failed for cuts in sums.values()))


if __name__ == "__main__":
    main()
