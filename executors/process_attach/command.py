"""From options to what is looked for and what is read: values only, nothing is opened here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from executors.process_attach.options import ProcessAttachOptions
from harness_core.runtime.places import place_of

__all__ = ["log_files_of", "search_of"]


def search_of(options: ProcessAttachOptions, base_dir: Path, home: str) -> dict[str, Any]:
    """Which process is meant, as ``find_process`` takes it."""
    if options.pid_file is not None:
        return {"pid_file": place_of(base_dir, options.pid_file, home)}
    ways: Mapping[str, Any] = {"pid": options.pid, "port": options.port, "match": options.match}
    return {way: value for way, value in ways.items() if value is not None}


def log_files_of(options: ProcessAttachOptions, base_dir: Path, home: str) -> dict[str, Path]:
    """The files that are followed, by stream."""
    named = {"stdout": options.log_file} if options.log_file is not None else options.log_files
    return {stream: place_of(base_dir, path, home) for stream, path in named.items()}
