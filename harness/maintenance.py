"""Work on a state directory as a whole: taking its registry along, bringing it back, checking its audit log."""

from __future__ import annotations

import time
from pathlib import Path

from harness_core.domain.errors import Conflict
from harness_core.doors.audit import verify
from harness_core.runtime.statedir import StateDir
from registry.backup import export_registry, import_registry

__all__ = ["audit_problems", "back_up", "restore"]


def back_up(state_dir: Path, target: Path) -> Path:
    """Write a verified copy of the registry to ``target``; works beside a running daemon.

    Raises ``Conflict`` when ``target`` exists, ``StoreError`` when the registry is damaged or the disk refuses.
    """
    if target.exists():
        raise Conflict(f"cannot write {target}: it exists", hint="name another file, or remove that one")
    return export_registry(state_dir / "registry.db", target)


def restore(state_dir: Path, source: Path) -> Path | None:
    """Put a backup in the registry's place and return where the present one was put aside.

    Raises ``Conflict`` while a daemon runs on the directory, ``StoreError`` (and changes nothing) for a file that is
    no good backup.
    """
    with StateDir(state_dir):
        return import_registry(source, state_dir / "registry.db", time.time())


def audit_problems(state_dir: Path) -> list[str]:
    """Every break in the chain of the audit log, in sentences; empty when it is whole."""
    return verify(state_dir / "audit.log")
