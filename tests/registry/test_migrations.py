"""Older files are brought up to date in numbered steps, after a copy, and a step that fails changes nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from harness_core.domain.store import Batch
from registry.files import connect
from registry.migrations import MIGRATIONS, Migration, migrate, schema_version
from registry.sqlite import SqliteStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "registry.db"
    store = SqliteStore(path, ballast_size=0)
    store.commit(Batch({("unit", "shop/db"): {"a": 1}}))
    store.close()
    return path


def add_colour(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE meta ADD COLUMN colour TEXT")


def add_size(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE meta ADD COLUMN size TEXT")


def fails(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM records")
    raise ZeroDivisionError


def columns(connection: sqlite3.Connection) -> list[str]:
    return [row[1] for row in connection.execute("PRAGMA table_info(meta)")]


def test_a_file_that_is_up_to_date_is_left_alone(path: Path) -> None:
    with closing(connect(path, "rw")) as connection:
        assert migrate(connection, path) == []


def test_each_step_is_taken_after_a_copy(path: Path) -> None:
    steps: tuple[Migration, ...] = (*MIGRATIONS, add_colour, add_size)
    with closing(connect(path, "rw")) as connection:
        copies = migrate(connection, path, steps)
        assert schema_version(connection) == 3
        assert columns(connection)[-2:] == ["colour", "size"]
    assert [copy.name for copy in copies] == ["registry.db.before-v2", "registry.db.before-v3"]
    for copy, version in zip(copies, (1, 2), strict=True):
        assert copy.stat().st_mode & 0o777 == 0o600
        with closing(connect(copy, "ro")) as old:
            assert schema_version(old) == version
            assert old.execute("SELECT count(*) FROM records").fetchone() == (1,)


def test_a_step_that_fails_changes_nothing_and_can_be_taken_again(path: Path) -> None:
    with closing(connect(path, "rw")) as connection:
        with pytest.raises(ZeroDivisionError):
            migrate(connection, path, (*MIGRATIONS, add_colour, fails))
        assert schema_version(connection) == 2
        assert connection.execute("SELECT count(*) FROM records").fetchone() == (1,)
        migrate(connection, path, (*MIGRATIONS, add_colour, add_size))
        assert schema_version(connection) == 3


def test_a_copy_can_be_opened_as_a_registry(path: Path) -> None:
    with closing(connect(path, "rw")) as connection:
        (copy,) = migrate(connection, path, (*MIGRATIONS, add_colour))
    store = SqliteStore(copy, ballast_size=0)
    assert store.load() == {("unit", "shop/db"): {"a": 1}}
    assert store.damaged == []
    store.close()
