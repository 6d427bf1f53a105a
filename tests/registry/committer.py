"""A program that commits for ever and says so after each: what it has said must never be lost.

usage: committer.py PATH [COUNT]; prints "ack SEQ" or "failed SEQ WHY" lines; a failed batch is repeated.
"""

from __future__ import annotations

import itertools
import os
import sys

from harness_core.domain.events import Event, EventType
from harness_core.domain.store import Batch, StoreError
from registry.sqlite import SqliteStore


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


def main(path: str, count: int | None) -> None:
    store = SqliteStore(path, ballast_size=0)
    first = store.last_seq() + 1
    for seq in itertools.count(first) if count is None else range(first, first + count):
        batch = Batch(
            {("unit", "shop/db"): {"seq": seq}, ("unit", f"shop/s{seq}"): {"seq": seq, "filler": "x" * 500}},
            [Event(seq, float(seq), EventType.STATE, "shop/db", seq, f"event {seq}")],
        )
        for _ in range(20):
            try:
                store.commit(batch)
            except StoreError as error:
                say(f"failed {seq} {error}")
            else:
                say(f"ack {seq}")
                break
    store.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else None)
