"""Writing files for people: what is there already is never touched unless they say so."""

from __future__ import annotations

import os

from harness_core.domain.errors import Conflict, InvalidConfiguration

__all__ = ["write_new", "write_over"]


def write_new(file: str, text: str, *, hint: str) -> None:
    """Create a file; one that exists, even as a dangling link, is never touched. Raises ``Conflict`` with the hint."""
    try:
        _write(file, text, os.O_EXCL)
    except FileExistsError:
        raise Conflict(f"cannot write {file}: it is there already", hint=hint) from None
    except OSError as error:
        raise _unwritable(file, error) from None


def write_over(file: str, text: str) -> None:
    """Create a file, or put a new one in the place of what is there, whole or not at all."""
    draft = f"{file}.new"
    try:
        _write(draft, text, os.O_TRUNC | os.O_NOFOLLOW)
        os.replace(draft, file)
    except OSError as error:
        raise _unwritable(file, error) from None


def _write(file: str, text: str, flags: int) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | flags, 0o666)
    with open(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)


def _unwritable(file: str, error: OSError) -> InvalidConfiguration:
    return InvalidConfiguration(f"cannot write {file}: {(error.strerror or str(error)).lower()}")
