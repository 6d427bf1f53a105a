"""The audit trail: a JSON line per refused credential and per change, chained by hashes, on the disk before the answer.

A line holds who (a token's id and name, the address), what (operation, target, a digest of the parameters), how it
ended, and the SHA-256 of the line before it. No token, no environment value, no content of a stack ever stands in it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness_core.domain.errors import ReadOnly
from harness_core.doors.private import open_private, sync_directory
from harness_core.runtime.keeper.failpoints import failpoint

__all__ = ["Audit", "digest_of", "target_of", "verify"]

_log = logging.getLogger("harness.doors.audit")

MAX_BYTES = 10 << 20
MAX_FILES = 10
_FIRST = "0" * 64
#: how often files are read again that were rotated meanwhile
_PATIENCE = 5
#: parameters whose values may be secret: their names count in a digest, their values never
_VALUES_HIDDEN = ("env",)


class Audit:
    """Appends to one file, in order, from one thread at a time; blocking, as long as an fsync takes."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES, max_files: int = MAX_FILES) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._boot = _boot_id()
        self._seq = 0
        self._previous = _FIRST
        self._opened = False

    def record(self, event: str, **fields: Any) -> None:
        """Append one record and wait until it is on the disk. Raises ``ReadOnly`` when it cannot be written."""
        try:
            if not self._opened:
                self._resume()
            line = self._line(event, fields)
            self._append(line)
        except OSError as error:
            self._opened = False  # what reached the file is found out before the next record
            why = (error.strerror or str(error)).lower()
            raise ReadOnly(
                f"cannot change anything: the audit log cannot be written ({why})",
                hint=f"free space or repair permissions for {self._path}; reading and services go on",
            ) from error
        self._seq += 1
        self._previous = hashlib.sha256(line).hexdigest()

    def _line(self, event: str, fields: dict[str, Any]) -> bytes:
        record = {
            "seq": self._seq + 1,
            "at": time.time(),
            "monotonic": time.monotonic(),
            "boot": self._boot,
            "event": event,
            **fields,
            "previous": self._previous,
        }
        return json.dumps(record, separators=(",", ":")).encode()

    def _append(self, line: bytes) -> None:
        with open_private(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND) as fd:
            size = os.fstat(fd).st_size
            data = memoryview(line + b"\n")
            try:
                failpoint("audit.before")
                while data:
                    data = data[os.write(fd, data) :]
                failpoint("audit.written")
                os.fsync(fd)
            except OSError:
                os.ftruncate(fd, size)
                raise
        if size == 0:
            sync_directory(self._path.parent)
        if size + len(line) >= self._max_bytes:
            self._rotate()

    def _rotate(self) -> None:
        for number in range(self._max_files - 1, 0, -1):
            older = _numbered(self._path, number)
            if older.exists():
                if number == self._max_files - 1:
                    older.unlink()
                else:
                    os.replace(older, _numbered(self._path, number + 1))
        os.replace(self._path, _numbered(self._path, 1))
        sync_directory(self._path.parent)

    def _resume(self) -> None:
        """Find the end of the chain; a torn last line was never acknowledged and is cut off."""
        self._seq, self._previous = 0, _FIRST
        for path in (self._path, _numbered(self._path, 1)):
            if not path.exists():
                continue
            with open_private(path, os.O_RDWR) as fd, open(fd, "r+b", closefd=False) as file:
                content = file.read()
                whole = content[: content.rfind(b"\n") + 1]
                if len(whole) < len(content):
                    _log.warning("%s ended in half a record, which was cut off", path)
                    file.truncate(len(whole))
            if whole:
                last = whole[:-1].rpartition(b"\n")[2]
                self._previous = hashlib.sha256(last).hexdigest()
                try:
                    self._seq = int(json.loads(last)["seq"])
                except (ValueError, KeyError, TypeError):
                    _log.warning("the last record of %s is damaged; the chain goes on from its bytes", path)
                break
        self._opened = True


def verify(path: Path) -> list[str]:
    """Every break of the chain over ``path`` and its rotated files, oldest first; empty when it is whole.

    May run beside a daemon that writes. Half a record at the very end was never acknowledged and is no break.
    """
    for _ in range(_PATIENCE):
        files = _files(path)
        problems = _problems(path, files)
        if _files(path) == files:
            break  # else they were rotated under our hands
    return problems


def _problems(path: Path, files: Mapping[Path, int]) -> list[str]:
    problems: list[str] = []
    previous: str | None = None
    seq: int | None = None
    for file, number, line in _lines(files):
        if file == path and not line.endswith(b"\n"):
            break
        line = line.removesuffix(b"\n")
        place = f"{file.name}:{number}"
        try:
            record = json.loads(line)
            found_seq, found_previous = int(record["seq"]), str(record["previous"])
        except (ValueError, KeyError, TypeError, RecursionError):
            problems.append(f"{place}: not a record")
            previous, seq = hashlib.sha256(line).hexdigest(), None
            continue
        if previous is not None and found_previous != previous:
            problems.append(f"{place}: the record before it was changed or removed")
        elif previous is None and found_seq == 1 and found_previous != _FIRST:
            problems.append(f"{place}: the first record does not begin a chain")
        elif seq is not None and found_seq != seq + 1:
            problems.append(f"{place}: record {seq + 1} is missing")
        previous, seq = hashlib.sha256(line).hexdigest(), found_seq
    return problems


def digest_of(params: Any) -> str:
    """A digest that tells whether two requests were the same, without telling what environment values they held."""
    return hashlib.sha256(json.dumps(_hidden(params), sort_keys=True, default=str).encode()).hexdigest()


def target_of(params: Any) -> str:
    """What a request was aimed at, in short: a stack, names, an id."""
    if not isinstance(params, dict):
        return ""
    source = params.get("source")
    found = [str(params[key]) for key in ("stack", "name", "id") if params.get(key)]
    if isinstance(params.get("names"), list):
        found += map(str, params["names"])
    if isinstance(source, dict):
        found.append(str(source.get("filename", "")))
    return " ".join(found)[:200]


def _hidden(value: Any) -> Any:
    if isinstance(value, list):
        return [_hidden(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: sorted(item) if key in _VALUES_HIDDEN and isinstance(item, dict) else _hidden(item)
        for key, item in value.items()
    }


def _files(path: Path) -> dict[Path, int]:
    """The files of a log by inode, oldest first. A rotation that was cut short leaves a number out."""
    found: dict[Path, int] = {}
    for file in [*(_numbered(path, number) for number in range(MAX_FILES, 0, -1)), path]:
        with suppress(FileNotFoundError):
            found[file] = file.stat().st_ino
    return found


def _lines(files: Iterable[Path]) -> Iterator[tuple[Path, int, bytes]]:
    for file in files:
        with suppress(FileNotFoundError), file.open("rb") as stream:
            for count, line in enumerate(stream, 1):
                yield file, count, line


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
