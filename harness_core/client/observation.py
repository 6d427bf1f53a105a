"""Operations that look at units: status, logs, events, and why things are as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness_core.client.caller import Caller

if TYPE_CHECKING:
    from harness_core.client.stream import Stream
    from harness_core.domain.protocol import (
        DescribeResult,
        Done,
        EventRow,
        EventsResult,
        ExplainResult,
        FollowItem,
        GraphResult,
        LogsResult,
        StatusResult,
        TasksResult,
        TopResult,
    )

__all__ = ["Observation"]


class Observation(Caller):
    """Operations that look at units: status, logs, events, and why things are as they are; mixed into ``Client``."""

    def task_list(self, *, names: Sequence[str] = (), stack: str | None = None, cwd: str = "") -> TasksResult:
        """Tasks and whether they are done."""
        answer: TasksResult = self.call("task.list", {"names": list(names), "stack": stack, "cwd": cwd})
        return answer

    def status(self, *, names: Sequence[str] = (), stack: str | None = None, cwd: str = "") -> StatusResult:
        """All units as they are."""
        answer: StatusResult = self.call("status", {"names": list(names), "stack": stack, "cwd": cwd})
        return answer

    def status_follow(
        self, *, names: Sequence[str] = (), stack: str | None = None, cwd: str = "", after: int | None = None
    ) -> Stream[FollowItem, Done]:
        """A snapshot, then every change."""
        return self.stream("status.follow", {"names": list(names), "stack": stack, "cwd": cwd, "after": after})

    def describe(self, *, name: str, stack: str | None = None, cwd: str = "") -> DescribeResult:
        """Everything about one unit."""
        answer: DescribeResult = self.call("describe", {"name": name, "stack": stack, "cwd": cwd})
        return answer

    def explain(self, *, name: str, stack: str | None = None, cwd: str = "") -> ExplainResult:
        """Why a unit is as it is."""
        answer: ExplainResult = self.call("explain", {"name": name, "stack": stack, "cwd": cwd})
        return answer

    def graph(self, *, names: Sequence[str] = (), stack: str | None = None, cwd: str = "") -> GraphResult:
        """The dependency graph."""
        answer: GraphResult = self.call("graph", {"names": list(names), "stack": stack, "cwd": cwd})
        return answer

    def top(
        self, *, names: Sequence[str] = (), stack: str | None = None, cwd: str = "", interval: float = 2.0
    ) -> Stream[TopResult, Done]:
        """Processor time and memory, live."""
        return self.stream("top", {"names": list(names), "stack": stack, "cwd": cwd, "interval": interval})

    def events(
        self,
        *,
        names: Sequence[str] = (),
        stack: str | None = None,
        cwd: str = "",
        after: int = 0,
        types: Sequence[str] = (),
        since: float | None = None,
        limit: int = 1000,
        newest: bool = False,
        follow: bool = False,
    ) -> EventsResult:
        """The journal."""
        answer: EventsResult = self.call(
            "events",
            {
                "names": list(names),
                "stack": stack,
                "cwd": cwd,
                "after": after,
                "types": list(types),
                "since": since,
                "limit": limit,
                "newest": newest,
                "follow": follow,
            },
        )
        return answer

    def events_follow(
        self,
        *,
        names: Sequence[str] = (),
        stack: str | None = None,
        cwd: str = "",
        after: int = 0,
        types: Sequence[str] = (),
        since: float | None = None,
        limit: int = 1000,
        newest: bool = False,
        follow: bool = False,
    ) -> Stream[EventRow, EventsResult]:
        """The journal, then live."""
        return self.stream(
            "events.follow",
            {
                "names": list(names),
                "stack": stack,
                "cwd": cwd,
                "after": after,
                "types": list(types),
                "since": since,
                "limit": limit,
                "newest": newest,
                "follow": follow,
            },
        )

    def logs(
        self,
        *,
        names: Sequence[str] = (),
        stack: str | None = None,
        cwd: str = "",
        tail: int | None = 100,
        since: float | None = None,
        until: float | None = None,
        grep: str | None = None,
        stream: str = "",
        previous: bool = False,
        follow: bool = False,
        cursors: Mapping[str, int] | None = None,
    ) -> LogsResult:
        """Stored lines, at most 10,000."""
        answer: LogsResult = self.call(
            "logs",
            {
                "names": list(names),
                "stack": stack,
                "cwd": cwd,
                "tail": tail,
                "since": since,
                "until": until,
                "grep": grep,
                "stream": stream,
                "previous": previous,
                "follow": follow,
                "cursors": dict(cursors or {}),
            },
        )
        return answer

    def logs_follow(
        self,
        *,
        names: Sequence[str] = (),
        stack: str | None = None,
        cwd: str = "",
        tail: int | None = 100,
        since: float | None = None,
        until: float | None = None,
        grep: str | None = None,
        stream: str = "",
        previous: bool = False,
        follow: bool = False,
        cursors: Mapping[str, int] | None = None,
    ) -> Stream[tuple[dict[str, Any], bytes], LogsResult]:
        """Output as raw bytes, stored then live."""
        return self.stream(
            "logs.follow",
            {
                "names": list(names),
                "stack": stack,
                "cwd": cwd,
                "tail": tail,
                "since": since,
                "until": until,
                "grep": grep,
                "stream": stream,
                "previous": previous,
                "follow": follow,
                "cursors": dict(cursors or {}),
            },
        )
