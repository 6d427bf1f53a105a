"""One life on another machine as it is known here: its output in our log, and a future of its end."""

from __future__ import annotations

import asyncio
import functools

from executors.remote.command import run_of
from executors.remote.handle import RemoteHandle
from executors.remote.records import Record
from harness_core.domain.executor import LogSink, Lost, Marker
from harness_core.domain.states import Exit
from harness_core.runtime.keeper.segments import STREAMS
from harness_core.runtime.logs.writer import SegmentWriter

__all__ = ["Life", "ends_of", "exit_of"]


class Life:
    """``copied`` of a stream follows from what is stored, so no moment of death loses or repeats a byte."""

    def __init__(self, marker: Marker, handle: RemoteHandle, record: Record, logs: LogSink) -> None:
        self.marker = marker
        self.handle = handle
        self.record = record
        self.run = run_of(marker)
        self.exit: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        #: why nothing is known of it at the moment
        self.trouble = ""
        self._waiters: set[asyncio.Future[Exit]] = set()
        self._begun = dict(record.begun)
        directory = logs.directory(marker.key)
        grew = functools.partial(logs.grew, marker.key)
        self._writers = {stream: SegmentWriter(directory, stream, **record.kept, grew=grew) for stream in STREAMS}
        for writer in self._writers.values():
            writer.begin(marker.epoch)

    async def wait(self) -> Exit:
        """Its exit. Raises ``Lost`` as soon as that cannot be known."""
        if self.exit.done():
            return self.exit.result()
        if self.trouble:
            raise Lost(self.trouble)
        waiter: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            return await waiter
        finally:
            self._waiters.discard(waiter)

    def lose(self, why: str) -> None:
        """Whoever waits is told that the end cannot be known now; it may have come or not."""
        self.trouble = why
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(Lost(why))

    def end(self, exit: Exit) -> None:
        """It has ended, and its last output is stored."""
        if not self.exit.done():
            self.exit.set_result(exit)
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(self.exit.result())

    def copied(self, stream: str) -> int:
        """How many bytes of this life's stream are stored."""
        return self._writers[stream].end - self._begun[stream]

    def store(self, stream: str, data: bytes) -> bool:
        """Append what follows; whether the disk took all of it. Blocks for the disk."""
        return self._writers[stream].append(data) == len(data)

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()


def ends_of(marker: Marker, logs: LogSink) -> dict[str, int]:
    """Where the service's streams end now. Blocks for the disk."""
    ends = {}
    for stream in STREAMS:
        with SegmentWriter(logs.directory(marker.key), stream) as writer:
            ends[stream] = writer.end
    return ends


def exit_of(words: list[str]) -> Exit | None:
    """An exit from the words by which the far side tells a state; ``None`` for one that is no end."""
    match words:
        case ["exit", code, said, *at] if code.isdecimal():
            number = int(code)
            when = float(at[0]) if at and at[0].isdecimal() else None
            # the shell there tells of a signal beside the code; by itself the code is the program's own
            by_signal = said == "1" and number > 128
            return Exit(signal=number - 128, at=when) if by_signal else Exit(code=number, at=when)
        case ["rebooted"]:
            return Exit(note="its machine was started anew")
        case ["lost"]:
            return Exit(note="nobody there saw its end")
        case ["absent" | "failed", *_]:
            return Exit(note="its run directory is gone")
        case _:
            return None
