"""Processor time and memory of every unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.cli.render.layout import Column, table
from harness.cli.render.style import Style, paint, state_colour
from harness.cli.render.units import duration, percent, size

if TYPE_CHECKING:
    from harness_core.domain.protocol import TopResult

__all__ = ["top_lines"]

_COLUMNS = (
    Column("STACK", drop=2),
    Column("NAME"),
    Column("STATE", drop=4),
    Column("PID", right=True, drop=3),
    Column("PROCS", right=True, drop=1),
    Column("CPU", right=True),
    Column("MEMORY", right=True),
    Column("UPTIME", right=True, drop=5),
)


def top_lines(result: TopResult, style: Style) -> list[str]:
    """The busiest first; 100% is one core."""
    rows = sorted(
        result["services"],
        key=lambda r: (-(r["cpu_percent"] or 0.0), -(r["memory_bytes"] or 0), r["stack"], r["name"]),
    )
    lines = table(
        _COLUMNS,
        [
            [
                (row["stack"], "dim"),
                (row["name"], "bold"),
                (row["state"], state_colour(row["state"])),
                (str(row["pid"]) if row["pid"] is not None else "-", ""),
                (str(row["processes"]) if row["processes"] else "-", ""),
                (percent(row["cpu_percent"]), ""),
                (size(row["memory_bytes"]), ""),
                (duration(row["uptime_seconds"]), ""),
            ]
            for row in rows
        ],
        style,
    )
    daemon = f"daemon {percent(result['daemon_cpu_percent'])} {size(result['daemon_memory_bytes'])}"
    return [*lines, paint(style, daemon, "dim")]
