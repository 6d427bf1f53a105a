"""Following through lost connections and restarts of the daemon: every item once, none left out.

What makes that possible is in the protocol: events have sequence numbers, log bytes have offsets, and a new request can
say where the last one ended.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from harness_core.domain.errors import DaemonUnreachable, Overloaded

if TYPE_CHECKING:
    from harness_core.client.api import Client

__all__ = ["PATIENCE", "follow"]

#: how long a daemon may be away, in seconds
PATIENCE = 60.0
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0


def follow(
    client: Client,
    method: str,
    params: Mapping[str, Any] | None = None,
    *,
    patience: float = PATIENCE,
    on_lost: Callable[[DaemonUnreachable | Overloaded], None] | None = None,
) -> Iterator[Any]:
    """The items of ``status.follow``, ``events.follow`` or ``logs.follow``, as ``Stream`` yields them.

    Whenever the connection is lost, ``on_lost`` is told once and the daemon is looked for again, with pauses that grow
    to two seconds, for ``patience`` seconds; then ``DaemonUnreachable`` is raised. The first connection must succeed.
    After a restart ``status.follow`` may yield a snapshot again: it replaces all that came before.
    """
    progress = _PROGRESS[method](dict(params or {}))
    opened = client.stream(method, progress.params)
    while True:
        try:
            with opened as stream:
                for item in stream:
                    if (fresh := progress.take(item)) is not None:
                        yield fresh
                return
        except (DaemonUnreachable, Overloaded) as error:
            if on_lost is not None:
                on_lost(error)
        opened = _reopen(client, method, progress.params, patience)


def _reopen(client: Client, method: str, params: Mapping[str, Any], patience: float) -> Any:
    give_up, pause = time.monotonic() + patience, _FIRST_PAUSE
    while True:
        # a different pause for everybody: all followers of a restarted daemon come at once otherwise
        time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - not a secret
        try:
            client.relocate()
            return client.stream(method, params)
        except (DaemonUnreachable, Overloaded):
            if time.monotonic() >= give_up:
                raise
        pause = min(pause * 2, _LONGEST_PAUSE)


class _Progress(Protocol):
    """How far one follower has come."""

    params: dict[str, Any]

    def __init__(self, params: dict[str, Any]) -> None: ...

    def take(self, item: Any) -> Any:
        """Note an item; returns what of it is new, or ``None``."""
        ...


class _BySequence:
    def __init__(self, params: dict[str, Any]) -> None:
        self.params = params
        self._last = int(params.get("after") or 0)

    def take(self, item: Any) -> Any:
        seq = int(item["seq"])
        if "snapshot" not in item and seq <= self._last:
            return None
        self._last = max(self._last, seq)
        self.params["after"] = self._last
        # what the first request asked for from the past has been seen
        self.params.pop("newest", None)
        return item


class _ByOffset:
    def __init__(self, params: dict[str, Any]) -> None:
        self._cursors: dict[str, int] = dict(params.get("cursors") or {})
        self.params = {**params, "cursors": self._cursors}

    def take(self, item: Any) -> Any:
        header, payload = item
        if "offset" not in header:
            return item
        key, offset = f"{header['service']}:{header['stream']}", int(header["offset"])
        after, seen = int(header.get("next", offset + len(payload))), self._cursors.get(key, 0)
        if offset < seen and after <= seen:
            return None
        self._cursors[key] = max(seen, after)
        return item


_PROGRESS: dict[str, type[_Progress]] = {
    "status.follow": _BySequence,
    "events.follow": _BySequence,
    "logs.follow": _ByOffset,
}
