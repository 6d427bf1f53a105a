"""The daemon itself: its state, tokens, certificate, plugins, tasks and saved contexts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.cli.render.escape import escape_line
from harness.cli.render.layout import Column, pad, table
from harness.cli.render.style import Style, paint, state_mark
from harness.cli.render.units import duration

if TYPE_CHECKING:
    from harness_core.domain.protocol import CertStatus, DaemonStatus, PluginRow, TokenRow

__all__ = ["cert_lines", "context_lines", "daemon_lines", "pairs", "plugin_lines", "token_lines"]


def pairs(facts: Mapping[str, Any], style: Style) -> list[str]:
    """``name  value`` lines, aligned; empty values are left out."""
    told = {name: str(value) for name, value in facts.items() if value not in (None, "")}
    width = max((len(name) for name in told), default=0)
    return [f"{paint(style, pad(name, width), 'dim')}  {escape_line(value)}" for name, value in told.items()]


def daemon_lines(status: DaemonStatus, style: Style) -> list[str]:
    """``harness daemon status``."""
    expires = status["certificate_expires"]
    lines = [f"{state_mark(style, 'ready')} the daemon runs (pid {status['pid']}, version {status['version']})"]
    lines += pairs(
        {
            "url": status["url"],
            "state directory": status["state_dir"],
            "up": f"{duration(status['uptime_seconds'])}, since {style.date(status['started_at'])}",
            "units": f"{status['running']} of {status['services']} run",
            "connections": status["connections"],
            "keeper": f"pid {status['keeper_pid']}" if status["keeper_pid"] is not None else "",
            "targets": ", ".join(status["executors"]),
            "certificate": f"valid until {style.date(expires)}" if expires is not None else "",
        },
        style,
    )
    if status["read_only"]:
        lines.append(f"{paint(style, 'read-only:', 'red')} {escape_line(status['read_only'])}")
    lines += [f"{paint(style, 'problem:', 'red')} {escape_line(problem)}" for problem in status["problems"]]
    return lines


def token_lines(tokens: Sequence[TokenRow], style: Style) -> list[str]:
    """``harness token list``; never a secret, because the daemon has none to tell."""
    columns = [Column(title) for title in ("ID", "NAME", "ROLE", "CREATED", "EXPIRES", "LAST USED", "STATE")]

    def when(at: float | None, otherwise: str) -> str:
        return style.date(at) if at is not None else otherwise

    cells = [
        [
            (escape_line(row["id"]), "bold"),
            (escape_line(row["name"]), ""),
            (row["role"], ""),
            (when(row["created"], "-"), ""),
            (when(row["expires"], "never"), ""),
            (when(row["last_used"], "never"), ""),
            ("revoked", "red") if row["revoked"] else ("valid", "green"),
        ]
        for row in tokens
    ]
    return table(columns, cells, style) if cells else ["there is no token but the local one"]


def cert_lines(status: CertStatus, now: float, style: Style) -> list[str]:
    """``harness cert status``."""
    left = status["not_after"] - now
    return [
        *pairs(
            {
                "names": ", ".join(status["subject_names"]),
                "valid from": style.date(status["not_before"]),
                "valid until": f"{style.date(status['not_after'])} "
                + (f"({duration(left)} left)" if left > 0 else "(expired)"),
                "pin": status["pin"],
                "authority": status["ca_path"],
            },
            style,
        ),
        *(["a new certificate was made"] if status["renewed"] else []),
    ]


def plugin_lines(plugins: Sequence[PluginRow], style: Style) -> list[str]:
    """``harness plugins``: what is installed, and why a broken one does not work."""
    columns = [Column("NAME"), Column("STATUS"), Column("TYPES"), Column("PACKAGE"), Column("PROBLEM")]
    cells = [
        [
            (escape_line(row["name"]), "bold"),
            (row["status"], "green" if row["status"] == "ok" else "red"),
            (", ".join(row["types"]) or "-", ""),
            (escape_line(f"{row['distribution']} {row['version']}".strip()), "dim"),
            (escape_line(row["problem"]) or "-", "red"),
        ]
        for row in plugins
    ]
    return table(columns, cells, style) if cells else ["no plugin is installed"]


def context_lines(contexts: Sequence[Mapping[str, Any]], style: Style) -> list[str]:
    """``harness context list``; the one in use has a star."""
    columns = [Column(""), Column("NAME"), Column("ADDRESS"), Column("PIN")]
    cells = [
        [
            ("*" if row["current"] else " ", "green"),
            (escape_line(str(row["name"])), "bold"),
            (escape_line(str(row["url"])), ""),
            (escape_line(str(row["pin"])) or "-", "dim"),
        ]
        for row in contexts
    ]
    return table(columns, cells, style)
