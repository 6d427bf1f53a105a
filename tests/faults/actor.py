"""A service for the faults: counts its births, writes lines whose content is known beforehand, ends as it is told.

    python actor.py NAME [--every SECONDS] [--burst LINES] [--stubborn] [--for SECONDS] [--lines LINES]

Line n of life b is ``NAME b n xxxxx…``. SIGUSR1 ends it with code 37, SIGTERM with 0 after it has written down in
``NAME.<b>.count`` how many lines it wrote; ``--stubborn`` ignores SIGTERM. ``--lines`` ends it after that many lines.
"""

from __future__ import annotations

import argparse
import os
import signal
import time
from pathlib import Path

FILL = "x" * 60


def line(name: str, birth: int, number: int) -> bytes:
    return f"{name} {birth} {number} {FILL}\n".encode()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--every", type=float, default=0.0)
    parser.add_argument("--burst", type=int, default=1)
    parser.add_argument("--lines", type=int, default=0)
    parser.add_argument("--for", type=float, default=0.0, dest="seconds")
    parser.add_argument("--stubborn", action="store_true")
    options = parser.parse_args()
    code: list[int] = []
    signal.signal(signal.SIGUSR1, lambda *_: code.append(37))
    signal.signal(signal.SIGTERM, signal.SIG_IGN if options.stubborn else lambda *_: code.append(0))
    births = Path(f"{options.name}.births")
    with births.open("a") as file:
        file.write(f"{os.getpid()}\n")
    birth = len(births.read_text().split())
    until = time.monotonic() + options.seconds if options.seconds else None
    number = 0
    while not code:
        if options.every or options.lines:
            for _ in range(options.burst):
                _write(line(options.name, birth, number))
                number += 1
        time.sleep(options.every or (0 if options.lines else 0.05))
        if (until is not None and time.monotonic() >= until) or (options.lines and number >= options.lines):
            break
    Path(f"{options.name}.{birth}.count").write_text(str(number))
    if output := os.environ.get("HARNESS_OUTPUT"):
        Path(output).write_text(f"BIRTH={birth}\n")
    raise SystemExit(code[0] if code else 0)


def _write(data: bytes) -> None:
    # unbuffered: what the program believes to have written is written
    while data:
        data = data[os.write(1, data) :]


if __name__ == "__main__":
    main()
