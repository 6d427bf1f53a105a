"""Between values and rows: JSON text and a checksum over all that a row says.

SQLite's own integrity check proves the tree, not the bytes within a cell: a flipped bit inside a text passes it. So
each row carries a digest, and a row that does not match it is not believed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from harness_core.domain.events import Event
from harness_core.domain.store import RecordKey

__all__ = ["EventRow", "RecordRow", "decode_event", "decode_record", "encode_event", "encode_record"]

#: kind, key, value, digest; in a damaged file each of them may be of any type
RecordRow = tuple[Any, Any, Any, Any]
#: seq, at, type, service, body, digest; the same holds
EventRow = tuple[Any, Any, Any, Any, Any, Any]


def _digest(*parts: object) -> bytes:
    return blake2b("\0".join(map(str, parts)).encode("utf-8", "surrogateescape"), digest_size=8).digest()


def _dumps(value: Mapping[str, Any]) -> str:
    # ASCII, because JSON can say a lone surrogate (bytes of a file name, say) where UTF-8 cannot
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def encode_record(key: RecordKey, value: Mapping[str, Any]) -> RecordRow:
    """Raises ``TypeError`` or ``ValueError`` for what is not JSON."""
    kind, name = key
    text = _dumps(dict(value))
    return kind, name, text, _digest(kind, name, text)


def decode_record(row: RecordRow) -> dict[str, Any] | None:
    """The value, or ``None`` when the row is damaged."""
    kind, name, text, digest = row
    if not isinstance(text, str) or _digest(kind, name, text) != digest:
        return None
    value: dict[str, Any] = json.loads(text)
    return value


def encode_event(event: Event) -> EventRow:
    """Raises ``TypeError`` or ``ValueError`` for what is not JSON."""
    at = float(event.at)
    body = _dumps({"epoch": event.epoch, "cause": event.cause, "request": event.request, "data": dict(event.data)})
    digest = _digest(event.seq, at, event.type.value, event.service, body)
    return event.seq, at, event.type.value, event.service, body, digest


def decode_event(row: EventRow) -> Event | None:
    """The event, or ``None`` when the row is damaged."""
    seq, at, type_, service, body, digest = row
    if not isinstance(body, str) or _digest(seq, at, type_, service, body) != digest:
        return None
    return Event.from_json({"seq": seq, "at": at, "type": type_, "service": service, **json.loads(body)})
