"""Names of stacks and units made from whatever other things are called."""

from __future__ import annotations

import re

__all__ = ["plain_name"]

_MAX = 63


def plain_name(text: str, otherwise: str = "stack") -> str:
    """A valid name that resembles ``text``; ``otherwise`` where nothing of it can be kept."""
    plain = re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")
    return plain[:_MAX].rstrip("-._") or otherwise
