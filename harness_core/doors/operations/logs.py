"""``logs``, ``logs.follow``, ``logs.clear``: what units wrote, as text at once or as bytes to listen to."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from typing import Any

from harness_core.domain.errors import UsageError
from harness_core.domain.protocol import Done, LogLine, Logs, LogsResult, Select
from harness_core.doors.table import Caller, Stream, Table
from harness_core.runtime.logs.follow import Follower
from harness_core.runtime.logs.matcher import PatternError, compile_pattern
from harness_core.runtime.logs.reader import Query, StoredLine, read_lines
from harness_core.runtime.logs.store import LogStore

__all__ = ["bind"]

#: the keys of the units that a request means; raises ``NotFound`` or ``UsageError``
Selector = Callable[[Any], list[str]]


def bind(table: Table, logs: LogStore, select: Selector, life: Callable[[str], int | None] = lambda key: None) -> None:
    """Give the operations about output their handlers.

    ``life`` tells a unit's present epoch; without it, the present life is the newest one that has written anything.
    """

    def keys(request: Select) -> dict[str, int | None]:
        return {key: life(key) for key in select(request)}

    async def stored(request: Logs, caller: Caller) -> LogsResult:
        found = await read_lines(logs, keys(request), _query(request))
        return {"lines": [_line(line) for line in found.lines], "gaps": found.gaps}

    async def follow(request: Logs, caller: Caller, stream: Stream) -> LogsResult:
        if request.follow and (request.previous or request.until is not None):
            what = "an earlier life" if request.previous else "output up to a time"
            raise UsageError(f"cannot follow {what}: it is complete", hint="leave out either of the two options")
        follower = Follower(logs, keys(request), _query(request), cursors=request.cursors, live=request.follow)
        async with aclosing(follower.frames()) as frames:
            async for header, payload in frames:
                await stream.send_bytes(header, payload)
        return {"lines": [], "gaps": follower.gaps}

    async def clear(request: Select, caller: Caller) -> Done:
        chosen = select(request)
        dropped = 0
        for key in chosen:
            dropped += await logs.in_thread(logs.clear, key)
        units = chosen[0] if len(chosen) == 1 else f"{len(chosen)} units"
        return {"ok": True, "message": f"dropped {_size(dropped)} of output of {units}"}

    table.bind("logs", stored)
    table.bind("logs.follow", follow)
    table.bind("logs.clear", clear)


def _query(request: Logs) -> Query:
    if request.tail is not None and request.tail < 0:
        raise UsageError(f"cannot show {request.tail} lines: the number is negative")
    if request.grep:
        try:
            compile_pattern(request.grep)
        except PatternError as error:
            raise UsageError(f"cannot search: {error}") from None
    return Query(
        tail=request.tail,
        since=request.since,
        until=request.until,
        grep=request.grep or None,
        stream=request.stream,
        previous=request.previous,
    )


def _line(stored: StoredLine) -> LogLine:
    line = stored.line
    return {
        "service": stored.key,
        "stream": stored.stream,
        "at": line.at,
        "epoch": line.epoch,
        "text": line.data.decode("utf-8", "backslashreplace"),
    }


def _size(count: int) -> str:
    if count < 1000:
        return f"{count} bytes"
    return f"{count / 1000:.1f} kB" if count < 1_000_000 else f"{count / 1_000_000:.1f} MB"
