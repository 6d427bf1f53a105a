"""The files behind the store: born private, replaced atomically, recognised by inode."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from harness_core.domain.store import StoreError
from registry.failures import BUSY_TIMEOUT

__all__ = [
    "Identity",
    "connect",
    "copy_to",
    "create_private",
    "identity",
    "make_directory",
    "put_aside",
    "refuse_strange",
    "replace_with",
    "side_file",
]

#: what SQLite keeps beside a database
_COMPANIONS = ("-wal", "-shm", "-journal")


class Identity(NamedTuple):
    """Which file it is, whatever its name."""

    device: int
    inode: int


def identity(path: Path) -> Identity | None:
    """Of the file that has this name now; ``None`` when there is none."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    return Identity(status.st_dev, status.st_ino)


def side_file(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def make_directory(directory: Path) -> None:
    """Make it with mode 0700, whatever the umask; one that exists is left as it is, it may be anybody's."""
    if directory.is_dir():
        return
    directory.parent.mkdir(parents=True, exist_ok=True)
    directory.mkdir(mode=0o700, exist_ok=True)
    directory.chmod(0o700)


def refuse_strange(path: Path) -> bool:
    """Whether a file is there. Raises ``StoreError`` for a link or anything else that is not a plain file."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISLNK(mode):
        raise StoreError(
            f"cannot open the registry at {path}: it is a symbolic link, which could lead anywhere",
            hint="remove the link, or point the state directory at the real place",
        )
    if not stat.S_ISREG(mode):
        raise StoreError(f"cannot open the registry at {path}: it is not a plain file", hint="remove it")
    return True


def create_private(path: Path) -> None:
    """Create an empty file with mode 0600 whatever the umask. Raises ``FileExistsError``; follows no link."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(fd, 0o600)
    finally:
        os.close(fd)


def connect(path: Path, mode: str, *, immutable: bool = False) -> sqlite3.Connection:
    """Open an existing database: ``mode`` is "ro" or "rw"; transactions are begun by hand.

    ``immutable`` reads without locks and without making any file, on the word of the caller that nobody writes it.
    Usable from any thread, by one at a time: whoever holds it keeps a lock beside it.
    """
    uri = f"file:{quote(os.fsencode(path))}?mode={mode}&immutable={immutable:d}"
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA trusted_schema = OFF")
    # a flipped bit must reach the checksum, not end as a decoding error half-way through a query
    connection.text_factory = _decode
    return connection


def _decode(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")


def copy_to(source: sqlite3.Connection, target: Path) -> Path:
    """Write a consistent copy of a live database to ``target``: one file, mode 0600, verified, on the disk.

    The copy appears whole or not at all; one that was there before is replaced.
    """
    draft = side_file(target, ".new")
    draft.unlink(missing_ok=True)
    create_private(draft)
    try:
        with closing(connect(draft, "rw")) as copy:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
            (verdict,) = copy.execute("PRAGMA integrity_check(1)").fetchone()
        if verdict != "ok":
            raise StoreError(f"cannot copy the registry to {target}: the copy is damaged ({verdict})")
        sync(draft)
        draft.replace(target)
        sync(target.parent)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return target


def put_aside(path: Path, when: float, why: str) -> Path:
    """Give the database at ``path`` a second name that tells when and why, companions included, for keeping.

    Only the companions lose their old names here; the file itself keeps its own until it is replaced, so that no
    moment exists at which a registry seems never to have been there.
    """
    stamp = datetime.fromtimestamp(when, UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    kept = side_file(path, f".{why}-{stamp}")
    os.link(path, kept)
    for suffix in _COMPANIONS:
        companion = side_file(path, suffix)
        if not companion.exists():
            continue
        if suffix == "-shm" or companion.stat().st_size == 0:
            companion.unlink()
        else:
            companion.replace(side_file(kept, suffix))
    return kept


def replace_with(draft: Path, path: Path) -> None:
    """Let ``draft`` take the place of ``path`` atomically. Stale companions must be gone before."""
    sync(draft)
    draft.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Bring a file or directory to the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def free_space(path: Path) -> int:
    """Bytes that may still be written on the disk of ``path``."""
    return shutil.disk_usage(path).free
