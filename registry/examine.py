"""Looking at a registry file before trusting it, and saving what can be saved from one that is damaged."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness_core.domain.store import StoreError
from registry.failures import is_damage
from registry.files import connect, side_file
from registry.migrations import APPLICATION_ID, MIGRATIONS, schema_version
from registry.rows import decode_event, decode_record

__all__ = ["Salvage", "damaged_rows", "examine", "salvage"]


#: table and columns, in the order in which rows are decoded
_RECORDS = ("records", "kind, key, value, digest")
_EVENTS = ("events", "seq, at, type, service, body, digest")


@dataclass(frozen=True, slots=True)
class Salvage:
    """How many rows were saved from a damaged file."""

    records: int = 0
    events: int = 0

    def __str__(self) -> str:
        if not (self.records or self.events):
            return "nothing could be saved from it"
        return f"{self.records} records and {self.events} events were saved from it"


def examine(path: Path, newest: int = len(MIGRATIONS)) -> str:
    """What is wrong with the file at ``path``; "" when it is sound. Changes nothing but to finish a rollback.

    Raises ``StoreError`` for a file of a newer version, and ``sqlite3.Error`` when the disk or a lock is in the way.
    """
    if path.stat().st_size == 0:
        return "it is empty"
    if not (side_file(path, "-journal").exists() or side_file(path, "-wal").exists()):
        problem = _look(path, newest, mode="ro", immutable=True)
        if not problem:
            return ""
        # look again with locks: another program may have been writing it
    # killed while it left the mode in which it was written: only a writer may roll that back
    return _look(path, newest, mode="rw" if side_file(path, "-journal").exists() else "ro")


def _look(path: Path, newest: int, mode: str, immutable: bool = False) -> str:
    try:
        with closing(connect(path, mode, immutable=immutable)) as connection:
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            if application != APPLICATION_ID:
                return "it is another program's database"
            version = schema_version(connection)
            if version > newest:
                raise StoreError(
                    f"cannot open the registry at {path}: it has format {version}, and this program knows formats"
                    f" up to {newest}",
                    hint="use the newer harness that wrote it, or another state directory; nothing was changed",
                )
            verdicts = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(3)")]
    except sqlite3.Error as error:
        if is_damage(error):
            return str(error)
        raise
    return "" if verdicts == ["ok"] else "; ".join(" ".join(verdict.split()) for verdict in verdicts)


def damaged_rows(connection: sqlite3.Connection) -> int:
    """How many rows do not match their checksum."""
    tables: tuple[tuple[tuple[str, str], Callable[[Any], object]], ...] = (
        (_RECORDS, decode_record),
        (_EVENTS, decode_event),
    )
    return sum(
        1
        for (table, columns), decode in tables
        for row in connection.execute(f"SELECT {columns} FROM {table}")  # noqa: S608 - constants only
        if decode(row) is None
    )


def salvage(damaged: Path, target: sqlite3.Connection) -> Salvage:
    """Copy every row that can be read from ``damaged`` and matches its checksum into ``target``."""
    try:
        with closing(connect(damaged, "ro")) as source:
            # otherwise a file that is shorter than its header says is not read at all
            source.execute("PRAGMA writable_schema = ON")
            records = _copy(source, target, _RECORDS, decode_record)
            events = _copy(source, target, _EVENTS, decode_event)
    except sqlite3.Error:
        # not even a header to read: there is nothing to save, and the file itself is kept
        return Salvage()
    return Salvage(records, events)


def _copy(
    source: sqlite3.Connection,
    target: sqlite3.Connection,
    shape: tuple[str, str],
    decode: Callable[[Any], object],
) -> int:
    table, columns = shape
    marks = ", ".join("?" for _ in columns.split(","))
    statement = f"INSERT OR IGNORE INTO {table} ({columns}) VALUES ({marks})"  # noqa: S608 - constants only
    before = target.total_changes
    target.execute("BEGIN")
    for row in _readable(source, f"SELECT {columns} FROM {table} NOT INDEXED ORDER BY 1"):  # noqa: S608 - as above
        with suppress(ValueError, TypeError):
            if decode(row) is not None:
                target.execute(statement, row)
    target.execute("COMMIT")
    return target.total_changes - before


def _readable(source: sqlite3.Connection, select: str) -> Iterator[tuple[Any, ...]]:
    """Rows from the front until a page cannot be read, then from the back."""
    for order in (" ASC", " DESC"):
        with suppress(sqlite3.Error):
            yield from source.execute(select + order)
            return
