"""The framing of the keeper's protocol: one JSON object a line, both ways, over a Unix socket.

A request is ``{"id": n, "op": name, …}``; its answer carries the same id and either the result's keys or ``error``
(``message``, ``code``, particulars). What the keeper says unasked has ``event`` instead of ``id``. Keys that a side
does not know are ignored; ``PROTOCOL`` grows only when that is not enough, and the daemon then replaces the keeper,
which costs the services nothing.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from typing import Any

__all__ = ["MAX_LINE", "PROTOCOL", "SOCKET", "decode", "encode", "peer", "short_path"]

PROTOCOL = 2
SOCKET = "keeper.sock"
#: an environment and an argument vector fit; the kernel itself takes 2 MiB of them
MAX_LINE = 8 << 20

_encoder = json.JSONEncoder(separators=(",", ":"), check_circular=False)


def encode(message: dict[str, Any]) -> bytes:
    """One line."""
    return _encoder.encode(message).encode("ascii") + b"\n"


def decode(line: bytes | bytearray) -> dict[str, Any]:
    """The object of one line. Raises ``ValueError``."""
    try:
        message = json.loads(line)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(message, dict):
        raise ValueError("not an object")
    return message


def short_path(directory: str) -> tuple[int, str]:
    """A directory fd, to be closed after use, and a path of the socket short enough for ``bind`` and ``connect``.

    The kernel takes 107 bytes; state directories are longer than that at times.
    """
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    return fd, f"/proc/self/fd/{fd}/{SOCKET}"


def peer(connection: socket.socket) -> tuple[int, int]:
    """Pid and uid of the other end."""
    pid, uid, _ = struct.unpack("iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(pid), int(uid)
