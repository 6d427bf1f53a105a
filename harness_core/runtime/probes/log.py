"""Whether the service has said something: a line of this life's output that matches a pattern."""

from __future__ import annotations

from harness_core.domain.spec import LogCheck
from harness_core.runtime.keeper.segments import STREAMS
from harness_core.runtime.logs.cursor import MAX_CHUNK, Chunk, Cursor, Gap
from harness_core.runtime.logs.lines import Line, split_lines
from harness_core.runtime.logs.matcher import PatternError
from harness_core.runtime.logs.ranges import span_of
from harness_core.runtime.logs.store import LogStore
from harness_core.runtime.probes.base import Outcome, clip

__all__ = ["LogProbe"]


class LogProbe:
    """Reads on from where the last look ended, and has its answer for good once a line has matched."""

    reads_output = True

    def __init__(self, check: LogCheck, key: str, epoch: int, logs: LogStore) -> None:
        self._pattern = check.pattern
        self._epoch = epoch
        self._logs = logs
        self._folder = str(logs.path(key))
        streams = STREAMS if check.stream == "any" else (check.stream,)
        #: what was searched so far; ``None`` until the life has begun to write
        self._offsets: dict[str, int | None] = dict.fromkeys(streams)
        self._answer: Outcome | None = None
        self.subject = f"a line matching {clip(check.pattern, 80)!r}"

    async def look(self) -> Outcome:
        for stream in self._offsets:
            while self._answer is None and (chunk := await self._logs.in_thread(self._next, stream)):
                await self._search(chunk)
                # only now: a look that is cut short at its deadline must not skip what it did not search
                self._offsets[stream] = chunk.next
        return self._answer or Outcome(False, f"{self.subject} has not been written yet")

    async def _search(self, chunk: Chunk) -> None:
        lines = [line.data for line in split_lines([chunk]) if isinstance(line, Line)]
        try:
            places = await self._logs.matcher.search(self._pattern, lines)
        except PatternError as error:
            self._answer = Outcome(False, f"{self.subject} cannot be looked for: {error}")
            return
        if places:
            said = clip(lines[places[0]].decode("utf-8", "backslashreplace"), 160)
            self._answer = Outcome(True, f"{self.subject} was written: {said}")

    def _next(self, stream: str) -> Chunk | None:
        """The next whole lines of this life. An unfinished last line waits for its end, unless it is very long."""
        offset = self._offsets[stream]
        if offset is None:
            span = span_of(self._folder, stream, epoch=self._epoch)
            if span.start == span.end:
                return None
            offset = span.start
        cursor = Cursor(self._folder, stream, offset)
        while isinstance(found := cursor.peek(), Gap):
            cursor.advance(found)
        if found is None or found.epoch > self._epoch:
            return None
        whole = found.data.rfind(b"\n") + 1
        if whole:
            return found.cut(whole)
        return found if len(found.data) == MAX_CHUNK else None
