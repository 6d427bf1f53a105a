"""The file itself: private, in its place, shared with nobody it should not be, and bounded."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from harness_core.domain.events import Event, EventType
from harness_core.domain.store import Batch, StoreError
from registry import failures
from registry.sqlite import SqliteStore


def event(seq: int, service: str = "shop/db") -> Event:
    return Event(seq, float(seq), EventType.STATE, service)


def batch(*seqs: int) -> Batch:
    return Batch({("unit", f"shop/s{seq}"): {"seq": seq} for seq in seqs}, [event(seq) for seq in seqs])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "registry.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(path)
    yield store
    store.close()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_files_are_private_whatever_the_umask(path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        store = SqliteStore(path, ballast_size=4096)
        store.commit(batch(1))
    finally:
        os.umask(before)
    names = {file.name: oct(mode(file)) for file in path.parent.iterdir()}
    store.close()
    assert oct(mode(path.parent)) == "0o700"
    assert set(names) == {"registry.db", "registry.db-wal", "registry.db-shm", "registry.db.ballast"}
    assert set(names.values()) == {"0o600"}


def test_a_directory_that_exists_is_left_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    SqliteStore(tmp_path / "registry.db").close()
    assert oct(mode(tmp_path)) == "0o755"


def test_what_was_committed_is_there_after_opening_again(path: Path) -> None:
    store = SqliteStore(path)
    store.commit(batch(1, 2))
    store.close()
    store.close()
    again = SqliteStore(path)
    assert set(again.load()) == {("unit", "shop/s1"), ("unit", "shop/s2")}
    assert again.last_seq() == 2
    assert again.damaged == []
    again.close()


def test_a_closed_store_says_so(path: Path) -> None:
    store = SqliteStore(path)
    store.close()
    for use in (lambda: store.commit(batch(1)), store.load, store.last_seq, store.check):
        with pytest.raises(StoreError, match="it is closed"):
            use()


def test_a_symbolic_link_is_refused(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    path.symlink_to(tmp_path / "elsewhere.db")
    with pytest.raises(StoreError, match="it is a symbolic link"):
        SqliteStore(path)
    assert not (tmp_path / "elsewhere.db").exists()


def test_a_pipe_or_directory_is_refused(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(StoreError, match="not a plain file"):
        SqliteStore(path)
    path.rmdir()
    os.mkfifo(path)
    with pytest.raises(StoreError, match="not a plain file"):
        SqliteStore(path)


def test_a_name_full_of_special_characters(tmp_path: Path) -> None:
    path = tmp_path / "a b?mode=ro&x=%41#\udcff" / "registry.db"
    store = SqliteStore(path)
    store.commit(batch(1))
    store.close()
    assert path.exists()


def test_a_file_that_was_removed_is_written_anew(store: SqliteStore, path: Path) -> None:
    store.commit(batch(1))
    path.unlink()
    store.commit(batch(2))
    assert "removed while it was in use" in store.damaged[0]
    store.commit(batch(3))
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT count(*) FROM events").fetchone() == (3,)
    assert store.last_seq() == 3
    assert mode(path) == 0o600


def test_a_removed_write_ahead_log_loses_nothing(store: SqliteStore, path: Path) -> None:
    store.commit(batch(1))
    path.with_name("registry.db-wal").unlink()
    store.commit(batch(2))
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT count(*) FROM events").fetchone() == (2,)
    assert store.last_seq() == 2


def test_a_removed_directory_is_made_again(store: SqliteStore, path: Path) -> None:
    store.commit(batch(1))
    for file in path.parent.iterdir():
        file.unlink()
    path.parent.rmdir()
    store.check()
    assert mode(path.parent) == 0o700
    store.commit(batch(2))
    assert len(store.load()) == 2


def test_removal_is_noticed_without_a_commit(store: SqliteStore, path: Path) -> None:
    store.commit(batch(1))
    store.check()
    assert store.damaged == []
    path.unlink()
    store.check()
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT count(*) FROM events").fetchone() == (1,)


def test_a_file_that_was_replaced_is_not_touched(store: SqliteStore, path: Path, tmp_path: Path) -> None:
    store.commit(batch(1))
    other = tmp_path / "other.db"
    other.write_bytes(b"somebody's")
    other.replace(path)
    with pytest.raises(StoreError, match="replaced by another file"):
        store.commit(batch(2))
    assert path.read_bytes() == b"somebody's"
    assert [e.seq for e in store.events()] == [1, 2]  # reading goes on; the outcome of the commit was not promised


def test_a_lock_of_another_program_is_waited_for(store: SqliteStore, path: Path) -> None:
    """A backup tool that holds the lock for a moment costs that moment."""
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN EXCLUSIVE")
        release = threading.Timer(0.3, other.execute, ["COMMIT"])
        release.start()
        began = time.monotonic()
        store.commit(batch(1))
        release.join()
    assert 0.2 < time.monotonic() - began < 5
    assert store.last_seq() == 1


def test_a_lock_that_is_never_released_is_an_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert failures.BUSY_TIMEOUT == 5.0
    monkeypatch.setattr("registry.files.BUSY_TIMEOUT", 0.2)
    store = SqliteStore(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match="another program has held its lock"):
            store.commit(batch(1))
        assert store.load() == {}
        other.execute("COMMIT")
    store.commit(batch(1))
    assert store.last_seq() == 1
    store.close()


def test_a_locked_file_is_never_taken_for_a_damaged_one(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    SqliteStore(path).close()
    monkeypatch.setattr("registry.files.BUSY_TIMEOUT", 0.1)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match="another program has held its lock"):
            SqliteStore(path)
    assert not list(path.parent.glob("*damaged*"))


def test_reading_from_many_threads_beside_the_writer(store: SqliteStore) -> None:
    done = threading.Event()
    seen: list[int] = []
    wrong: list[object] = []

    def read() -> None:
        last = 0
        while not done.is_set():
            events = store.events(after=last, limit=50)
            wrong.extend(e for at, e in enumerate(events, start=last + 1) if e.seq != at)
            last = events[-1].seq if events else last
        seen.append(last)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for seq in range(1, 301):
        store.commit(batch(seq))
    done.set()
    for reader in readers:
        reader.join(10)
    assert wrong == []
    assert len(seen) == 4
    assert store.last_seq() == 300


def test_the_journal_is_pruned_to_its_bound(path: Path) -> None:
    store = SqliteStore(path, keep_events=400)
    for seq in range(1, 2001, 10):
        store.commit(Batch(events=[event(n) for n in range(seq, seq + 10)]))
        assert store.last_seq() - store.first_seq() + 1 <= 420
    assert store.first_seq() >= 1581
    store.close()
    again = SqliteStore(path, keep_events=10)
    again.commit(Batch(events=[event(2001)]))
    assert [e.seq for e in again.events()] == list(range(1992, 2002))
    again.close()


def test_pruning_copes_with_gaps_in_the_numbers(path: Path) -> None:
    store = SqliteStore(path, keep_events=3)
    store.commit(Batch(events=[event(1), event(2)]))
    store.commit(Batch(events=[event(10**12), event(10**12 + 1)]))
    assert [e.seq for e in store.events()] == [2, 10**12, 10**12 + 1]
    store.close()


def test_a_copy_is_taken_beside_the_writer(store: SqliteStore, tmp_path: Path) -> None:
    store.commit(batch(1))
    copy = store.backup(tmp_path / "copy.db")
    store.commit(batch(2))
    assert mode(copy) == 0o600
    with closing(sqlite3.connect(copy)) as other:
        assert other.execute("SELECT count(*) FROM events").fetchone() == (1,)
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith("copy")] == ["copy.db"]
