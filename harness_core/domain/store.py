"""The border to the disk: what the engine asks of a store.

A store keeps two things: *records* (the present: one JSON value per kind and key) and the *journal* (the past: events
in order). One commit is one transaction. All methods block; the engine calls them from one thread of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from harness_core.domain.errors import HarnessError
from harness_core.domain.events import Event

__all__ = ["Batch", "Journal", "RecordKey", "Store", "StoreError"]

#: (kind, key), for example ("unit", "shop/db") or ("stack", "shop")
RecordKey = tuple[str, str]


class StoreError(HarnessError):
    """The disk refused. After a failed commit its outcome is *unknown*: it may or may not have taken effect, so a
    commit may be repeated: records are replaced whole, and an event whose ``seq`` is already stored is skipped."""

    code = "store"


@dataclass(frozen=True, slots=True)
class Batch:
    """One transaction: records to put (``None`` removes) and events to append."""

    records: Mapping[RecordKey, Mapping[str, Any] | None] = field(default_factory=dict)
    events: Sequence[Event] = ()

    def __bool__(self) -> bool:
        return bool(self.records or self.events)


class Journal(Protocol):
    """Reading the past; safe beside a writer, from any thread."""

    def events(
        self,
        *,
        after: int = 0,
        services: Sequence[str] | None = None,
        types: Sequence[str] | None = None,
        since: float | None = None,
        limit: int = 1000,
        newest: bool = False,
    ) -> list[Event]:
        """Events with ``seq`` > ``after`` in order; ``newest`` takes the last ``limit`` of them instead of the first.

        ``services`` holds "stack/name" keys or bare stack names (all of that stack).
        """
        ...

    def last_seq(self) -> int: ...

    def first_seq(self) -> int:
        """The oldest event still kept, 0 when there is none; older ones were pruned."""
        ...


class Store(Journal, Protocol):
    """A journal that can be written, and the records of the present."""

    def load(self) -> dict[RecordKey, dict[str, Any]]:
        """All records. A record that does not match its checksum is left out and named in ``damaged``."""
        ...

    @property
    def damaged(self) -> list[str]:
        """What was found broken while opening or loading, in sentences; empty when all is well."""
        ...

    def commit(self, batch: Batch) -> None:
        """Make the batch durable, or raise ``StoreError``."""
        ...

    def close(self) -> None: ...
