"""``explain`` and ``describe``: why one unit is as it is, and everything known about it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.cli.render.escape import escape_line
from harness.cli.render.events import event_text
from harness.cli.render.layout import fold, pad
from harness.cli.render.status import address, full_name, identity, kind, reason
from harness.cli.render.style import Style, paint, state_colour, state_mark
from harness.cli.render.units import duration, size, took

if TYPE_CHECKING:
    from harness_core.domain.protocol import DescribeResult, ExplainResult, HealthInfo

__all__ = ["describe_lines", "explain_lines"]


def explain_lines(result: ExplainResult, style: Style) -> list[str]:
    """Verdict, chain of causes, story, what to do."""
    row = result["service"]
    mark, name = state_mark(style, row["state"]), paint(style, full_name(row), "bold")
    lines = [f"{mark} {name} is {paint(style, row['state'].replace('_', ' '), state_colour(row['state']))}"]
    lines += [f"  {line}" for line in fold(escape_line(result["verdict"]), style.width - 2 if style.width else 0)]
    if len(result["chain"]) > 1:
        lines += ["", paint(style, "because", "bold")]
        arrow = style.sign("→")
        lines += [f"  {'  ' * depth}{arrow} {escape_line(link)}" for depth, link in enumerate(result["chain"])]
    if result["story"]:
        lines += ["", paint(style, "what happened", "bold")]
        for told in result["story"]:
            cause = f"  ({escape_line(told['cause'])})" if told["cause"] and told["cause"] not in told["text"] else ""
            lines.append(f"  {paint(style, style.date(told['at']), 'dim')}  {escape_line(told['text'])}{cause}")
    if result["hints"]:
        lines += ["", paint(style, "what to do", "bold")]
        lines += [f"  {escape_line(hint)}" for hint in result["hints"]]
    return lines


def describe_lines(result: DescribeResult, style: Style) -> list[str]:
    """Everything about one unit, in sections; a section without content is left out."""
    row = result["service"]
    facts = {
        "state": row["state"] + (f": {reason(row)}" if reason(row) else ""),
        "phase": f"{row['phase']} since {style.date(row['since'])}, wanted {row['wanted']}",
        "kind": kind(row),
        "host": row["host"],
        "id": identity(row),
        "pids": ", ".join(map(str, result["pids"])),
        "uptime": duration(row["uptime_seconds"]),
        "ready in": took(row["took_seconds"]),
        "life": f"epoch {row['epoch']}, {row['restarts']} restarts",
        "last exit": row["exit"]["text"] if row["exit"] else "",
        "address": address(row),
        "listening": ", ".join(result["listening"]),
        "processor": took(result["cpu_seconds"]),
        "memory": size(result["memory_bytes"]),
        "needs": ", ".join(row["dependencies"]),
        "health": _health(result["health"], style),
    }
    lines = [f"{state_mark(style, row['state'])} {paint(style, full_name(row), 'bold')}"]
    lines += _pairs({key: value for key, value in facts.items() if value not in ("", "-")}, style)
    sections: tuple[tuple[str, Mapping[str, Any]], ...] = (
        ("endpoints", row["endpoints"]),
        ("outputs", result["outputs"]),
        ("logs", result["logs"]),
        ("environment", result["environment"]),
    )
    for title, content in sections:
        if content:
            lines += ["", paint(style, title, "bold"), *_pairs(content, style)]
    if details := result.get("details"):
        lines += ["", paint(style, "instance", "bold"), *_tree(details, 1)]
    if result["definition"]:
        lines += ["", paint(style, "definition", "bold"), *_tree(result["definition"], 1)]
    if result["recent"]:
        lines += ["", paint(style, "recent events", "bold")]
        for event in result["recent"]:
            told = f"{event['type']}  {event_text(event, style)}"
            lines.append(f"  {paint(style, style.date(event['at']), 'dim')}  {told}")
    return lines


def _health(health: HealthInfo, style: Style) -> str:
    if health["status"] == "none":
        return "no check"
    since = f" since {style.date(health['since'])}" if health["since"] is not None else ""
    detail = f": {health['detail']}" if health["detail"] else ""
    return f"{health['status']}{since}{detail} ({health['checks']} checks, {health['failures']} failures in a row)"


def _pairs(facts: Mapping[str, Any], style: Style) -> list[str]:
    width = max(len(key) for key in facts)
    return [f"  {paint(style, pad(key, width), 'dim')}  {escape_line(str(value))}" for key, value in facts.items()]


def _tree(value: Any, depth: int) -> list[str]:
    """Nested JSON values in the shape of YAML; scalars in JSON's spelling where YAML would be in doubt."""
    indent = "  " * depth
    if isinstance(value, dict) and value:
        lines = []
        for key, inner in value.items():
            if isinstance(inner, (dict, list)) and inner:
                lines += [f"{indent}{escape_line(str(key))}:", *_tree(inner, depth + 1)]
            else:
                lines.append(f"{indent}{escape_line(str(key))}: {_scalar(inner)}")
        return lines
    if isinstance(value, list) and value:
        lines = []
        for inner in value:
            first, *more = _tree(inner, depth + 1)
            lines += [f"{indent}- {first.lstrip()}", *more]
        return lines
    return [f"{indent}{_scalar(value)}"]


def _scalar(value: Any) -> str:
    return escape_line(value) if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
