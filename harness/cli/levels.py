"""Log levels as people write them, as a pattern that the daemon can search for."""

from __future__ import annotations

__all__ = ["LEVELS", "pattern"]

#: from the least to the most severe, with the words by which a line shows that it is of this level
_WORDS = {
    "debug": ("debug", "dbg"),
    "info": ("info", "notice"),
    "warning": ("warning", "warn"),
    "error": ("error", "err", "severe"),
    "fatal": ("fatal", "critical", "crit", "panic", "alert", "emerg"),
}
LEVELS = tuple(_WORDS)


def pattern(level: str, grep: str | None) -> str:
    """Matches lines that name ``level`` or a more severe one, in text, ``key=value`` or JSON, and match ``grep``."""
    words = [word for name in LEVELS[LEVELS.index(level) :] for word in _WORDS[name]]
    named = rf"\b(?i:{'|'.join(words)})\b"
    return f"(?=.*(?:{grep})).*{named}" if grep else named
