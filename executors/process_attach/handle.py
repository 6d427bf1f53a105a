"""What survives a daemon's death about an attachment: whom it is to, and what is followed of it.

The same is kept in a file of the executor's own before the start is answered, since a process that was not started by
us carries no marker: by that file it is found again when the daemon dies before it could store the handle.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness_core.domain.executor import Marker
from harness_core.domain.states import Endpoint, Exit, Handle, Started
from harness_core.runtime.processes import ProcessIdentity

__all__ = ["KIND", "AttachHandle", "Memory", "Record"]

KIND = "process-attach"


@dataclass(frozen=True, slots=True)
class AttachHandle:
    """The typed content of a ``Handle`` of this executor."""

    identity: ProcessIdentity
    #: by port name: host, port, scheme
    endpoints: Mapping[str, Any] = field(default_factory=dict)
    #: by stream: the path of the file that is followed
    files: Mapping[str, str] = field(default_factory=dict)
    #: how much of that is kept: ``max_size`` and ``max_files``
    kept: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, handle: Handle) -> AttachHandle:
        """Read a handle. Raises ``ValueError`` when it is not one that we wrote."""
        if handle.kind != KIND or handle.version != 1:
            raise ValueError(f"a handle of {handle.kind} version {handle.version}, not of {KIND} version 1")
        return cls.from_data(handle.data)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> AttachHandle:
        try:
            identity = ProcessIdentity.from_data(data["identity"])
            return cls(identity, dict(data["endpoints"]), dict(data["files"]), dict(data["kept"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"a damaged handle: {error}") from None

    def to_data(self) -> dict[str, Any]:
        return {
            "identity": self.identity.to_data(),
            "endpoints": dict(self.endpoints),
            "files": dict(self.files),
            "kept": dict(self.kept),
        }

    def to_handle(self) -> Handle:
        return Handle(KIND, self.to_data())

    def to_started(self) -> Started:
        """The process, as the world is told of it."""
        endpoints = {name: Endpoint(host, port, scheme) for name, (host, port, scheme) in self.endpoints.items()}
        return Started(self.to_handle(), pid=self.identity.pid, endpoints=endpoints)


@dataclass(frozen=True, slots=True)
class Record:
    """The last attachment of a service, and how what it was to ended, if it has."""

    epoch: int
    handle: AttachHandle
    exit: Exit | None = None


class Memory:
    """The records, one small file each, replaced whole. Blocks for the disk."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def folder(self, key: str) -> Path:
        """Where a service's files lie; it may not exist."""
        return self._root / key

    def read(self, key: str) -> Record | None:
        """What is known of a service; ``None`` when that is nothing."""
        try:
            data = json.loads((self.folder(key) / "attached.json").read_bytes())
            exit_ = None if data["exit"] is None else Exit(*data["exit"])
            return Record(int(data["epoch"]), AttachHandle.from_data(data["handle"]), exit_)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, key: str, record: Record) -> None:
        folder = self.folder(key)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        exit_ = None if record.exit is None else [record.exit.code, record.exit.signal]
        data = {"epoch": record.epoch, "handle": record.handle.to_data(), "exit": exit_}
        draft = folder / "attached.new"
        draft.write_text(json.dumps(data), "utf-8")
        draft.replace(folder / "attached.json")

    def ended(self, marker: Marker, exit_: Exit) -> None:
        """Keep how it ended, for later daemons."""
        record = self.read(marker.key)
        if record is not None and record.epoch == marker.epoch:
            with contextlib.suppress(OSError):  # a full disk: who asks later is told that it is not known
                self.write(marker.key, replace(record, exit=exit_))

    def forget(self, key: str) -> None:
        folder = self.folder(key)
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # others of the stack are still there
            folder.parent.rmdir()
