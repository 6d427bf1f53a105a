"""Crash at the first try, run at the second: a service to see a restart with.

What it has tried is remembered in a file, and forgotten when it is stopped, so that the next start shows it again.
"""

import argparse
import json
import signal
import sys
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--memory", type=Path, required=True)
    memory: Path = parser.parse_args().memory
    tries = json.loads(memory.read_text())["tries"] if memory.exists() else 0
    memory.parent.mkdir(parents=True, exist_ok=True)
    memory.write_text(json.dumps({"tries": tries + 1}))

    if tries == 0:
        print("the first try always goes wrong", file=sys.stderr, flush=True)
        sys.exit(3)

    # blocked before the announcement, so that a stop right after it is not missed
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    print(f"steady since try {tries + 1}", flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    memory.unlink(missing_ok=True)
    print("asked to stop; forgetting", flush=True)


if __name__ == "__main__":
    main()
