"""Looking on without an end: streams that go on through restarts of the daemon, and ``status --follow``."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from harness.cli.render.data import document
from harness.cli.render.status import change_line, full_name, status_lines
from harness.cli.session import Cli
from harness_core.domain.errors import DaemonUnreachable

if TYPE_CHECKING:
    from harness_core.domain.protocol import FollowItem, ServiceRow, StatusResult

__all__ = ["outlasting", "watch_status"]

_FIRST_DELAY = 0.2
_LONGEST_DELAY = 5.0


def outlasting(cli: Cli, method: str, params: Callable[[], Mapping[str, Any]]) -> Iterator[Any]:
    """The items of a stream, connected anew with ``params()`` whenever the connection is lost, until the daemon ends
    the stream. The first connection must succeed: until something came, an unreachable daemon is the caller's error."""
    delay, connected = _FIRST_DELAY, False
    while True:
        try:
            with cli.stream(method, params()) as stream:
                for item in stream:
                    connected, delay = True, _FIRST_DELAY
                    yield item
                return
        except DaemonUnreachable:
            if not connected:
                raise
            if delay == _FIRST_DELAY:
                cli.note("the connection to the daemon is lost; services are not touched by that. connecting again …")
        # a wait between two attempts: there is no event to wait for, the daemon is not there
        time.sleep(delay)
        delay = min(delay * 2, _LONGEST_DELAY)


class _Board:
    """The last known state of all units, kept current by items."""

    def __init__(self) -> None:
        self.status: StatusResult | None = None
        self.seq: int | None = None
        #: monotonic time at which each unit was last told of, by full name
        self._heard: dict[str, float] = {}

    def take(self, item: FollowItem) -> list[ServiceRow]:
        """Returns the units that this item changed."""
        snapshot = item.get("snapshot")
        self.seq = max(self.seq or 0, item["seq"])
        if snapshot is not None:
            before = {full_name(row): row for row in self.status["services"]} if self.status else {}
            self.status = snapshot
            self._hear(snapshot["services"])
            return [row for row in snapshot["services"] if _differs(before.get(full_name(row)), row)]
        if self.status is None:
            return []
        changed = {full_name(row): row for row in item.get("rows", [])}
        gone = set(item.get("removed", []))
        before = {full_name(row): row for row in self.status["services"]}
        services = [row for name, row in (before | changed).items() if name not in gone]
        services.sort(key=lambda row: row["stack"])
        self._hear(changed.values())
        # a new value rather than a change in place: the drawing thread reads the old one
        self.status = {
            **self.status,
            "seq": item["seq"],
            "services": services,
            "stacks": _recount(self.status, services),
        }
        return [row for name, row in changed.items() if _differs(before.get(name), row)]

    def now(self) -> StatusResult | None:
        """The status with uptimes as they are by now, though nothing has been told since."""
        status, clock = self.status, time.monotonic()
        if status is None:
            return None
        return {**status, "services": [self._aged(row, clock) for row in status["services"]]}

    def _aged(self, row: ServiceRow, clock: float) -> ServiceRow:
        if row["uptime_seconds"] is None:
            return row
        return {**row, "uptime_seconds": row["uptime_seconds"] + clock - self._heard.get(full_name(row), clock)}

    def _hear(self, rows: Iterable[ServiceRow]) -> None:
        clock = time.monotonic()
        self._heard = {**self._heard, **{full_name(row): clock for row in rows}}


def _differs(before: ServiceRow | None, after: ServiceRow) -> bool:
    return before is None or any(before[key] != after[key] for key in ("state", "health", "reason", "epoch", "wanted"))


def _recount(status: StatusResult, services: list[ServiceRow]) -> list[Any]:
    """The stacks with the number of their ready units as it is now."""
    stacks = []
    for stack in status["stacks"]:
        members = [row for row in services if row["stack"] == stack["name"] and row["kind"] == "service"]
        ready = sum(row["state"] in ("ready", "busy") for row in members)
        stacks.append({**stack, "ready": ready} if members else stack)
    return stacks


def watch_status(cli: Cli, params: Mapping[str, Any]) -> int:
    """``status --follow``: a live table on a terminal, elsewhere a line a change. Ends with Ctrl-C or the stream."""
    board = _Board()

    def again() -> Mapping[str, Any]:
        return {**params, "after": board.seq}

    items = (cast("FollowItem", item) for item in outlasting(cli, "status.follow", again))
    if cli.settings.output in ("table", "wide") and cli.out.style.redraws:
        _watch_live(cli, board, items)
    else:
        for item in items:
            at = item["event"]["at"] if "event" in item else item["snapshot"]["at"] if "snapshot" in item else None
            _print_changes(cli, board.take(item), at)
    return 0


def _watch_live(cli: Cli, board: _Board, items: Iterator[FollowItem]) -> None:
    from harness.cli.live import Live

    wide = cli.settings.output == "wide"

    def lines() -> list[str]:
        status = board.now()
        return ["…"] if status is None else status_lines(status, cli.out.style, wide=wide)

    try:
        with Live(cli.out, lines, beside=cli.err) as live:
            for item in items:
                board.take(item)
                live.refresh()
    finally:
        cli.out.lines(lines() if board.status is not None else ())


def _print_changes(cli: Cli, rows: list[ServiceRow], at: float | None) -> None:
    if cli.settings.output in ("table", "wide"):
        cli.out.lines(change_line(row, cli.out.style, at) for row in rows)
    elif cli.settings.output == "name":
        cli.out.lines(full_name(row) for row in rows)
    else:
        cli.out.lines(json.dumps(document(row), ensure_ascii=False, separators=(",", ":")) for row in rows)
