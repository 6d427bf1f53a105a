"""Findings in a stack file, each with its place, the line itself and a caret under what is meant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.cli.render.escape import escape_line
from harness.cli.render.layout import width_of
from harness.cli.render.style import Style, paint

if TYPE_CHECKING:
    from harness_core.domain.protocol import Diagnostic

__all__ = ["diagnostic_lines", "github_lines", "verdict"]


def diagnostic_lines(findings: Sequence[Diagnostic], style: Style) -> list[str]:
    """All findings by line, a blank line between them."""
    lines: list[str] = []
    for finding in sorted(findings, key=lambda d: (d["file"], d["line"], d["column"])):
        lines += ([""] if lines else []) + _block(finding, style)
    return lines


def _block(finding: Diagnostic, style: Style) -> list[str]:
    colour = "red" if finding["severity"] == "error" else "yellow"
    code = f"[{finding['code']}]" if finding["code"] else ""
    head = paint(style, finding["severity"] + code, "bold", colour)
    lines = [f"{head}: {paint(style, escape_line(finding['message']), 'bold')}"]
    place = f"{escape_line(finding['file'])}:{finding['line']}:{finding['column']}"
    number = str(finding["line"])
    margin = " " * len(number)
    lines.append(f"{margin}{paint(style, '-->', 'blue')} {place}")
    if finding["text"]:
        bar = paint(style, "|", "blue")
        source = finding["text"].rstrip("\r\n")
        under, carets = _caret(source, finding["column"], finding["end_column"])
        label = f" {escape_line(finding['label'])}" if finding["label"] else ""
        lines.append(f"{margin} {bar}")
        lines.append(f"{paint(style, number, 'blue')} {bar} {escape_line(source.expandtabs(4))}")
        lines.append(f"{margin} {bar} {under}{paint(style, carets + label, colour)}")
    elif finding["label"]:
        lines.append(f"{margin} {paint(style, '=', 'blue')} {escape_line(finding['label'])}")
    lines += [f"{margin} {paint(style, '=', 'blue')} {escape_line(note)}" for note in finding["notes"]]
    return lines


def _caret(source: str, column: int, end_column: int) -> tuple[str, str]:
    """Blanks up to the place and carets under it, in terminal columns of the line as it is shown."""
    start = max(0, min(column - 1, len(source)))
    end = max(start + 1, min(end_column - 1, len(source))) if end_column > column else start + 1
    before = width_of(escape_line(source[:start].expandtabs(4)))
    upto = width_of(escape_line(source[:end].expandtabs(4)))
    return " " * before, "^" * max(1, upto - before)


def github_lines(findings: Sequence[Diagnostic]) -> list[str]:
    """Annotations for GitHub's workflow log."""
    lines = []
    for finding in findings:
        severity = "error" if finding["severity"] == "error" else "warning"
        where = f"file={_property(finding['file'])},line={finding['line']},col={finding['column']}"
        title = f",title={_property(finding['code'])}" if finding["code"] else ""
        text = ". ".join(part for part in (finding["message"], finding["label"]) if part)
        lines.append(f"::{severity} {where}{title}::{_message(text)}")
    return lines


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")


def verdict(findings: Sequence[Diagnostic], filename: str, style: Style) -> str:
    """``shop.yaml: 2 errors, 1 warning`` or that it is valid."""
    errors = sum(finding["severity"] == "error" for finding in findings)
    warnings = len(findings) - errors
    parts = [f"{n} {word}{'s' if n != 1 else ''}" for n, word in ((errors, "error"), (warnings, "warning")) if n]
    if errors:
        return f"{filename}: {', '.join(parts)}"
    note = f" ({parts[0]})" if parts else ""
    return f"{paint(style, style.sign('✔'), 'green')} {filename} is valid{note}"
