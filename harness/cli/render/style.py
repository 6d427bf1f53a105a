"""What the place that text is written to can show: colours, letters beyond ASCII, width, and the local clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["Style", "paint", "state_colour", "state_mark"]

_CODES = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
}

_STATES = {
    "ready": "green",
    "busy": "green",
    "running": "green",
    "healthy": "green",
    "completed": "green",
    "done": "green",
    "up": "green",
    "failed": "red",
    "blocked": "red",
    "unhealthy": "red",
    "unknown": "magenta",
    "degraded": "red",
    "backoff": "yellow",
    "restarting": "yellow",
    "starting": "yellow",
    "stopping": "yellow",
    "waiting": "yellow",
    "setting_up": "yellow",
    "setup_required": "yellow",
    "stopped": "dim",
    "not started": "dim",
    "not_started": "dim",
    "down": "dim",
}

_ASCII = {"✔": "+", "✖": "x", "·": "-", "…": "...", "│": "|", "├─": "|-", "└─": "`-", "→": "->", "–": "-", "▸": ">"}


class Style(NamedTuple):
    """The manners of one output stream. The defaults are those of a pipe."""

    colour: bool = False
    unicode: bool = True
    #: columns; 0 means unbounded, as for a file or a pipe
    width: int = 0
    #: a person is looking
    terminal: bool = False
    #: the person's terminal can draw the same lines again, which one with TERM=dumb cannot
    redraws: bool = False
    #: seconds since 1970 to local calendar time
    local: Callable[[float], time.struct_time] = time.localtime

    def sign(self, text: str) -> str:
        """A typographic sign, or what stands for it in ASCII."""
        return text if self.unicode else _ASCII.get(text, text)

    def clock(self, at: float) -> str:
        """``12:30:01``"""
        return time.strftime("%H:%M:%S", self.local(at))

    def date(self, at: float) -> str:
        """``2026-11-21 12:30:01``"""
        return time.strftime("%Y-%m-%d %H:%M:%S", self.local(at))


def paint(style: Style, text: str, *names: str) -> str:
    """``text`` in the colours of ``names``, where the style has colours; "" among them is no colour."""
    codes = ";".join(_CODES[name] for name in names if name)
    return f"\x1b[{codes}m{text}\x1b[0m" if style.colour and codes and text else text


def state_colour(state: str) -> str:
    """The colour of a state; "" for a word that a newer daemon made up."""
    return _STATES.get(state, "")


def state_mark(style: Style, state: str) -> str:
    """✔ arrived, ✖ will not arrive, · on the way: a sign beside the word, never instead of it."""
    colour = state_colour(state)
    mark = {"green": "✔", "red": "✖", "magenta": "✖"}.get(colour, "·")
    return paint(style, style.sign(mark), colour)
