"""The helper process of ``matcher.py``: reads a pattern and lines, writes which lines match. Standard library only.

A request is, with all numbers 32 bits little-endian: its length; the pattern's length and the pattern; the number of
lines, their lengths, their bytes. The answer is the number of matching lines and their places. The argument is how
many seconds an answer may take: the daemon ends a helper that is late, and where no daemon lives, the kernel does.
"""

from __future__ import annotations

import re
import signal
import struct
import sys


def main() -> None:
    """Serve until the daemon closes the pipe."""
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    seconds = int(sys.argv[1])
    while len(head := source.read(4)) == 4:
        body = source.read(int.from_bytes(head, "little"))
        size = int.from_bytes(body[:4], "little")
        search = re.compile(body[4 : 4 + size]).search
        at = 4 + size
        count = int.from_bytes(body[at : at + 4], "little")
        sizes = struct.unpack_from(f"<{count}I", body, at + 4)
        at += 4 + 4 * count
        signal.alarm(seconds)
        found = []
        for place, length in enumerate(sizes):
            if search(body[at : at + length]):
                found.append(place)
            at += length
        signal.alarm(0)
        sink.write(struct.pack(f"<{len(found) + 1}I", len(found), *found))
        sink.flush()


if __name__ == "__main__":
    main()
