"""The schema, as numbered steps. A file's ``user_version`` says how many of them it has seen.

A step is never changed once it was released: a change to the schema is a new step at the end.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

from registry.files import copy_to

__all__ = ["APPLICATION_ID", "MIGRATIONS", "Migration", "migrate", "schema_version"]

#: "Hrns", in the header of every registry file: tells it from other people's databases
APPLICATION_ID = 0x48726E73

Migration = Callable[[sqlite3.Connection], None]


def _records_and_journal(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE records (kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, digest BLOB NOT NULL,"
        " PRIMARY KEY (kind, key)) WITHOUT ROWID"
    )
    connection.execute(
        "CREATE TABLE events (seq INTEGER PRIMARY KEY, at REAL NOT NULL, type TEXT NOT NULL, service TEXT NOT NULL,"
        " body TEXT NOT NULL, digest BLOB NOT NULL)"
    )
    connection.execute("CREATE INDEX events_of_service ON events (service, seq)")
    connection.execute("CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID")


MIGRATIONS: tuple[Migration, ...] = (_records_and_journal,)


def schema_version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration] = MIGRATIONS) -> list[Path]:
    """Bring a file up to date, each step in a transaction of its own, each after a verified copy of the file.

    Returns the copies, which lie beside the file as ``NAME.before-vN``. A file without any step is new and gets no
    copy. Killed half-way, it goes on at the step where it was.
    """
    copies = []
    for number in range(schema_version(connection) + 1, len(migrations) + 1):
        if number > 1:
            copies.append(copy_to(connection, path.with_name(f"{path.name}.before-v{number}")))
        connection.execute("BEGIN IMMEDIATE")
        try:
            migrations[number - 1](connection)
            connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    return copies
