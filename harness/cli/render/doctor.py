"""Checks of a machine and a daemon, and what to do about what they found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.cli.render.escape import escape_line
from harness.cli.render.layout import pad
from harness.cli.render.style import Style, paint

if TYPE_CHECKING:
    from harness_core.domain.protocol import CheckRow

__all__ = ["doctor_lines"]

_MARKS = {"ok": ("✔", "green"), "warning": ("!", "yellow"), "problem": ("✖", "red")}


def doctor_lines(checks: Sequence[CheckRow], style: Style) -> list[str]:
    """One line a check, its hint below it when it is not well, and a sum."""
    width = max((len(check["name"]) for check in checks), default=0)
    lines = []
    for check in checks:
        sign, colour = _MARKS.get(check["status"], ("?", ""))
        mark = paint(style, style.sign(sign), colour)
        lines.append(f"{mark} {pad(check['name'], width)}  {escape_line(check['detail'])}".rstrip())
        if check["hint"] and check["status"] != "ok":
            lines.append(f"  {' ' * width}  {paint(style, escape_line(check['hint']), 'cyan')}")
    problems = sum(check["status"] == "problem" for check in checks)
    warnings = sum(check["status"] == "warning" for check in checks)
    if not problems and not warnings:
        return [*lines, "", f"all {len(checks)} checks are well"]
    found = [
        f"{count} {word}{'s' if count != 1 else ''}"
        for count, word in ((problems, "problem"), (warnings, "warning"))
        if count
    ]
    return [*lines, "", ", ".join(found)]
