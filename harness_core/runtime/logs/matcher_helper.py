"""The helper process of ``matcher.py``: reads a pattern and lines, writes which lines match. Standard library only.

A request is, with all numbers 32 bits little-endian: its length; the pattern's length and the pattern; the number of
lines, their lengths, their bytes. The answer is the number of matching lines and their places.
"""

from __future__ import annotations

import re
import struct
import sys


def main() -> None:
    """Serve until the daemon closes the pipe."""
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while len(head := source.read(4)) == 4:
        body = source.read(int.from_bytes(head, "little"))
        size = int.from_bytes(body[:4], "little")
        search = re.compile(body[4 : 4 + size]).search
        at = 4 + size
        count = int.from_bytes(body[at : at + 4], "little")
        sizes = struct.unpack_from(f"<{count}I", body, at + 4)
        at += 4 + 4 * count
        found = []
        for place, length in enumerate(sizes):
            if search(body[at : at + length]):
                found.append(place)
            at += length
        sink.write(struct.pack(f"<{len(found) + 1}I", len(found), *found))
        sink.flush()


if __name__ == "__main__":
    main()
