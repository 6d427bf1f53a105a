"""How a registry file comes into being: new, or in the place of one that is damaged."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from registry.examine import Salvage, salvage
from registry.files import connect, create_private, identity, put_aside, replace_with, side_file
from registry.journal import last_seq, set_floor
from registry.migrations import APPLICATION_ID, migrate

__all__ = ["create", "renew"]


def create(path: Path, now: float) -> list[str]:
    """Make a registry where there is none; it appears whole or not at all. Returns what was strange about the place.

    ``now`` is wall time and only ends up in the name of a write-ahead log that lost its database.
    """
    findings = []
    if identity(side_file(path, "-wal")) is not None:
        # SQLite would apply it to the new database
        stray = side_file(path, "-wal").replace(side_file(path, f".orphan-{now:.6f}-wal"))
        findings.append(f"the registry was missing, and only its write-ahead log was left; it is kept as {stray.name}")
    side_file(path, "-shm").unlink(missing_ok=True)
    draft, _ = _draft(path)
    replace_with(draft, path)
    return findings


def renew(path: Path, problem: str, now: float) -> str:
    """Put a damaged file aside and a new one, with all that could be saved, in its place. Returns the story.

    Event numbers go on from the wall clock in milliseconds: above all numbers given out before, whatever was lost, so
    that a reader's cursor never takes new events for old ones.
    """
    draft, saved = _draft(path, damaged=path, floor=int(now * 1000))
    kept = put_aside(path, now, "damaged")
    replace_with(draft, path)
    return f"the registry was damaged ({problem}); {saved}, and the file is kept as {kept.name}"


def _draft(path: Path, damaged: Path | None = None, floor: int = 0) -> tuple[Path, Salvage]:
    """A complete new database beside ``path``, closed and free of companions."""
    draft = side_file(path, ".new")
    for leftover in (draft, side_file(draft, "-journal")):
        leftover.unlink(missing_ok=True)
    create_private(draft)
    saved = Salvage()
    try:
        with closing(connect(draft, "rw")) as connection:
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            migrate(connection, draft)
            if damaged is not None:
                saved = salvage(damaged, connection)
                set_floor(connection, max(floor, last_seq(connection)))
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return draft, saved
