"""An operation watched from its wish to its end: progress while it goes on, then how it ended, as an exit code.

The daemon does the work; what runs here only looks on. Ctrl-C and a lost connection therefore end the looking alone:
after a lost connection the daemon is asked again how far it is.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, cast

from harness.cli.render import progress
from harness.cli.render.data import document
from harness.cli.render.status import full_name
from harness.cli.session import Cli
from harness_core.domain.errors import DaemonUnreachable, ExitCode

if TYPE_CHECKING:
    from harness_core.domain.protocol import FollowItem, OperationResult, ServiceRow

__all__ = ["Watched", "exit_code", "follow", "outlast"]

#: how a unit is asked about when the connection was lost on the way; "wait" simply asks again
_CONDITIONS = {"start": "ready", "restart": "ready", "stop": "stopped", "run": "completed"}
#: a daemon that dies this often under one operation will not finish it
_MOST_LOSSES = 5
_ARRIVED = {
    "stop": ("stopped", "not started", "failed", "done", "blocked"),
    "run": ("done", "failed", "blocked"),
}
_ARRIVED_UP = ("ready", "busy", "done", "failed", "blocked", "unhealthy", "unknown")


class Watched:
    """What is known of the units of one operation, and since when."""

    def __init__(self, verb: str, title: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.verb = verb
        self.title = title
        self._clock = clock
        self._began = clock()
        self.rows: dict[str, ServiceRow] = {}
        #: as they were when the daemon first told of them
        self.first: dict[str, ServiceRow] = {}
        #: seconds at which a unit arrived, by full name
        self.arrived: dict[str, float] = {}
        self._told: dict[str, tuple[str, str]] = {}

    @property
    def seconds(self) -> float:
        return self._clock() - self._began

    def take(self, item: FollowItem) -> list[ServiceRow]:
        """Add what one item tells; returns the units whose state or reason is new."""
        if not self.first:
            # the wish is with the daemon now; what it took to start one does not belong to any unit
            self._began = self._clock()
        snapshot = item.get("snapshot")
        rows = snapshot["services"] if snapshot is not None else item.get("rows", [])
        for name in item.get("removed", []):
            self.rows.pop(name, None)
        news = []
        for row in rows:
            name = full_name(row)
            self.rows[name] = row
            self.first.setdefault(name, row)
            self._time(name, row)
            if self._told.get(name) != (said := (row["state"], row["reason"])):
                self._told[name] = said
                news.append(row)
        return news

    def _time(self, name: str, row: ServiceRow) -> None:
        if row["state"] not in _ARRIVED.get(self.verb, _ARRIVED_UP):
            self.arrived.pop(name, None)
        elif name not in self.arrived:
            took = row["took_seconds"] if row["state"] == "ready" else None
            self.arrived[name] = self.seconds if took is None else took


def follow(cli: Cli, verb: str, method: str, params: Mapping[str, Any], title: str, *, begin: bool = False) -> int:
    """Ask for ``method`` and look on until it ends; returns the exit code. ``title`` is what people call the whole,
    ``begin`` starts a first daemon where none ever ran."""
    watched = Watched(verb, title)
    try:
        with _showing(cli, watched) as show:
            result = outlast(cli, watched, method, params, show, begin=begin)
    except KeyboardInterrupt:
        _say_detached(cli, watched)
        return int(ExitCode.INTERRUPTED)
    _tell(cli, watched, result)
    return exit_code(result)


def outlast(
    cli: Cli,
    watched: Watched,
    method: str,
    params: Mapping[str, Any],
    show: Callable[[Sequence[ServiceRow]], None],
    *,
    begin: bool = False,
) -> OperationResult:
    """The result of an operation that streams, through lost connections; ``show`` gets the units that are new.

    The wish was recorded before its first item came, so what is asked after a loss is only how it stands; before
    that, the loss is the caller's to know.
    """
    losses = 0
    while True:
        try:
            with cli.stream(method, params, begin=begin) as stream:
                for item in stream:
                    show(watched.take(cast("FollowItem", item)))
                return cast("OperationResult", stream.result)
        except DaemonUnreachable:
            losses += 1
            if not watched.rows or losses > _MOST_LOSSES:
                raise
        cli.note("the connection to the daemon is lost; services are not touched by that. asking again …")
        if condition := _CONDITIONS.get(watched.verb):
            method = "service.wait"
            params = {"names": list(watched.rows), "condition": condition, "timeout": cli.settings.timeout}


@contextmanager
def _showing(cli: Cli, watched: Watched) -> Iterator[Callable[[Sequence[ServiceRow]], None]]:
    """The manner of progress: a region drawn again and again, a line a change, JSON lines, or nothing."""
    mode = progress_mode(cli)
    if mode == "tty":
        from harness.cli.live import Live

        with ExitStack() as drawn:
            live: list[Live] = []

            def show(news: Sequence[ServiceRow]) -> None:
                # begun with the first answer: what is said before, the start of the daemon, needs no region around it
                if not live:
                    live.append(drawn.enter_context(Live(cli.err, lambda: _region(watched, cli), beside=cli.out)))
                live[0].refresh()

            yield show
        cli.err.lines(_region(watched, cli) if watched.rows else ())
    elif mode == "plain":
        yield lambda news: cli.err.lines(_plain(watched, news, cli))
    elif mode == "json":
        yield lambda news: cli.err.lines(json.dumps(document(row), ensure_ascii=False) for row in news)
    else:
        yield lambda news: None


def progress_mode(cli: Cli) -> str:
    """What ``--progress auto`` means here."""
    asked = cli.settings.progress
    if asked != "auto":
        return asked
    if cli.settings.quiet or cli.settings.machine:
        return "quiet"
    return "tty" if cli.err.style.redraws and cli.err.style.width else "plain"


def _region(watched: Watched, cli: Cli) -> list[str]:
    rows = list(watched.rows.values())
    return progress.region(watched.verb, watched.title, rows, dict(watched.arrived), watched.seconds, cli.err.style)


def _plain(watched: Watched, news: Sequence[ServiceRow], cli: Cli) -> list[str]:
    return [progress.change(row, watched.arrived.get(full_name(row)), cli.err.style) for row in news]


def _tell(cli: Cli, watched: Watched, result: OperationResult) -> None:
    rows = result["services"]
    if cli.settings.machine or cli.settings.output == "name":
        cli.data(result, tuple, rows="services", names=lambda: map(full_name, rows))
    lines = progress.outcome(watched.verb, result, cli.err.style)
    if cli.settings.machine:
        return
    if not result["ok"] or not cli.settings.quiet:
        cli.err.lines(lines)


def _say_detached(cli: Cli, watched: Watched) -> None:
    for line in progress.detached(watched.verb, list(watched.rows.values()), cli.err.style):
        cli.note(line)


def exit_code(result: OperationResult) -> int:
    """0 only when every unit got where it was wanted."""
    if result["ok"]:
        return int(ExitCode.OK)
    return int(ExitCode.TIMEOUT if result["ended_by"] == "timeout" else ExitCode.FAILED)
