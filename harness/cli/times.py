"""Points and spans of time as people type them."""

from __future__ import annotations

import re
import time

from harness_core.domain.errors import UsageError

__all__ = ["parse_moment", "parse_span"]

_PART = r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)?\s*"
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_CLOCK = r"(\d{1,2}):(\d{2})(?::(\d{2}))?"
_LONGEST = 100 * 365 * 86400.0


def parse_span(text: str, option: str) -> float:
    """Seconds from ``90``, ``30s``, ``1m30s``, ``2h``. Raises ``UsageError`` naming the option."""
    seconds, at = 0.0, 0
    stripped, part = text.strip(), re.compile(_PART)
    while at < len(stripped):
        match = part.match(stripped, at)
        if match is None:
            break
        seconds += float(match[1]) * _UNITS[match[2] or "s"]
        at = match.end()
    if not stripped or at < len(stripped) or seconds > _LONGEST:
        raise UsageError(f"cannot read {option} {text!r}: it is no duration", hint="write for example 30s, 1m30s or 2h")
    return seconds


def parse_moment(text: str, option: str, now: float) -> float:
    """Seconds since 1970 from a span before ``now`` (``10m``), a time of today or yesterday (``HH:MM[:SS]``), or an
    ISO date with or without time and zone; without a zone it is local time. Raises ``UsageError`` naming the option."""
    stripped = text.strip()
    if (clock := re.fullmatch(_CLOCK, stripped)) is not None:
        return _today(int(clock[1]), int(clock[2]), int(clock[3] or 0), now, text, option)
    if re.match(_PART, stripped) and not re.match(r"\d{4}-", stripped):
        return now - parse_span(stripped, option)
    # the import costs 2 ms, and few ask for a date
    from datetime import datetime

    try:
        return datetime.fromisoformat(stripped).timestamp()
    except (ValueError, OverflowError, OSError):
        raise _unreadable(text, option) from None


def _today(hours: int, minutes: int, seconds: int, now: float, text: str, option: str) -> float:
    """The latest moment not after ``now`` at which local clocks showed that time."""
    if hours > 23 or minutes > 59 or seconds > 59:
        raise _unreadable(text, option)
    today = time.localtime(now)
    for days_ago in (0, 1):
        fields = (today.tm_year, today.tm_mon, today.tm_mday - days_ago, hours, minutes, seconds, 0, 0, -1)
        moment = time.mktime(fields)
        if moment <= now:
            break
    return moment


def _unreadable(text: str, option: str) -> UsageError:
    return UsageError(
        f"cannot read {option} {text!r}: it is no point in time",
        hint="write for example 10m (ago), 14:30, 2026-11-21 or 2026-11-21T14:30:00Z",
    )
