"""Regular expressions of users, searched without the daemon standing still.

Python's matcher backtracks, keeps the interpreter's lock while it does, and cannot be interrupted: a pattern such as
``(a+)+$`` stops every thread of a process, for hours if need be. So patterns that repeat anything are searched by one
small helper process, which is ended when an answer takes too long; the others, whose cost is bounded, are searched
here. The helper starts at the first need, serves all callers in turn, and leaves after half a minute of idleness.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import struct
import sys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

__all__ = ["Matcher", "PatternError", "compile_pattern"]

MAX_PATTERN = 4096
#: for one batch of lines; a healthy pattern needs a thousandth of it
DEADLINE = 1.0
IDLE = 30.0
_U32 = struct.Struct("<I")
_HELPER = Path(__file__).with_name("matcher_helper.py")
_REPEATS = frozenset("*+?{")


class PatternError(Exception):
    """The pattern is none, or takes too long; the message says so in a sentence that may follow "but"."""


@lru_cache(maxsize=256)
def compile_pattern(pattern: str) -> re.Pattern[bytes]:
    """The pattern as it is searched in raw bytes. Raises ``PatternError``."""
    if len(pattern) > MAX_PATTERN:
        raise PatternError(f"the pattern is longer than {MAX_PATTERN} characters")
    try:
        return re.compile(pattern.encode())
    except (re.error, UnicodeEncodeError, OverflowError, RecursionError) as error:
        raise PatternError(f"the pattern {pattern[:80]!r} cannot be read: {error}") from None


class Matcher:
    """Says which lines contain a pattern. Belongs to one event loop."""

    def __init__(self, *, deadline: float = DEADLINE, idle: float = IDLE) -> None:
        self._deadline = deadline
        self._idle = idle
        self._turn = asyncio.Lock()
        self._helper: asyncio.subprocess.Process | None = None
        self._leave: asyncio.TimerHandle | None = None
        self._ending: asyncio.Task[None] | None = None

    async def search(self, pattern: str, lines: Sequence[bytes | memoryview]) -> list[int]:
        """The places in ``lines``, ascending, of those that contain ``pattern``. Give 256 KiB at most at a time.

        Raises ``PatternError`` for a pattern that cannot be read, and for one that takes longer than the deadline.
        """
        compiled = compile_pattern(pattern)
        if _REPEATS.isdisjoint(pattern):
            return [place for place, line in enumerate(lines) if compiled.search(line)]
        async with self._turn:
            try:
                async with asyncio.timeout(self._deadline):
                    return await self._ask(pattern, lines)
            except TimeoutError:
                await self._end()
                raise PatternError(
                    f"the pattern {pattern[:80]!r} takes too long; a repetition within a repetition, "
                    "such as (a+)+, is the usual cause"
                ) from None
            except (OSError, asyncio.IncompleteReadError) as error:
                await self._end()
                raise PatternError(f"the pattern could not be searched: {error}") from None
            except asyncio.CancelledError:
                # its answer would be taken for that to the next question
                await self._end()
                raise
            finally:
                self._rest()

    async def close(self) -> None:
        """End the helper. A search that is under way is waited for, within its deadline."""
        async with self._turn:
            if self._leave is not None:
                self._leave.cancel()
                self._leave = None
            await self._end()
        if self._ending is not None:
            await self._ending

    async def _ask(self, pattern: str, lines: Sequence[bytes | memoryview]) -> list[int]:
        helper = self._helper
        if helper is None or helper.returncode is not None:
            helper = self._helper = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-I", "-S", str(_HELPER), str(math.ceil(self._deadline) + 1)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        assert helper.stdin is not None
        assert helper.stdout is not None
        encoded = pattern.encode()
        sizes = struct.pack(f"<{len(lines)}I", *map(len, lines))
        body = b"".join((_U32.pack(len(encoded)), encoded, _U32.pack(len(lines)), sizes, *lines))
        helper.stdin.write(_U32.pack(len(body)) + body)
        await helper.stdin.drain()
        (count,) = _U32.unpack(await helper.stdout.readexactly(_U32.size))
        return list(struct.unpack(f"<{count}I", await helper.stdout.readexactly(_U32.size * count)))

    def _rest(self) -> None:
        """Let the helper leave when nobody has asked for a while."""
        if self._leave is not None:
            self._leave.cancel()
        self._leave = asyncio.get_running_loop().call_later(self._idle, self._dismiss)

    def _dismiss(self) -> None:
        self._leave = None
        if not self._turn.locked():
            self._ending = asyncio.ensure_future(self._end())

    async def _end(self) -> None:
        helper, self._helper = self._helper, None
        if helper is None:
            return
        with contextlib.suppress(ProcessLookupError):
            helper.kill()
        assert helper.stdin is not None
        helper.stdin.close()
        await helper.wait()
