"""``./run bench [NAME…] [--quick]``: run workloads, ours and its yardstick in turn, and print the table."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import traceback

from tests.bench.bench import Bench, Outcome
from tests.bench.stock import Stock
from tests.bench.table import table
from tests.bench.workloads import ALL

REPETITIONS, QUICK = 5, 3


def main() -> int:
    """0 when every figure is met, 1 when one is missed."""
    parser = argparse.ArgumentParser(prog="./run bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(ALL)}; all when none is named")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} repetitions, and smaller amounts")
    parser.add_argument("--repeat", type=int, help=f"repetitions (default {REPETITIONS})")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in ALL]:
        parser.error(f"no workload is called {', '.join(unknown)}; known: {', '.join(ALL)}")
    bench = Bench(Stock(), options.quick)
    repetitions = options.repeat or (QUICK if options.quick else REPETITIONS)
    outcomes = [outcome for name in options.names or ALL for outcome in _measure(name, bench, repetitions)]
    print(
        f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}, median of {repetitions}\n"
    )
    print(table(outcomes))
    return 0 if all(outcome.met for outcome in outcomes) else 1


def _measure(name: str, bench: Bench, repetitions: int) -> list[Outcome]:
    """All rows of a workload. One that breaks is told and does not take the others with it."""
    workload = ALL[name]
    outcomes = {row.name: Outcome(row) for row in workload.ROWS}
    for number in range(1, repetitions + 1):
        try:
            pairs = workload.once(bench)
        except Exception:  # noqa: BLE001 - hours of other workloads must not be lost to it
            traceback.print_exc()
            continue
        for row, pair in pairs.items():
            outcomes[row].pairs.append(pair)
        said = ", ".join(f"{row} {pair.ours:.4g}" for row, pair in pairs.items())
        print(f"{name} {number}/{repetitions}: {said}", file=sys.stderr, flush=True)
    return list(outcomes.values())


if __name__ == "__main__":
    sys.exit(main())
