"""Importing from a folder that is a mapping: no disk, no command line."""

from __future__ import annotations

import fnmatch
import posixpath
from collections.abc import Mapping
from typing import Any

import pytest

from harness.importers.convert import Made, convert
from harness.importers.items import read_yaml
from harness.importers.source import Source
from harness_core.domain.errors import InvalidConfiguration

__all__ = ["imported", "lost", "mistakes", "stack", "unit"]


def imported(form: str | None, there: Mapping[str, str], *files: str, **options: Any) -> Made:
    """What comes of the named ones of the files that are there; of the first one when none is named."""

    def read(path: str) -> str | None:
        return there.get(posixpath.normpath(path))

    def find(pattern: str) -> list[str]:
        return sorted(fnmatch.filter(there, posixpath.normpath(pattern)))

    chosen = files or (next(iter(there)),)
    options = {"name": "shop", "folder": "shop", **options}
    sources = [Source(file=name, text=there[name], read=read, find=find, **options) for name in chosen]
    return convert(sources, form, "./schema.json")


def stack(made: Made) -> dict[str, Any]:
    """The stack file's data, read back from its text."""
    data = read_yaml("harness.yaml", made.text).plain()
    assert isinstance(data, dict)
    return data


def unit(form: str, text: str, name: str | None = None, **options: Any) -> dict[str, Any]:
    """One unit of the stack that a file becomes; the first one where no name is given."""
    data = stack(imported(form, {"file": text}, **options))
    units = {**data.get("services", {}), **data.get("tasks", {})}
    found = units[name or next(iter(units))]
    assert isinstance(found, dict)
    return found


def lost(made: Made) -> dict[str, int]:
    """By what was lost, the line in which it stands."""
    return {one.what: one.spot.line for one in made.lost}


def mistakes(form: str, folder: str | Mapping[str, str]) -> list[str]:
    """What is said about a file that cannot be imported: ``LINE:COLUMN: message``."""
    with pytest.raises(InvalidConfiguration) as caught:
        imported(form, {"file": folder} if isinstance(folder, str) else folder)
    return [f"{one['line']}:{one['column']}: {one['message']}" for one in caught.value.data["diagnostics"]]
