"""What people read when something went wrong, in this order: what failed, how it ended, the last lines it wrote, what
was not started because of it, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.cli.render.escape import escape_line
from harness.cli.render.layout import fold
from harness.cli.render.style import Style, paint, state_mark

if TYPE_CHECKING:
    from harness_core.domain.protocol import Failure

__all__ = ["LAST_LINES", "error_lines", "failure_lines"]

LAST_LINES = 10


def failure_lines(failure: Failure, style: Style) -> list[str]:
    """One failed unit as a block."""
    name = f"{failure['stack']}/{failure['service']}"
    exit_text = failure["exit"]["text"] if failure["exit"] else ""
    why = escape_line(failure["reason"]) or exit_text
    title = paint(style, failure["service"], "bold")
    lines = [f"{state_mark(style, failure['state'])} {title} {failure['state'].replace('_', ' ')}{why and f': {why}'}"]
    if exit_text and exit_text not in why:
        lines.append(f"  ended with {exit_text}")
    lines += _last_lines(failure["last_lines"], failure["service"], style)
    if failure["skipped"]:
        lines.append(f"  not started because of it: {', '.join(failure['skipped'])}")
    hint = escape_line(failure["hint"]) or f"harness logs {name}, harness explain {name}"
    lines.append(f"  next: {paint(style, hint, 'cyan')}")
    return lines


def _last_lines(written: Sequence[str], service: str, style: Style) -> list[str]:
    if not written:
        return [f"  {service} wrote nothing"]
    bar = paint(style, style.sign("│"), "dim")
    shown = [f"  {bar} {escape_line(line, colours=style.colour)}" for line in written[-LAST_LINES:]]
    return [f"  last lines of {service}:", *shown]


def error_lines(message: str, hint: str, style: Style, detail: dict[str, Any] | None = None) -> list[str]:
    """An error of ours or of the daemon's: ``error: cannot …`` and the way out."""
    head = paint(style, "error:", "bold", "red")
    first, *rest = message.split("\n")
    lines = [f"{head} {escape_line(first)}", *(f"  {escape_line(line)}" for line in rest)]
    lines += [f"  held by {escape_line(str(holder))}" for holder in (detail or {}).get("holders", [])]
    if hint:
        folded = fold(escape_line(hint), max(40, style.width - 8) if style.width else 0)
        lines.append(f"  {paint(style, 'hint:', 'cyan')} {folded[0]}")
        lines += [f"        {line}" for line in folded[1:]]
    return lines
