"""A start, stop, restart, wait or run while it goes on, and how it ended.

On a terminal a line per unit is redrawn: mark, name, kind, address or reason, and the time at the right edge. Elsewhere
each change is one line of ``key=value`` fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from harness.cli.render.escape import escape_line
from harness.cli.render.failure import failure_lines
from harness.cli.render.layout import cut, pad, width_of
from harness.cli.render.status import address, change_line, full_name, kind, reason
from harness.cli.render.style import Style, paint, state_colour, state_mark
from harness.cli.render.units import took

if TYPE_CHECKING:
    from harness_core.domain.protocol import OperationResult, ServiceRow

__all__ = ["change", "daemon_line", "detached", "outcome", "region", "summary"]

#: what people call the work and its end
_DOING = {"start": "Starting", "stop": "Stopping", "restart": "Restarting", "wait": "Waiting for", "run": "Running"}
#: how wide a live line is on a very wide terminal: the eye must find the time that belongs to the name
_MOST = 100


def region(
    verb: str,
    title: str,
    rows: Sequence[ServiceRow],
    elapsed: Mapping[str, float],
    seconds: float,
    style: Style,
) -> list[str]:
    """The live region: a heading and one line a unit. ``elapsed`` tells, by full name, when a unit arrived;
    ``seconds`` is how long the whole has taken so far."""
    done = sum(full_name(row) in elapsed for row in rows)
    head = f"{_DOING.get(verb, verb)} {title}  {done}/{len(rows)}"
    lines = [_right(paint(style, head, "bold"), took(seconds), style)]
    name_width = max((len(row["name"]) for row in rows), default=0)
    kind_width = max((len(kind(row)) for row in rows), default=0)
    lines += [_unit(row, elapsed.get(full_name(row)), name_width, kind_width, style) for row in rows]
    return lines


def _unit(row: ServiceRow, seconds: float | None, name_width: int, kind_width: int, style: Style) -> str:
    # a state that is good in itself, a task that runs, is not yet what was asked for
    arrived = seconds is not None or state_colour(row["state"]) not in ("green", "")
    mark = state_mark(style, row["state"]) if arrived else style.sign("·")
    head = f"{mark} {pad(row['name'], name_width)}  {pad(kind(row), kind_width)}  "
    said = _said(row)
    room = min(style.width or _MOST, _MOST) - width_of(head) - 8
    text = cut(said, max(8, room), style) if style.terminal else said
    return _right(head + paint(style, text, state_colour(row["state"]) if arrived else ""), took(seconds), style)


def _said(row: ServiceRow) -> str:
    """State with what is most useful beside it: an address once it is ready, the reason until then."""
    state = row["state"].replace("_", " ")
    if row["state"] == "ready" and address(row) != "-":
        return f"{state}  {address(row)}"
    why = reason(row)
    if not why:
        return state
    return why if why.startswith((state, "waits")) else f"{state}: {why}"


def _right(text: str, at_edge: str, style: Style) -> str:
    """``text`` with ``at_edge`` at the right edge, or two blanks behind it where there is no edge."""
    if not at_edge:
        return text
    width = min(style.width or _MOST, _MOST)
    return text + " " * max(2, width - width_of(text) - len(at_edge)) + paint(style, at_edge, "dim")


def change(row: ServiceRow, seconds: float | None, style: Style) -> str:
    """One change as one line, for a pipe or a log of a build."""
    return change_line(row, style) + (f" after={took(seconds)}" if seconds is not None else "")


def daemon_line(pid: int, url: str, seconds: float, style: Style) -> str:
    """Said when a command had to start the daemon first."""
    return _right(f"{state_mark(style, 'ready')} daemon  started (pid {pid}, {url})", took(seconds), style)


def outcome(verb: str, result: OperationResult, style: Style) -> list[str]:
    """How it ended: failures first, then one sentence, then what to type next."""
    lines: list[str] = []
    for failure in result["failures"]:
        lines += [*failure_lines(failure, style), ""]
    lines += [f"{paint(style, 'warning:', 'yellow')} {escape_line(warning)}" for warning in result["warnings"]]
    lines.append(summary(verb, result, style))
    if result["ok"] and verb in ("start", "restart") and not result["unchanged"]:
        lines += _next_steps(result, style)
    return lines


def summary(verb: str, result: OperationResult, style: Style) -> str:
    """One sentence that is true: what got where it was wanted and what did not."""
    what = result["stack"] or ", ".join(row["name"] for row in result["services"]) or "nothing"
    seconds = took(result["seconds"])
    if result["ended_by"] == "timeout":
        late = [row["name"] for row in result["services"] if state_colour(row["state"]) != "green"]
        rest = f"; still on the way: {', '.join(late)}" if late and verb != "stop" else ""
        return f"gave up waiting for {what} after {seconds}{rest}; the work goes on"
    if not result["ok"]:
        bad = len(result["failures"])
        back = "; the earlier definition was put back" if result["rolled_back"] else ""
        head = f"{_FAILED.get(verb, f'{verb} failed for')} {what}"
        return f"{head}: {bad} of {len(result['services'])} failed after {seconds}{back}"
    if result["unchanged"]:
        return _UNCHANGED.get(verb, "nothing to do").format(what)
    return paint(style, _DONE.get(verb, "{} done").format(what), "green") + f" after {seconds}"


_FAILED = {"start": "could not start", "stop": "could not stop", "restart": "could not restart", "run": "could not run"}
_DONE = {
    "start": "{} is up",
    "stop": "{} is down",
    "restart": "{} was restarted",
    "wait": "{}: what was waited for is so",
    "run": "{} has run",
}
_UNCHANGED = {
    "start": "{} is already up; nothing to do",
    "stop": "{} is already down; nothing to do",
    "run": "{} is already done; run it again with --again",
    "wait": "{}: what was waited for is so",
}


def detached(verb: str, rows: Sequence[ServiceRow], style: Style) -> list[str]:
    """Said when Ctrl-C ended the watching: what goes on without it, as far as that is known."""
    if not rows:
        return ["", "interrupted before the daemon had answered; harness status shows what it does"]
    again = ("harness status --follow", "watch it again")
    if verb == "wait":
        return ["", "no longer waiting", *_steps([again], style)]
    going = {"stop": "stopping", "run": "running"}.get(verb, "starting")
    stop = [] if verb == "stop" else [(f"harness stop {' '.join(sorted({row['stack'] for row in rows}))}", "stop it")]
    return ["", f"no longer watching; the daemon goes on {going}", *_steps([again, *stop], style)]


def _steps(steps: Sequence[tuple[str, str]], style: Style) -> list[str]:
    """What to type next, and what for."""
    width = max(len(step) for step, _ in steps)
    return [f"  {paint(style, pad(step, width), 'cyan')}  {why}" for step, why in steps]


def _next_steps(result: OperationResult, style: Style) -> list[str]:
    rows = result["services"]
    first = next((row["name"] for row in rows if row["kind"] == "service"), "NAME")
    steps = [
        ("harness status --follow", "watch it"),
        (f"harness logs {first} -f", "read what it writes"),
        (f"harness stop {result['stack']}".rstrip() if result["stack"] else "harness stop --all", "stop it"),
    ]
    lines = _steps(steps, style)
    opened = [row for row in rows if (row["url"] or "").startswith("http") and row["state"] == "ready"]
    if opened:
        lines.append("  open:")
        names = max(len(row["name"]) for row in opened)
        lines += [f"    {pad(row['name'], names)}  {address(row)}" for row in opened]
    return lines
