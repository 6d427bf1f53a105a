"""The table of ``harness status``, and one line per change where no table can be redrawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.cli.render.escape import escape_line
from harness.cli.render.layout import Cell, Column, cut, table
from harness.cli.render.style import Style, paint, state_colour, state_mark
from harness.cli.render.units import duration, took

if TYPE_CHECKING:
    from harness_core.domain.protocol import ServiceRow, StackRow, StatusResult

__all__ = ["address", "change_line", "full_name", "identity", "kind", "names", "reason", "status_lines"]

_STACK = Column("STACK")
#: "drop" is the order in which a narrow terminal loses them; the reason is never lost
_TABLE = (
    Column("NAME"),
    Column("STATE"),
    Column("HEALTH", drop=3),
    Column("KIND", drop=2),
    Column("ID", drop=4),
    Column("ADDRESS", drop=6),
    Column("UPTIME", right=True, drop=5),
    Column("NEEDS", drop=1),
    Column("REASON"),
)
_WIDE = (
    Column("NAME"),
    Column("STATE"),
    Column("PHASE"),
    Column("HEALTH"),
    Column("WANTED"),
    Column("KIND"),
    Column("ID"),
    Column("HOST"),
    Column("ENDPOINTS"),
    Column("UPTIME", right=True),
    Column("READY IN", right=True),
    Column("EPOCH", right=True),
    Column("RESTARTS", right=True),
    Column("NEEDS"),
    Column("REASON"),
)


def status_lines(result: StatusResult, style: Style, *, wide: bool = False) -> list[str]:
    """The whole answer: the units as a table, and on a terminal how each stack does."""
    rows = result["services"]
    if not rows:
        return ["nothing is registered; start a stack with: harness start FILE"]
    several = len({row["stack"] for row in rows}) > 1
    columns = _WIDE if wide else _TABLE
    cells = [_wide(row) if wide else _cells(row) for row in rows]
    if several:
        columns = (_STACK, *columns)
        cells = [[(row["stack"], "dim"), *line] for row, line in zip(rows, cells, strict=True)]
    # a wide table is asked for by those who have the room, or scroll
    lines = table(columns, cells, style._replace(width=0) if wide else style)
    if style.terminal:
        lines += ["", *(_stack_line(stack, style) for stack in result["stacks"])]
    return lines


def full_name(row: ServiceRow) -> str:
    """``stack/name``, which names a unit whatever else is registered."""
    return f"{row['stack']}/{row['name']}"


def kind(row: ServiceRow) -> str:
    return "task" if row["kind"] == "task" else row["target"]


def identity(row: ServiceRow) -> str:
    """The pid or the short container id of the present instance; "-" when there is none."""
    if row["pid"] is not None:
        return str(row["pid"])
    return row["container_id"][:12] if row["container_id"] else "-"


def address(row: ServiceRow) -> str:
    """Where to reach it: a URL, else host and port; "-" when it listens nowhere."""
    if row["url"]:
        return escape_line(row["url"])
    ports = ", ".join(f"{_host(row)}:{port}" for port in row["ports"].values())
    return ports or "-"


def reason(row: ServiceRow) -> str:
    """Why it is as it is, with what will happen by itself and when."""
    parts = [escape_line(row["reason"])] if row["reason"] else []
    if row["next_in"] is not None and "again in" not in row["reason"]:
        parts.append(f"next try in {took(row['next_in'])}")
    if row["outdated"] and row["uptime_seconds"] is not None:
        parts.append("its definition has changed since it was started")
    if not row["enabled"] and row["wanted"] == "down":
        parts.append("disabled")
    return "; ".join(parts)


def change_line(row: ServiceRow, style: Style, at: float | None = None) -> str:
    """One unit in one line, for ``status --follow`` without a terminal: fields that programs can split."""
    fields = [
        f"time={style.date(at).replace(' ', 'T')}" if at is not None else "",
        f"service={full_name(row)}",
        f"state={row['state'].replace(' ', '_')}",
        f"health={row['health']}" if row["health"] != "none" else "",
        f"id={identity(row)}" if identity(row) != "-" else "",
        f"address={address(row)}" if address(row) != "-" and row["state"] == "ready" else "",
        _quoted("reason", reason(row)),
    ]
    return " ".join(field for field in fields if field)


def _quoted(name: str, text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'{name}="{escaped}"' if text else ""


def _host(row: ServiceRow) -> str:
    return f"[{row['host']}]" if ":" in row["host"] else row["host"]


def _endpoints(row: ServiceRow) -> str:
    shown = [f"{name}={escape_line(url)}" for name, url in row["endpoints"].items()]
    return ", ".join(shown) or address(row)


def _health(row: ServiceRow) -> Cell:
    return ("-", "dim") if row["health"] == "none" else (row["health"], state_colour(row["health"]))


def _needs(row: ServiceRow) -> Cell:
    return (", ".join(row["dependencies"]) or "-", "dim")


def _cells(row: ServiceRow) -> list[Cell]:
    return [
        (row["name"], "bold"),
        (row["state"], state_colour(row["state"])),
        _health(row),
        (kind(row), ""),
        (identity(row), ""),
        (address(row), "cyan" if row["url"] and row["state"] == "ready" else ""),
        (duration(row["uptime_seconds"]), ""),
        _needs(row),
        (reason(row), ""),
    ]


def _wide(row: ServiceRow) -> list[Cell]:
    return [
        (row["name"], "bold"),
        (row["state"], state_colour(row["state"])),
        (row["phase"], ""),
        _health(row),
        (row["wanted"], ""),
        (kind(row), ""),
        (identity(row), ""),
        (row["host"], ""),
        (_endpoints(row), ""),
        (duration(row["uptime_seconds"]), ""),
        (took(row["took_seconds"]) or "-", ""),
        (str(row["epoch"]), ""),
        (str(row["restarts"]), ""),
        _needs(row),
        (reason(row), ""),
    ]


def _stack_line(stack: StackRow, style: Style) -> str:
    name = paint(style, stack["name"], "bold")
    where = f"{stack['base_dir']}/{stack['filename'].rpartition('/')[2]}"
    text = f"{stack['state']}, {stack['ready']} of {stack['services']} ready"
    room = style.width - len(stack["name"]) - len(text) - 6
    place = cut(escape_line(where), room, style) if style.width and room > 0 else escape_line(where)
    return f"{state_mark(style, stack['state'])} {name}  {text}  {paint(style, place, 'dim')}"


def names(rows: Sequence[ServiceRow]) -> list[str]:
    """What ``-o name`` prints."""
    return [full_name(row) for row in rows]
