"""What is kept of each project beside the engine: how it is taken down, whether it is whole, and how it ended.

The engine knows containers and their project. What the compose tool was called with it does not know, and a stop by a
later daemon needs it; so does the answer to whether an ``up`` that nobody waited for came to its end.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from executors.compose.command import Order
from executors.compose.options import ComposeOptions
from harness_core.domain.executor import Marker
from harness_core.domain.spec import LogsSpec
from harness_core.domain.states import Exit

__all__ = ["Record", "Records"]


@dataclass(frozen=True, slots=True)
class Record:
    """One life of a project."""

    epoch: int
    order: Order
    #: of the compose tool
    env: Mapping[str, str]
    logs: LogsSpec = field(default_factory=LogsSpec)
    ports: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    #: there were containers of it already that are not ours by birth
    taken_over: bool = False
    #: everything is up; before that a daemon that finds it cannot know whether it is half made
    whole: bool = False
    exit: Exit | None = None


class Records:
    """A folder with a few files for each service. Blocks for as long as the disk does."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, marker: Marker, suffix: str) -> Path:
        """A file of a service: ``json`` the record, ``log`` the journal of its output, ``out`` what the tool said,
        ``status`` how its ``up`` ended, ``asked`` how any other call of it did."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        # a digest: names may be as long as a file's, and hold what a file's may not
        return self._folder / f"{hashlib.sha256(marker.key.encode()).hexdigest()[:32]}.{suffix}"

    def read(self, marker: Marker) -> Record | None:
        """The record of this very life."""
        try:
            value = json.loads(self.path(marker, "json").read_bytes())
            record = _record(value)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return record if value["key"] == marker.key and record.epoch == marker.epoch else None

    def write(self, marker: Marker, record: Record) -> None:
        """Replace it as a whole; the record of an older life goes."""
        exit_, order = record.exit, record.order
        value = {
            "key": marker.key,
            "epoch": record.epoch,
            "project": order.project,
            "folder": str(order.folder),
            "files": [str(file) for file in order.files],
            "env_files": [str(file) for file in order.env_files],
            "options": order.options.model_dump(mode="json"),
            "env": dict(record.env),
            "logs": record.logs.model_dump(mode="json"),
            "ports": {name: list(port) for name, port in record.ports.items()},
            "taken_over": record.taken_over,
            "whole": record.whole,
            "exit": None if exit_ is None else [exit_.code, exit_.signal, exit_.oom, exit_.at, exit_.note],
        }
        path = self.path(marker, "json")
        fresh = path.with_suffix(".new")
        # private from birth: the tool's variables may be secrets
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with open(fd, "w", encoding="utf-8") as file:
            json.dump(value, file)
        fresh.replace(path)

    def forget(self, marker: Marker) -> None:
        """Drop what is kept of a service up to this life."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            if json.loads(self.path(marker, "json").read_bytes())["epoch"] <= marker.epoch:
                for suffix in ("json", "out", "status", "asked", "log"):
                    self.path(marker, suffix).unlink(missing_ok=True)


def _record(value: dict[str, Any]) -> Record:
    order = Order(
        str(value["project"]),
        Path(value["folder"]),
        tuple(Path(file) for file in value["files"]),
        tuple(Path(file) for file in value["env_files"]),
        ComposeOptions.model_validate(value["options"]),
    )
    exit_ = value["exit"]
    return Record(
        int(value["epoch"]),
        order,
        {str(name): str(text) for name, text in value["env"].items()},
        LogsSpec.model_validate(value["logs"]),
        {str(name): (int(port), str(scheme)) for name, (port, scheme) in value["ports"].items()},
        bool(value["taken_over"]),
        bool(value["whole"]),
        None if exit_ is None else Exit(*exit_),
    )
