"""The one directory in which a daemon keeps everything: where it is, made private, locked against a second daemon."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import stat
from pathlib import Path
from typing import Any

import platformdirs

from harness_core.domain.errors import Conflict, InvalidConfiguration
from harness_core.runtime.keeper.failpoints import failpoint

__all__ = ["StateDir", "default_path", "place_of"]


def default_path() -> Path:
    """``HARNESS_STATE_DIR``, else the user's state directory by the platform's convention."""
    given = os.environ.get("HARNESS_STATE_DIR")
    return Path(given).expanduser().absolute() if given else platformdirs.user_state_path("harness")


def place_of(path: Path) -> str:
    """What tells a directory from every copy of it: moving it within its file system keeps the place."""
    info = path.stat()
    return f"{info.st_dev}:{info.st_ino}"


class StateDir:
    """``with StateDir(path) as state:`` makes it, checks it, and holds its lock until the end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = -1

    def __enter__(self) -> StateDir:
        self._make()
        self._take_lock()
        return self

    def __exit__(self, *_: object) -> None:
        # a directory made anew in this place may have a daemon of its own, whose card is not ours to remove
        if self._is_ours():
            (self.path / "daemon.json").unlink(missing_ok=True)
        os.close(self._lock)

    def _is_ours(self) -> bool:
        """Whether the lock that is held still is the one that others would meet: not after the directory was removed
        or replaced."""
        try:
            there = (self.path / "daemon.lock").lstat()
        except OSError:
            return False
        return os.path.samestat(there, os.fstat(self._lock))

    def _make(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            mode = self.path.lstat()
        except OSError as error:
            raise InvalidConfiguration(
                f"cannot use {self.path} as state directory: {error.strerror}", hint="set HARNESS_STATE_DIR"
            ) from None
        if not stat.S_ISDIR(mode.st_mode):
            raise InvalidConfiguration(f"cannot use {self.path} as state directory: it is not a directory")
        if mode.st_uid != os.geteuid():
            raise InvalidConfiguration(f"cannot use {self.path} as state directory: it belongs to another user")
        if stat.S_IMODE(mode.st_mode) != 0o700:
            self.path.chmod(0o700)
        if link := _first_link(self.path):
            raise InvalidConfiguration(
                f"cannot use {self.path} as state directory: {link} in it is a symbolic link, which leads out of it",
                hint="remove the link; to keep the state elsewhere, set HARNESS_STATE_DIR or mount a disk there",
            )

    def _take_lock(self) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            self._lock = os.open(self.path / "daemon.lock", flags, 0o600)
        except OSError as error:
            raise InvalidConfiguration(
                f"cannot use {self.path} as state directory: daemon.lock: {error.strerror}", hint="remove daemon.lock"
            ) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            other = self.read_card()
            who = f"pid {other['pid']} at {other['url']}" if other else "another daemon"
            raise Conflict(
                f"cannot start a second daemon on {self.path}: {who} holds it", hint="harness daemon status"
            ) from None

    # ── the card that tells clients where the daemon is ──────────────────────────────────────────────────────────────

    def read_card(self) -> dict[str, Any] | None:
        try:
            card = json.loads((self.path / "daemon.json").read_bytes())
        except (OSError, ValueError):
            return None
        return card if isinstance(card, dict) and "pid" in card and "url" in card else None

    def write_card(self, card: dict[str, Any]) -> None:
        self.write("daemon.json", json.dumps({**card, "place": place_of(self.path)}).encode())

    def instance(self) -> str:
        """What tells this state directory from every other, also from a copy of it elsewhere: it goes into markers.

        Bound to the directory's own inode, so that a copied directory does not take over the processes of the original.
        """
        place = place_of(self.path)
        try:
            known = json.loads((self.path / "instance").read_bytes())
            if known["place"] == place:
                return str(known["id"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        fresh = secrets.token_hex(8)
        self.write("instance", json.dumps({"id": fresh, "place": place}).encode())
        return fresh

    def write(self, name: str, content: bytes) -> None:
        """Replace a file of the directory as a whole, private from birth."""
        temporary = self.path / f".{name}.{os.getpid()}"
        temporary.unlink(missing_ok=True)
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, content)
            os.fsync(fd)
        finally:
            os.close(fd)
        failpoint(f"state.{name}.before")
        temporary.replace(self.path / name)
        failpoint(f"state.{name}.after")


def _first_link(directory: Path) -> str:
    """A symbolic link anywhere below; "" when there is none, as in every directory that we alone have written to."""
    folders = [str(directory)]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_symlink():
                        return os.path.relpath(entry.path, directory)
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
        except FileNotFoundError:
            continue  # a service that goes on, or its keeper, has just removed it
    return ""
