"""Paths as people write them in a target: relative to something, or to their home behind a tilde. Values only."""

from __future__ import annotations

import os.path
from pathlib import Path

__all__ = ["place_of", "with_home"]


def place_of(base: Path, path: str, home: str = "") -> Path:
    """The path that is meant, made plain; a tilde means itself where ``home`` is empty."""
    # as text, because every join of a Path takes it apart anew
    return Path(os.path.normpath(os.path.join(base, with_home(path, home))))


def with_home(path: str, home: str) -> str:
    return home + path[1:] if home and (path == "~" or path.startswith("~/")) else path
