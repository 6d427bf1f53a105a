"""The journal's SQL: appending, querying and keeping it within its bound. Every function works on a connection."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence

from harness_core.domain.events import Event
from registry.rows import decode_event, encode_event

__all__ = ["append", "count", "first_seq", "last_seq", "prune", "query", "set_floor"]

_COLUMNS = "seq, at, type, service, body, digest"
#: the part of a service key before its "/", or all of it
_STACK = "substr(service, 1, instr(service || '/', '/') - 1)"
#: at most this many events are removed in one transaction, so that no commit becomes slow
PRUNE_STEP = 2000


def append(connection: sqlite3.Connection, events: Iterable[Event]) -> int:
    """Add events; one whose ``seq`` is stored already is skipped. Returns how many were new."""
    rows = [encode_event(event) for event in events]
    statement = f"INSERT INTO events ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (seq) DO NOTHING"  # noqa: S608 - constants only
    return connection.executemany(statement, rows).rowcount if rows else 0


def query(
    connection: sqlite3.Connection,
    *,
    after: int = 0,
    services: Sequence[str] | None = None,
    types: Sequence[str] | None = None,
    since: float | None = None,
    limit: int = 1000,
    newest: bool = False,
) -> tuple[list[Event], list[int]]:
    """The events that match, in order, and the numbers of rows that matched but are damaged."""
    where = ["seq > ?"]
    arguments: list[object] = [after]
    if services is not None:
        clause, names = _of_services(services)
        where.append(clause)
        arguments += names
    if types is not None:
        where.append("type IN (SELECT value FROM json_each(?))")
        arguments.append(json.dumps([str(type_) for type_ in types]))
    if since is not None:
        where.append("at >= ?")
        arguments.append(since)
    order = "DESC" if newest else "ASC"
    statement = f"SELECT {_COLUMNS} FROM events WHERE {' AND '.join(where)} ORDER BY seq {order} LIMIT ?"  # noqa: S608 - constants only; values are bound
    rows = connection.execute(statement, [*arguments, max(limit, 0)]).fetchall()
    if newest:
        rows.reverse()
    decoded = [(row[0], decode_event(row)) for row in rows]
    return [event for _, event in decoded if event], [seq for seq, event in decoded if event is None]


def _of_services(services: Sequence[str]) -> tuple[str, list[str]]:
    """Whole keys use the index; only bare stack names have to look at each row."""
    clause, arguments = "service IN (SELECT value FROM json_each(?))", [json.dumps(list(services))]
    stacks = [name for name in services if "/" not in name]
    if stacks:
        clause = f"({clause} OR {_STACK} IN (SELECT value FROM json_each(?)))"  # noqa: S608 - constants only
        arguments.append(json.dumps(stacks))
    return clause, arguments


def last_seq(connection: sqlite3.Connection) -> int:
    """The highest number ever given out, also when the event itself was lost with a damaged file."""
    (seq,) = connection.execute(
        "SELECT max(coalesce((SELECT max(seq) FROM events), 0),"
        " coalesce((SELECT value FROM meta WHERE name = 'seq_floor'), 0))"
    ).fetchone()
    return int(seq)


def set_floor(connection: sqlite3.Connection, seq: int) -> None:
    """Let numbers go on after ``seq``, whatever the journal holds."""
    connection.execute("INSERT OR REPLACE INTO meta (name, value) VALUES ('seq_floor', ?)", (seq,))


def first_seq(connection: sqlite3.Connection) -> int:
    (seq,) = connection.execute("SELECT coalesce(min(seq), 0) FROM events").fetchone()
    return int(seq)


def count(connection: sqlite3.Connection) -> int:
    (number,) = connection.execute("SELECT count(*) FROM events").fetchone()
    return int(number)


def prune(connection: sqlite3.Connection, surplus: int) -> int:
    """Remove the oldest ``surplus`` events, at most ``PRUNE_STEP`` at a time. Returns how many were removed."""
    if surplus <= 0:
        return 0
    cursor = connection.execute(
        "DELETE FROM events WHERE seq IN (SELECT seq FROM events ORDER BY seq LIMIT ?)",
        (min(surplus, PRUNE_STEP),),
    )
    return cursor.rowcount
