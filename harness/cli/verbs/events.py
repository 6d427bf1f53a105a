"""``harness events``: what happened, from the journal, and what happens next."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, cast

from harness.cli.grammar import STACK, UNITS, Option, Verb
from harness.cli.render.data import document
from harness.cli.render.events import event_line, service_width
from harness.cli.session import Cli
from harness.cli.times import parse_moment
from harness.cli.watch import outlasting
from harness_core.domain.errors import UsageError

if TYPE_CHECKING:
    from harness_core.domain.protocol import EventRow, EventsResult

__all__ = ["VERB"]

_TYPES = ("started", "exited", "state", "health", "task", "setup", "action", "gpu", "log_gap", "stack", "daemon")


def run(
    cli: Cli,
    *,
    names: tuple[str, ...],
    stack: str | None,
    follow: bool,
    tail: int,
    after: int | None,
    since: str | None,
    types: tuple[str, ...],
) -> int:
    for flag, number in (("--tail", tail), ("--after", after)):
        if number is not None and number < 0:
            raise UsageError(f"cannot read {flag} {number}: it is below zero")
    params: dict[str, Any] = {**cli.select, "names": list(names), "stack": stack, "types": list(types), "limit": tail}
    params["since"] = parse_moment(since, "--since", time.time()) if since else None
    # after a known number the next ones are wanted, else the newest
    params |= {"after": after or 0, "newest": after is None}
    if follow:
        return _follow(cli, params)
    result = cast("EventsResult", cli.call("events", params))
    width = service_width(result["events"])
    cli.data(
        result,
        lambda: [event_line(event, cli.out.style, width) for event in result["events"]],
        rows="events",
        names=lambda: [str(event["seq"]) for event in result["events"]],
    )
    return 0


def _follow(cli: Cli, params: dict[str, Any]) -> int:
    params["follow"] = True
    last, width = params["after"], 16

    def again() -> dict[str, Any]:
        return {**params, "after": last, "newest": params["newest"] and not last}

    for item in outlasting(cli, "events.follow", again):
        event = cast("EventRow", item)
        if event["seq"] <= last:
            continue
        last = event["seq"]
        if cli.settings.output in ("table", "wide"):
            width = max(width, service_width([event]))
            cli.out.line(event_line(event, cli.out.style, width))
        else:
            cli.out.line(json.dumps(document(cast("dict[str, Any]", event)), separators=(",", ":"), ensure_ascii=False))
    return 0


VERB = Verb(
    "events",
    run,
    "One line an event: number, time, unit, type, what and why. The number is a place to go on from: --after.",
    arguments=(UNITS,),
    options=(
        STACK,
        Option(("-f", "--follow"), "Go on with what happens, through restarts of the daemon."),
        Option(("-n", "--tail"), "The newest this many.", "int", default=50, metavar="N"),
        Option(("--after",), "Those after this number, oldest first.", "int", metavar="SEQ"),
        Option(("--since",), "Not older than this (10m, 14:30, a date).", "text", metavar="TIME"),
        Option(
            ("--type",), "Only of this type.", "choice", choices=_TYPES, many=True, metavar="TYPE", parameter="types"
        ),
    ),
)
