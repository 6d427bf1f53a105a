"""The journal, one event a line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from harness.cli.render.escape import escape_line
from harness.cli.render.layout import pad, width_of
from harness.cli.render.style import Style, paint, state_colour

if TYPE_CHECKING:
    from harness_core.domain.protocol import EventRow

__all__ = ["event_line", "event_text", "service_width"]


def event_line(event: EventRow, style: Style, width: int = 16) -> str:
    """``seq  time  service  type  what and why``, the service ``width`` columns wide."""
    to = event["data"].get("to") if event["type"] in ("state", "health") else None
    colour = state_colour(str(to)) if to else _COLOURS.get(event["type"], "")
    parts = [
        paint(style, f"{event['seq']:>6}", "dim"),
        paint(style, style.date(event["at"]), "dim"),
        pad(_who(event), width),
        paint(style, pad(event["type"], 7), colour),
        event_text(event, style),
    ]
    return "  ".join(parts).rstrip()


def service_width(events: Iterable[EventRow]) -> int:
    """How wide the column of services has to be for all of these."""
    return max((width_of(_who(event)) for event in events), default=0)


def _who(event: EventRow) -> str:
    return escape_line(event["service"]) or "daemon"


_NOTHING: tuple[object, ...] = (None, "", {}, [])
_COLOURS = {"exited": "yellow", "log_gap": "magenta", "daemon": "blue", "started": "green"}


def event_text(event: EventRow, style: Style) -> str:
    """What happened and why, on one line."""
    data = event["data"]
    parts = []
    if "from" in data and "to" in data and event["type"] in ("state", "health"):
        parts.append(f"{data['from']} {style.sign('→')} {data['to']}")
    elif event["type"] == "exited":
        parts.append(_ended(data))
    else:
        parts.append(" ".join(f"{key}={_plain(value)}" for key, value in data.items() if value not in _NOTHING))
    if event["cause"]:
        parts.append(event["cause"])
    return escape_line(": ".join(part for part in parts if part))


def _ended(data: dict[str, Any]) -> str:
    if data.get("oom"):
        return "killed by the kernel: out of memory"
    if data.get("signal") is not None:
        return f"killed by signal {data['signal']}"
    return "exit code unknown" if data.get("code") is None else f"exit code {data['code']}"


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ",".join(f"{key}:{_plain(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ",".join(_plain(inner) for inner in value)
    return str(value)
