"""The daemon's own log: text for people or JSON for machines, in one file, rotated."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from logging.handlers import RotatingFileHandler
from pathlib import Path

from harness_core.domain.secrets import mask_text

__all__ = ["configure", "hide"]

_MAX_BYTES, _BACKUPS = 10_000_000, 5
_TEXT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


#: gives the secret values that are known at this moment
_hidden: Callable[[], Sequence[str]] = tuple


def hide(secrets: Callable[[], Sequence[str]]) -> None:
    """From now on, keep the values that ``secrets`` gives out of the log, wherever they stand."""
    global _hidden
    _hidden = secrets


class _Text(logging.Formatter):
    """For people. What is logged of errors, their tracebacks included, may quote what a request or a service held."""

    def format(self, record: logging.LogRecord) -> str:
        return mask_text(super().format(record), _hidden())


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": mask_text(record.getMessage(), _hidden()),
        }
        if record.exc_info:
            line["exception"] = mask_text(self.formatException(record.exc_info), _hidden())
        return json.dumps(line, ensure_ascii=False)


class _Handler(RotatingFileHandler):
    """Private from birth, whatever the umask, and never through a link."""

    def _open(self):  # type: ignore[no-untyped-def]  # the base class has no annotation either
        flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(self.baseFilename, flags, 0o600)
        return open(fd, self.mode, encoding=self.encoding, errors=self.errors)


def configure(path: Path, *, style: str = "text", level: str = "info", foreground: bool = False) -> None:
    """Send everything that is logged to ``path``; in the foreground also to standard error."""
    formatter: logging.Formatter = _Json() if style == "json" else _Text(_TEXT)
    handlers: list[logging.Handler] = [
        _Handler(path, maxBytes=_MAX_BYTES, backupCount=_BACKUPS, encoding="utf-8", errors="backslashreplace")
    ]
    if foreground:
        handlers.append(logging.StreamHandler(sys.stderr))
    for handler in handlers:
        handler.setFormatter(formatter)
    logging.basicConfig(level=level.upper(), handlers=handlers, force=True)
