"""What a translator is given: a file's text, and a way to the files beside it."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Source"]


@dataclass(frozen=True, slots=True)
class Source:
    """One file that is imported. Nothing is opened but through ``read``."""

    #: as it is shown to people
    file: str
    text: str
    #: what the stack is called where the file does not say it
    name: str
    #: the text of a file, by its path as the imported file gives it; ``None`` where it cannot be read
    read: Callable[[str], str | None]
    #: the paths that match a pattern, in order
    find: Callable[[str], list[str]]
    #: what its folder is called
    folder: str = ""
    #: whether somebody said what the stack is to be called, whatever the file says
    named: bool = False
    #: the way from the folder of the new stack file to this file's; "" where they are the same
    prefix: str = ""

    def place(self, path: str) -> str:
        """A path of the imported file as the stack file has to give it."""
        if not self.prefix or path.startswith(("/", "~", "${")):
            return path
        joined = posixpath.normpath(posixpath.join(self.prefix, path))
        return joined if joined.startswith("..") else f"./{joined}"

    def shown(self, path: str) -> str:
        """A path of the imported file as people are told of it."""
        return posixpath.normpath(posixpath.join(posixpath.dirname(self.file), path))

    @property
    def working_dir(self) -> str | None:
        """Where a process runs whose file does not say it; ``None`` where that is the stack file's own folder."""
        return self.place(".") if self.prefix else None
