"""Export, wipe, import: everything is there again, and nothing unsound gets in."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from harness_core.domain.events import Event, EventType
from harness_core.domain.store import Batch, StoreError
from registry.backup import export_registry, import_registry
from registry.sqlite import SqliteStore

NOW = 1_700_000_000.0


def fill(path: Path, *seqs: int) -> SqliteStore:
    store = SqliteStore(path, ballast_size=0)
    for seq in seqs:
        store.commit(Batch({("unit", f"shop/s{seq}"): {"seq": seq}}, [Event(seq, 0.0, EventType.STATE, "shop/db")]))
    return store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "registry.db"


@pytest.fixture
def exported(path: Path, tmp_path: Path) -> Path:
    fill(path, 1, 2).close()
    return export_registry(path, tmp_path / "exported.db")


def test_wiped_and_restored(path: Path, exported: Path) -> None:
    path.unlink()
    assert import_registry(exported, path, NOW) is None
    store = SqliteStore(path, ballast_size=0)
    assert store.damaged == []
    assert set(store.load()) == {("unit", "shop/s1"), ("unit", "shop/s2")}
    assert [event.seq for event in store.events()] == [1, 2]
    store.close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_exporting_works_beside_a_daemon(path: Path, tmp_path: Path) -> None:
    store = fill(path, 1)
    target = export_registry(path, tmp_path / "exported.db")
    fill_more = Batch({("unit", "later"): {}})
    store.commit(fill_more)
    store.close()
    with closing(sqlite3.connect(target)) as copy:
        assert copy.execute("SELECT count(*) FROM records").fetchone() == (1,)
    assert target.stat().st_mode & 0o777 == 0o600


def test_exporting_again_replaces_the_older_file(path: Path, exported: Path) -> None:
    fill(path, 3).close()
    export_registry(path, exported)
    with closing(sqlite3.connect(exported)) as copy:
        assert copy.execute("SELECT count(*) FROM records").fetchone() == (3,)


def test_what_is_replaced_is_kept(path: Path, exported: Path) -> None:
    fill(path, 3, 4).close()
    kept = import_registry(exported, path, NOW)
    assert kept is not None
    assert kept.name == "registry.db.replaced-20231114T221320.000000Z"
    old = SqliteStore(kept, ballast_size=0)
    assert old.last_seq() == 4
    old.close()
    store = SqliteStore(path, ballast_size=0)
    assert len(store.load()) == 2
    store.close()


def test_event_numbers_never_go_back(path: Path, exported: Path) -> None:
    fill(path, 3, 4).close()
    import_registry(exported, path, NOW)
    store = SqliteStore(path, ballast_size=0)
    assert store.last_seq() == int(NOW * 1000)
    store.close()


def test_a_damaged_registry_is_kept_as_it_is(path: Path, exported: Path) -> None:
    path.write_bytes(b"rubbish" * 1000)
    kept = import_registry(exported, path, NOW)
    assert kept is not None
    assert kept.read_bytes() == b"rubbish" * 1000
    store = SqliteStore(path, ballast_size=0)
    assert (len(store.load()), store.damaged) == (2, [])
    store.close()


@pytest.mark.parametrize("damage", ["text", "empty", "row", "page", "newer", "foreign", "missing", "link"])
def test_what_is_unsound_does_not_get_in(path: Path, exported: Path, tmp_path: Path, damage: str) -> None:
    before, names = path.read_bytes(), sorted(path.parent.iterdir())
    data = bytearray(exported.read_bytes())
    if damage == "text":
        exported.write_text("no database at all" * 1000)
    elif damage == "empty":
        exported.write_bytes(b"")
    elif damage == "row":
        data[data.index(b'{"seq":2}') + 7] ^= 1
        exported.write_bytes(data)
    elif damage == "page":
        exported.write_bytes(data[:8192] + b"\0" * 4096 + data[12288:])
    elif damage == "newer":
        with closing(sqlite3.connect(exported)) as other:
            other.execute("PRAGMA user_version = 7")
    elif damage == "foreign":
        exported.unlink()
        with closing(sqlite3.connect(exported)) as other:
            other.execute("CREATE TABLE t (x)")
    elif damage == "missing":
        exported.unlink()
    elif damage == "link":
        os.rename(exported, tmp_path / "real.db")
        exported.symlink_to(tmp_path / "real.db")
    with pytest.raises(StoreError, match=r"^cannot "):
        import_registry(exported, path, NOW)
    assert path.read_bytes() == before
    assert sorted(path.parent.iterdir()) == names


def test_a_damaged_registry_is_not_exported(path: Path, exported: Path, tmp_path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[data.index(b'{"seq":2}') + 7] ^= 1
    path.write_bytes(data)
    with pytest.raises(StoreError, match="1 of its rows do not match their checksums"):
        export_registry(path, tmp_path / "second.db")
    with pytest.raises(StoreError, match="there is none at"):
        export_registry(tmp_path / "nowhere.db", tmp_path / "second.db")
    assert not (tmp_path / "second.db").exists()


def test_a_target_that_cannot_be_written(path: Path, exported: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot export the registry"):
        export_registry(path, tmp_path / "no such folder" / "x.db")
