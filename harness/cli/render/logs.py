"""Lines that services wrote, each behind the name of its service."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from harness.cli.render.escape import escape_line, is_harmless
from harness.cli.render.layout import pad
from harness.cli.render.style import Style, paint

if TYPE_CHECKING:
    from harness_core.domain.protocol import LogLine

__all__ = ["LogWriter", "gap_line", "json_line"]

#: colours that are told apart and are not those of states in trouble
_COLOURS = ("cyan", "green", "blue", "yellow", "magenta")
#: prefixes are aligned up to this length, so that one long name does not push all lines away
_MOST = 24


class LogWriter:
    """Turns log lines to text. Colours go round by order of appearance; the prefix widens as longer names come.

    ``prefix`` off gives the bare lines; ``times`` puts the local time of day before each line.
    """

    def __init__(self, style: Style, *, prefix: bool = True, times: bool = False) -> None:
        self._style = style
        self._prefix = prefix
        self._times = times
        self._colours: dict[str, str] = {}
        self._stacks: set[str] = set()
        self._width = 0

    def meet(self, services: Iterable[str]) -> None:
        """Say beforehand whose lines will come, so that all prefixes are aligned."""
        for service in dict.fromkeys(services):
            self._meet(service)

    def line(self, service: str, stream: str, at: float, text: str) -> str:
        """One line for people; ``service`` is "stack/name". What came from standard error is marked with ``!``."""
        date = paint(self._style, self._style.date(at), "dim") + " " if self._times else ""
        return date + self._before(service, stream) + escape_line(text, colours=self._style.colour)

    def block(self, service: str, stream: str, text: str) -> str | None:
        """Many lines at once, as ``line`` would give them one by one; ``None`` where they have to be looked at one by
        one, because of their times or of what is in them."""
        if self._times or not is_harmless(text):
            return None
        before = self._before(service, stream)
        return before + text.replace("\n", "\n" + before) if before else text

    def _before(self, service: str, stream: str) -> str:
        if not self._prefix:
            return ""
        shown, colour = self._meet(service)
        mark = "!" if stream == "stderr" else self._style.sign("│")
        mark = paint(self._style, mark, "red" if stream == "stderr" else "dim")
        return f"{paint(self._style, pad(shown, self._width), colour)} {mark} "

    def _meet(self, service: str) -> tuple[str, str]:
        """What a service is called in its prefix, the stack's name only once there are two, and its colour."""
        stack, _, name = service.rpartition("/")
        self._stacks.add(stack)
        shown = escape_line(service if len(self._stacks) > 1 else name)
        if service not in self._colours:
            self._colours[service] = _COLOURS[len(self._colours) % len(_COLOURS)]
            self._width = max(self._width, min(len(shown), _MOST))
        return shown, self._colours[service]


def json_line(line: LogLine) -> str:
    """One line as a JSON object; nothing is escaped but what JSON escapes."""
    return json.dumps(line, ensure_ascii=True, separators=(",", ":"))


def gap_line(text: str, style: Style) -> str:
    """Told on standard error where output is missing."""
    return paint(style, f"-- {escape_line(text)} --", "magenta")
