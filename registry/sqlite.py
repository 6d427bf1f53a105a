"""The store on disk: one SQLite file, one transaction a commit, nothing acknowledged that a SIGKILL could take back.

Write-ahead log, ``synchronous = FULL``. One connection writes, another reads, each behind a lock of its own, so that
reading the journal from any thread never waits for a flush. What a full disk, a removed file or a damaged one does is
decided here; what it means to people is said in ``failures``.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from harness_core.domain.events import Event
from harness_core.domain.store import Batch, RecordKey, StoreError
from registry import journal
from registry.ballast import BALLAST_SIZE, Ballast
from registry.examine import examine
from registry.failures import is_full, is_moved, translate
from registry.files import connect, copy_to, identity, make_directory, refuse_strange, replace_with, side_file
from registry.migrations import migrate
from registry.renewal import create, renew
from registry.rows import RecordRow, decode_record, encode_record

__all__ = ["KEEP_EVENTS", "SqliteStore"]

#: the journal's bound, in events
KEEP_EVENTS = 200_000
#: sentences about damage that are kept, so that a wholly broken file does not fill the memory
_MAX_FINDINGS = 100

log = logging.getLogger(__name__)
T = TypeVar("T")


class SqliteStore:
    """The ``Store`` of a state directory, kept in the file ``path``.

    Opening makes the file when it is missing (mode 0600, in a directory of mode 0700) and takes nothing on trust: a
    damaged, truncated, empty or foreign file is kept aside under a name that tells when, what can be read of it is
    taken over, and ``damaged`` says so. A file of a newer version, a symbolic link, and a disk that cannot be written
    raise ``StoreError`` and change nothing.

    Whoever opens it makes sure that no other daemon does (the daemon's lock). Reading is safe from any thread; commits
    are made one after the other.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        keep_events: int = KEEP_EVENTS,
        ballast_size: int = BALLAST_SIZE,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._path = Path(os.path.abspath(path))
        self._keep_events = keep_events
        self._wall = wall
        self._damaged: list[str] = []
        self._writing = threading.Lock()
        self._reading = threading.Lock()
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._ballast = Ballast(side_file(self._path, ".ballast"), ballast_size)
        try:
            make_directory(self._path.parent)
            try:
                self._open()
            except (sqlite3.Error, OSError) as error:
                if not (is_full(error, self._path) and self._ballast.release()):
                    raise
                self._open()
        except (sqlite3.Error, OSError) as error:
            raise translate("open", self._path, error) from error
        self._ballast.keep()

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────

    def commit(self, batch: Batch) -> None:
        """Make the batch durable, all or nothing; on return it survives SIGKILL and loss of power.

        Repeating a batch is harmless. A lock held by another program is waited for up to 5 s; a full disk is given the
        ballast before anything is refused. Raises ``StoreError`` when the disk refuses, ``TypeError`` or
        ``ValueError`` for values that are not JSON.
        """
        if not batch:
            return
        puts = [encode_record(key, value) for key, value in batch.records.items() if value is not None]
        removals = [key for key, value in batch.records.items() if value is None]
        with self._writing:
            try:
                try:
                    self._transact(puts, removals, batch.events)
                except sqlite3.Error as error:
                    if is_moved(error):
                        self._stay_in_place()
                    elif not (is_full(error, self._path) and self._ballast.release()):
                        raise
                    self._transact(puts, removals, batch.events)
                self._stay_in_place()
            except (sqlite3.Error, OSError) as error:
                raise translate("write", self._path, error) from error
            self._ballast.keep()

    def check(self) -> None:
        """Notice, without a commit, that the file was removed under us, and write it anew. Three ``stat`` calls.

        Raises ``StoreError`` when it was replaced by another file, its directory is another one now, or it cannot be
        written anew.
        """
        with self._writing:
            try:
                self._stay_in_place()
            except (sqlite3.Error, OSError) as error:
                raise translate("write", self._path, error) from error

    def backup(self, target: Path) -> Path:
        """Write a consistent, verified copy to ``target`` while the daemon works: one file, mode 0600."""
        try:
            return self._read(lambda connection: copy_to(connection, target))
        except OSError as error:
            raise translate("copy", self._path, error) from error

    def close(self) -> None:
        """Fold the write-ahead log in and let go of the file. Closing twice is harmless."""
        with self._writing, self._reading:
            self._disconnect()

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────

    def load(self) -> dict[RecordKey, dict[str, Any]]:
        """All records. One that does not match its checksum is left out and named in ``damaged``."""
        rows = self._read(lambda c: c.execute("SELECT kind, key, value, digest FROM records").fetchall())
        records: dict[RecordKey, dict[str, Any]] = {}
        for row in rows:
            value = decode_record(row)
            if value is None:
                self._note(f"the record of {row[0]} {row[1]} is damaged and was left out")
            else:
                records[row[0], row[1]] = value
        return records

    @property
    def damaged(self) -> list[str]:
        """What was found broken so far, in sentences; a copy."""
        return list(self._damaged)

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
        """See ``Journal.events``. An empty ``services`` or ``types`` selects nothing; damaged events are left out."""
        events, damaged = self._read(
            lambda connection: journal.query(
                connection, after=after, services=services, types=types, since=since, limit=limit, newest=newest
            )
        )
        for seq in damaged:
            self._note(f"event {seq} is damaged and was left out")
        return events

    def last_seq(self) -> int:
        """The highest event number ever given out; new events must be numbered above it."""
        return self._read(journal.last_seq)

    def first_seq(self) -> int:
        return self._read(journal.first_seq)

    # ── within ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _open(self) -> None:
        """Make sure that there is a sound file, and connect to it."""
        if not refuse_strange(self._path):
            for finding in create(self._path, self._wall()):
                self._note(finding)
        elif problem := examine(self._path):
            self._note(renew(self._path, problem, self._wall()))
        try:
            self._connect()
        except BaseException:
            self._disconnect()
            raise

    def _connect(self) -> None:
        self._writer = connect(self._path, "rw")
        self._writer.execute("PRAGMA journal_mode = WAL")
        self._writer.execute("PRAGMA synchronous = FULL")
        migrate(self._writer, self._path)
        self._kept = journal.count(self._writer)
        self._reader = connect(self._path, "rw")
        self._reader.execute("PRAGMA query_only = ON")
        self._home = identity(self._path.parent)
        self._main = identity(self._path)
        self._log = identity(side_file(self._path, "-wal"))

    def _disconnect(self) -> None:
        for connection in (self._reader, self._writer):
            if connection is not None:
                connection.close()
        self._reader = self._writer = None

    def _transact(self, puts: Sequence[RecordRow], removals: Sequence[RecordKey], events: Sequence[Event]) -> None:
        if self._writer is None:
            raise self._closed()
        writer, kept = self._writer, self._kept
        writer.execute("BEGIN IMMEDIATE")
        try:
            writer.executemany("INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?)", puts)
            writer.executemany("DELETE FROM records WHERE kind = ? AND key = ?", removals)
            kept += journal.append(writer, events)
            surplus = kept - self._keep_events
            if surplus >= max(1, self._keep_events // 200):
                kept -= journal.prune(writer, surplus)
            writer.execute("COMMIT")
        finally:
            if writer.in_transaction:
                writer.execute("ROLLBACK")
        self._kept = kept

    def _read(self, question: Callable[[sqlite3.Connection], T]) -> T:
        with self._reading:
            if self._reader is None:
                raise self._closed()
            try:
                return question(self._reader)
            except sqlite3.Error as error:
                raise translate("read", self._path, error) from error

    def _stay_in_place(self) -> None:
        """If our file lost its name, everything written since would be lost with us: give it its name back.

        An open database whose file was removed goes on working, and says nothing.
        """
        if self._writer is None:
            raise self._closed()
        main, wal = identity(self._path), identity(side_file(self._path, "-wal"))
        if (main, wal) == (self._main, self._log):
            return
        if main not in (None, self._main):
            raise StoreError(
                f"cannot write the registry at {self._path}: it was replaced by another file",
                hint="restart the daemon to use that file; services go on meanwhile",
            )
        if identity(self._path.parent) not in (None, self._home):
            raise StoreError(
                f"cannot write the registry at {self._path}: its directory was moved away and another one is there",
                hint="move it back; services go on meanwhile",
            )
        self._note("the registry's file was removed while it was in use; it was written anew")
        log.warning("the file %s, or its write-ahead log, was removed; writing it anew", self._path)
        make_directory(self._path.parent)
        self._home = identity(self._path.parent)
        draft = copy_to(self._writer, side_file(self._path, ".rescued"))
        with self._reading:
            self._disconnect()
            for suffix in ("-wal", "-shm"):
                side_file(self._path, suffix).unlink(missing_ok=True)
            replace_with(draft, self._path)
            self._connect()

    def _note(self, finding: str) -> None:
        if finding not in self._damaged and len(self._damaged) < _MAX_FINDINGS:
            self._damaged.append(finding)

    def _closed(self) -> StoreError:
        return StoreError(f"cannot use the registry at {self._path}: it is closed")
