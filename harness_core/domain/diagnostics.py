"""Findings in a stack file, each with its place, gathered so that a person sees all of them at once.

A finding says what is wrong in plain lower-case English, points at the characters that are meant, and offers the
nearest known word. Nothing here raises: whoever gathers decides at the end, by ``failed``, whether to go on.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness_core.domain.protocol import Diagnostic
from harness_core.domain.secrets import blot

__all__ = ["MAX_DIAGNOSTICS", "Diagnostics", "Place", "did_you_mean", "nearest", "split_lines"]

#: more than anybody reads at once; the rest is counted
MAX_DIAGNOSTICS = 100
#: a word longer than this was not a slip of the finger, and comparing costs its square
_MAX_WORD = 80
#: words to compare with, those of the same initial first
_MAX_KNOWN = 300
_MAX_TEXT = 400
#: the line breaks that YAML counts, so that lines here and marks there agree
_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Characters of one line; lines and columns count from 1 and ``end_column`` is exclusive."""

    line: int
    column: int
    end_column: int


def split_lines(text: str) -> list[str]:
    """The lines of a text as YAML counts them, without their ends."""
    return _BREAK.split(text)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant, or ``None`` when none is near."""
    if not 0 < len(word) <= _MAX_WORD:
        return None
    near = [k for k in known if abs(len(k) - len(word)) <= max(4, len(word) // 2)]
    near.sort(key=lambda k: k[:1] != word[:1])
    folded = {k.lower(): k for k in near[:_MAX_KNOWN]}
    found = difflib.get_close_matches(word.lower(), folded, n=1, cutoff=0.6)
    return folded[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``"did you mean 'process'?"``, or an empty text when nothing known is near."""
    found = nearest(word, known)
    return f"did you mean '{found}'?" if found else ""


class Diagnostics:
    """Collects findings over one stack file and the files that it names."""

    def __init__(self, file: str, text: str = "") -> None:
        self.file = file
        self._lines = split_lines(text)
        self._found: dict[tuple[str, Place, str], Diagnostic] = {}
        self._dropped = 0
        self._failed = False

    @property
    def failed(self) -> bool:
        """Whether an error, not only warnings, was found."""
        return self._failed

    @property
    def full(self) -> bool:
        """Whether further findings would only be counted, so that their words need not be chosen with care."""
        return len(self._found) >= MAX_DIAGNOSTICS

    def set_text(self, text: str) -> None:
        """Give the stack file's text once it is known to be readable; findings show its lines."""
        self._lines = split_lines(text)

    def line(self, number: int) -> str:
        """One line of the stack file, empty when there is no such line."""
        return self._lines[number - 1] if 0 < number <= len(self._lines) else ""

    def error(
        self,
        code: str,
        message: str,
        place: Place,
        *,
        label: str = "",
        notes: Sequence[str] = (),
        file: str | None = None,
    ) -> None:
        """Add a finding that makes the stack unusable. ``file`` names another file, whose lines are never shown
        because they may hold secrets."""
        self._failed = True
        self._add("error", code, message, place, label, notes, file)

    def warning(self, code: str, message: str, place: Place, *, label: str = "", notes: Sequence[str] = ()) -> None:
        """Add a finding that a person should look at."""
        self._add("warning", code, message, place, label, notes, None)

    def withdraw(self, code: str, place: Place) -> None:
        """Take back a warning that turned out to be none."""
        for key, found in list(self._found.items()):
            if found["code"] == code and found["severity"] == "warning" and key[1] == place:
                del self._found[key]

    def _add(
        self, severity: str, code: str, message: str, place: Place, label: str, notes: Sequence[str], file: str | None
    ) -> None:
        key = (file or self.file, place, message)
        if key in self._found:
            return
        if self.full:
            self._dropped += 1
            return
        text = "" if file is not None else blot(self.line(place.line)[:_MAX_TEXT])
        self._found[key] = {
            "code": code,
            "severity": severity,
            "message": message,
            "file": file or self.file,
            "line": place.line,
            "column": place.column,
            "end_column": min(place.end_column, max(place.column, len(text)) + 1),
            "text": text,
            "label": label,
            "notes": list(notes),
        }

    def report(self, *, strict: bool = False) -> list[Diagnostic]:
        """All findings in the order of the files' lines; ``strict`` makes errors of the warnings."""
        found = sorted(
            self._found.values(), key=lambda d: (d["file"] != self.file, d["file"], d["line"], d["column"], d["code"])
        )
        if strict:
            found = [{**d, "severity": "error"} for d in found]
        if self._dropped:
            last = found[-1]
            last["notes"] = [*last["notes"], f"{self._dropped} more findings are not shown; mend these first"]
        return found
