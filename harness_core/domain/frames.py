"""What stands on the wire below the operations: names, versions, and the frame for raw bytes.

Apart from the operations, because a client that streams needs no more than this, and their types cost 20 ms to import.
"""

from __future__ import annotations

import json
import struct
from typing import Any

__all__ = ["BINARY_HEADER", "PROTOCOL_VERSION", "SUBPROTOCOL", "decode_binary", "encode_binary"]

SUBPROTOCOL = "harness.v1"
PROTOCOL_VERSION = 1
BINARY_HEADER = struct.Struct(">I")


def encode_binary(header: dict[str, Any], payload: bytes | memoryview) -> bytes:
    """One binary frame: length of the JSON header, the header, the bytes."""
    head = json.dumps(header, separators=(",", ":")).encode()
    return b"".join((BINARY_HEADER.pack(len(head)), head, payload))


def decode_binary(frame: bytes) -> tuple[dict[str, Any], memoryview]:
    """The header and the bytes of a frame. Raises ``ValueError`` on anything else."""
    if len(frame) < BINARY_HEADER.size:
        raise ValueError("binary frame is too short")
    (length,) = BINARY_HEADER.unpack_from(frame)
    body = memoryview(frame)[BINARY_HEADER.size :]
    if length > len(body):
        raise ValueError("binary frame is cut short")
    try:
        header = json.loads(bytes(body[:length]))
    except RecursionError:
        raise ValueError("binary frame has a header that is nested too deeply") from None
    if not isinstance(header, dict):
        raise ValueError("binary frame has no header object")
    return header, body[length:]
