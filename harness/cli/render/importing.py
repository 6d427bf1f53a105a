"""What an import says besides the stack file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.cli.render.escape import escape_line
from harness.cli.render.style import Style, paint

if TYPE_CHECKING:
    from harness.importers.items import Lost

__all__ = ["lost_lines", "verdict"]


def lost_lines(lost: Sequence[Lost], style: Style) -> list[str]:
    """Everything that is not carried over, a line each, as compilers write it."""
    return [
        f"{paint(style, str(one.spot), 'bold')}: not carried over: {escape_line(one.what)}: {escape_line(one.why)}"
        for one in lost
    ]


def verdict(form: str, units: tuple[int, int], lost: int, out: str, style: Style) -> str:
    """The last sentence: what was made of it, and how to go on."""
    services, tasks = (f"{n} {word}{'' if n == 1 else 's'}" for n, word in zip(units, ("service", "task"), strict=True))
    what = f"{services} and {tasks}" if units[1] else services
    rest = f"; {lost} {'thing is' if lost == 1 else 'things are'} not carried over" if lost else ""
    done = f"{form}: {what}{rest}" if out == "-" else f"wrote {escape_line(out)}, {what}{rest}"
    return paint(style, done, "yellow" if lost else "green")
