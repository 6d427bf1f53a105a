"""Taking a registry along, and bringing it back: one verified file.

Exporting works beside a running daemon; importing must not (whoever calls it holds the daemon's lock).
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from harness_core.domain.store import StoreError
from registry.examine import damaged_rows, examine
from registry.failures import translate
from registry.files import connect, copy_to, put_aside, refuse_strange, replace_with, side_file
from registry.journal import last_seq, set_floor

__all__ = ["export_registry", "import_registry"]


def export_registry(path: Path, target: Path) -> Path:
    """Write a consistent copy of the registry at ``path`` to ``target``: one file, mode 0600, verified.

    Raises ``StoreError`` when there is none, when it is damaged (the copy would be too), or when the disk refuses.
    """
    try:
        if not refuse_strange(path):
            raise StoreError(f"cannot export the registry: there is none at {path}")
        with closing(connect(path, "ro")) as source:
            _insist(f"export the registry at {path}", examine(path) or _damage(source))
            return copy_to(source, target)
    except (sqlite3.Error, OSError) as error:
        raise translate("export", path, error) from error


def import_registry(source: Path, path: Path, now: float) -> Path | None:
    """Put the exported file ``source`` in the place of the registry at ``path``.

    A registry that was there is kept under the returned name, which tells the wall time ``now``. An export of an
    older version is brought up to date when it is opened. Event numbers go on above all that ``path`` may have given
    out. Raises ``StoreError`` and changes nothing when ``source`` is damaged, foreign or of a newer version.
    """
    try:
        if not refuse_strange(source):
            raise StoreError(f"cannot import a registry: there is no file {source}")
        _insist(f"import the registry {source}", examine(source))
        with closing(connect(source, "ro")) as given:
            _insist(f"import the registry {source}", _damage(given))
            draft = copy_to(given, side_file(path, ".import"))
        with closing(connect(draft, "rw")) as fresh:
            set_floor(fresh, max(int(now * 1000), last_seq(fresh)))
        kept = _keep(path, now) if refuse_strange(path) else None
        replace_with(draft, path)
        return kept
    except (sqlite3.Error, OSError) as error:
        raise translate("import", path, error) from error


def _keep(path: Path, now: float) -> Path:
    # opening and closing folds the write-ahead log in; where that fails, the log is kept beside the file as it is
    with suppress(sqlite3.Error), closing(connect(path, "rw")) as present:
        present.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return put_aside(path, now, "replaced")


def _damage(connection: sqlite3.Connection) -> str:
    rows = damaged_rows(connection)
    return f"{rows} of its rows do not match their checksums" if rows else ""


def _insist(what: str, problem: str) -> None:
    if problem:
        raise StoreError(f"cannot {what}: {problem}", hint="nothing was changed")
