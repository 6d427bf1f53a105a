"""A command beside an instance on another machine: a channel of its own, and an end of all that it started."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal as signals
from collections.abc import AsyncIterator
from typing import Any

import asyncssh

from executors.remote.command import exec_script
from executors.remote.link import Link
from executors.remote.lost import LinkLost
from executors.remote.options import RemoteOptions
from harness_core.domain.errors import ExecNotStarted
from harness_core.domain.executor import ExecRequest, Lost, StartSpec
from harness_core.domain.layers import portable
from harness_core.domain.states import Exit

__all__ = ["RemoteExec"]

_DEADLINE = 15.0
_CHUNK = 1 << 16
#: a program's arguments are at most so long in all, as one word of a shell's line
_MOST = 120_000
#: once the command has ended, something that it left may hold its output: it is read until nothing comes for so long
_SILENCE = 0.2
#: between two looks at whether it has ended
_LOOK = 0.02


class RemoteExec:
    """Implements ``ExecSession``. The command carries a mark, by which it is found and ended."""

    def __init__(self, link: Link, process: Any, mark: str, pid: int, rest: bytes, key: str) -> None:
        self._link = link
        self._process = process
        self._mark = mark
        self._pid = pid
        self._rest = rest
        self._key = key
        self._closed = False
        #: the channel is closed whole: nothing more is told of the command
        self._gone = asyncio.ensure_future(process.wait_closed())

    @classmethod
    async def start(cls, link: Link, spec: StartSpec, options: RemoteOptions, request: ExecRequest) -> RemoteExec:
        """Raises ``ExecNotStarted``."""
        key, mark = spec.marker.key, secrets.token_hex(16)
        try:
            command = portable(exec_script(spec, options, request, mark))
        except ValueError as error:
            raise ExecNotStarted(f"cannot run in {key}: {error}") from None
        if len(command) > _MOST:
            raise ExecNotStarted(f"cannot run in {key}: command and environment are longer than {_MOST} bytes")
        terminal: dict[str, Any] = {}
        if request.tty:
            terminal = {"term_type": "xterm-256color", "term_size": (request.columns, request.rows)}
        try:
            async with asyncio.timeout(_DEADLINE):
                connection = await link.connection()
                process = await connection.create_process(command, encoding=None, **terminal)
        except LinkLost as lost:
            raise ExecNotStarted(f"cannot run in {key}: {lost.reason}", hint=lost.hint) from None
        except TimeoutError:
            raise ExecNotStarted(f"cannot run in {key}: {link.name} does not answer") from None
        except asyncssh.ChannelOpenError as error:
            hint = "its sshd allows only so many sessions of one connection: MaxSessions"
            raise ExecNotStarted(f"cannot run in {key}: {link.name} opens no session: {error}", hint=hint) from None
        except (asyncssh.Error, OSError) as error:
            raise ExecNotStarted(f"cannot run in {key}: {error}") from None
        try:
            pid, rest = await _greeted(process, mark)
        except BaseException:
            process.close()
            raise
        if pid is None:
            process.close()
            raise ExecNotStarted(f"cannot run {request.argv[0]} in {key}: {link.name} has no such program")
        return cls(link, process, mark, pid, rest, key)

    async def output(self) -> AsyncIterator[tuple[str, bytes]]:
        """Until both streams end, or the command has ended and what it left says nothing for a moment."""
        pieces: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(16)
        readers = [
            asyncio.create_task(_read(name, reader, pieces))
            for name, reader in (("stdout", self._process.stdout), ("stderr", self._process.stderr))
        ]
        if self._rest:
            yield "stdout", self._rest
            self._rest = b""
        ended = asyncio.ensure_future(self._ended())
        try:
            while not (all(reader.done() for reader in readers) and pieces.empty()):
                get = asyncio.ensure_future(pieces.get())
                quiet = _SILENCE if ended.done() else None
                others = [task for task in (ended, *readers) if not task.done()]
                news, _ = await asyncio.wait([get, *others], timeout=quiet, return_when=asyncio.FIRST_COMPLETED)
                if get in news:
                    yield get.result()
                    continue
                get.cancel()
                if not news:
                    break
        finally:
            for task in (*readers, ended):
                task.cancel()
            await asyncio.gather(*readers, ended, return_exceptions=True)

    async def write(self, data: bytes) -> None:
        with contextlib.suppress(asyncssh.Error, OSError):  # it has ended: as a pipe without a reader
            self._process.stdin.write(data)
            await self._process.stdin.drain()

    async def write_eof(self) -> None:
        with contextlib.suppress(asyncssh.Error, OSError):
            self._process.stdin.write_eof()

    async def resize(self, rows: int, columns: int) -> None:
        self._process.change_terminal_size(columns, rows)

    async def signal(self, signum: int) -> None:
        """By the command's number there: a server may ignore signals that come over the channel."""
        try:
            await (await self._link.shell()).ask(f"kill -s {signals.Signals(signum).name[3:]} {self._pid}")
        except LinkLost as lost:
            raise Lost(lost.reason) from None

    async def wait(self) -> Exit:
        """A connection that broke is no end that anybody saw: neither code nor signal."""
        await self._ended()
        code, by = self._process.exit_status, self._process.exit_signal
        await self.close()
        if by is not None:
            number = getattr(signals, f"SIG{by[0]}", None)
            return Exit(signal=int(number)) if number is not None else Exit()
        return Exit(code=code) if code is not None and code >= 0 else Exit(note="the connection broke")

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(LinkLost):  # no way to it: its input and output are closed with the connection
            await (await self._link.shell()).ask(f"h_end {self._mark}")
        self._process.close()
        await asyncio.wait([self._gone], timeout=_DEADLINE)
        self._gone.cancel()

    async def _ended(self) -> None:
        """The command itself has ended; others may still hold its output."""
        while self._process.exit_status is None and self._process.exit_signal is None and not self._gone.done():  # noqa: ASYNC110 - see below
            await asyncio.sleep(_LOOK)  # asyncssh tells of the status by no event before the channel is closed


async def _read(name: str, reader: Any, pieces: asyncio.Queue[tuple[str, bytes]]) -> None:
    with contextlib.suppress(asyncssh.Error, OSError):  # the connection broke: there is no more
        while data := await reader.read(_CHUNK):
            await pieces.put((name, data))


async def _greeted(process: Any, mark: str) -> tuple[int | None, bytes]:
    """The command's number there, ``None`` where there is no such program, and what it has printed already."""
    data, word = b"", f"{mark} ".encode()
    try:
        async with asyncio.timeout(_DEADLINE):
            while True:
                at = data.find(word)
                if at >= 0 and (end := data.find(b"\n", at)) >= 0:
                    said = data[at + len(word) : end].split()
                    return (int(said[1]) if said[0] == b"ready" else None), data[end + 1 :]
                piece = await process.stdout.read(_CHUNK)
                if not piece or len(data) > 1 << 20:
                    raise ExecNotStarted("the other machine could not run it")
                data += piece
    except (TimeoutError, asyncssh.Error, OSError, ValueError) as error:
        raise ExecNotStarted(f"the other machine could not run it: {str(error) or 'no answer'}") from None
