"""What a task writes while somebody waits for it: live from a thread, and what was still on its way when it ended."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from harness.cli.output import Assembler, cursor_of
from harness.cli.render.logs import LogWriter
from harness.cli.session import Cli
from harness_core.domain.errors import HarnessError

__all__ = ["TaskOutput"]

#: seconds that the live stream has to end once it is asked to
_END = 5.0
#: clocks of client and daemon may differ by this much
_SLACK = 60.0


class TaskOutput:
    """Shows output from now on: lines made harmless on a terminal, bytes as they are elsewhere.

    ``drain`` shows what the live stream has not brought; each byte is shown once.
    """

    def __init__(self, cli: Cli, params: Mapping[str, Any], *, since: float) -> None:
        self._cli = cli
        self._params = dict(params)
        self._since = since - _SLACK
        self._writer = LogWriter(cli.out.style, prefix=False)
        self._assembler = Assembler()
        self._cursors: dict[str, int] = {}
        self._stream = cli.stream("logs.follow", {**self._params, "tail": 0, "follow": True})
        self._thread = threading.Thread(target=self._listen, name="task output", daemon=True)
        self._thread.start()

    def __enter__(self) -> TaskOutput:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_live()
        self._show_rest()

    def drain(self, epoch: int) -> None:
        """Read to the end of what this life wrote; call it when the task has ended."""
        self._end_live()
        since = None if self._cursors else self._since
        ask = {**self._params, "tail": None, "follow": False, "cursors": self._cursors, "since": since}
        with self._cli.stream("logs.follow", ask) as stored:
            for header, payload in stored:
                if header.get("epoch") == epoch:
                    self._show(header, payload)

    def _listen(self) -> None:
        try:
            for header, payload in self._stream:
                self._show(header, payload)
        except (HarnessError, BrokenPipeError):
            # a lost connection is made up for by drain; of a reader that left the main thread will learn
            return

    def _end_live(self) -> None:
        if self._thread.is_alive():
            # without a connection the thread has ended or is about to
            with contextlib.suppress(HarnessError):
                self._stream.cancel()
            self._thread.join(_END)
        self._stream.close()

    def _show(self, header: Mapping[str, Any], payload: bytes) -> None:
        if place := cursor_of(header):
            self._cursors[place[0]] = place[1]
        error = header.get("stream") == "stderr"
        target = self._cli.err if error or self._cli.settings.machine else self._cli.out
        if not target.style.terminal:
            target.bytes(payload)
            return
        target.lines(
            self._writer.line(line.service, line.stream, line.at, line.text)
            for line in self._assembler.feed(header, payload)
        )

    def _show_rest(self) -> None:
        self._cli.err.lines(self._writer.line(w.service, w.stream, w.at, w.text) for w in self._assembler.rest())
