"""A command run on this machine beside an instance: its streams or its terminal, and its certain end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import signal as signals
import struct
import termios
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness_core.domain.errors import ExecNotStarted
from harness_core.domain.states import Exit
from harness_core.runtime.keeper.procfs import MARKER, boot_id
from harness_core.runtime.processes import ProcessIdentity, Scanner, refusal
from harness_core.runtime.stopping import Grace, Tree, stop_tree

__all__ = ["LocalExec"]

_CHUNK = 1 << 16
#: pieces of output that may wait for the reader before the command is made to wait
_QUEUE = 16
#: on close, what a command may take to leave before it is killed
_GRACE = 0.5
#: once the command has ended, something that it left behind may hold its output open for ever: what was written before
#: the end is read until nothing has come for this long, and is never more than this many bytes of a stream
_SILENCE = 0.2
_AFTERWARDS = 1 << 20
# a session's leader that opens a terminal makes it its own; the shell does that and becomes the command
_TAKE_TERMINAL = 'tty=$1; shift; exec "$@" <"$tty" >"$tty" 2>&1'


class _Child(asyncio.subprocess.SubprocessStreamProtocol):
    """Tells the end of the process itself; ``Process.wait`` tells the end of everybody who holds its output."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(limit=_CHUNK, loop=loop)
        self.ended: asyncio.Future[None] = loop.create_future()
        self.pipes: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.pipes = transport

    def process_exited(self) -> None:
        super().process_exited()
        if not self.ended.done():
            self.ended.set_result(None)


class _Terminal(asyncio.StreamReaderProtocol):
    """Takes the error by which a terminal tells that nobody is on it any more for what it is: the end.

    A reader that is given the error drops what it has not handed out yet.
    """

    def connection_lost(self, exc: Exception | None) -> None:
        gone = isinstance(exc, OSError) and exc.errno == errno.EIO
        super().connection_lost(None if gone else exc)


async def _spawn(*argv: str, **how: Any) -> tuple[asyncio.subprocess.Process, _Child]:
    loop = asyncio.get_running_loop()
    transport, child = await loop.subprocess_exec(_Child, *argv, **how)
    return asyncio.subprocess.Process(transport, child, loop), child


class LocalExec:
    """Implements ``ExecSession`` with a child of the daemon, in a session of its own, which ``close`` ends whole."""

    def __init__(self, process: asyncio.subprocess.Process, child: _Child, marker: str, scanner: Scanner) -> None:
        self._process = process
        self._child = child
        self._scanner = scanner
        self._readers: dict[str, asyncio.StreamReader] = {}
        self._writer: asyncio.StreamWriter | asyncio.WriteTransport | None = None
        self._master = -1
        self._master_reader: asyncio.BaseTransport | None = None
        self._pumps: list[asyncio.Task[None]] = []
        self._chunks: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(_QUEUE)
        # one that has ended already is known by what it left: its session, and its marker
        leader = ProcessIdentity.of(process.pid) or ProcessIdentity(process.pid, 0, boot_id())
        self._tree = Tree(leader, marker, spared=frozenset({os.getpid()}))

    @classmethod
    async def start(
        cls,
        argv: Sequence[str],
        *,
        program: Path,
        cwd: Path,
        env: Mapping[str, str],
        marker: str,
        tty: tuple[int, int] | None,
        scanner: Scanner,
    ) -> LocalExec:
        """Start it; ``tty`` is rows and columns of a terminal for it. Raises ``ExecNotStarted``."""
        # told apart from the instance it runs beside, and belonging to it when that is stopped
        own = f"{marker}/exec-{uuid.uuid4().hex[:12]}"
        whole = {**env, MARKER: own}
        try:
            if tty is None:
                return await cls._start_piped(argv, program, cwd, whole, own, scanner)
            return await cls._start_terminal(argv, program, cwd, whole, own, scanner, tty)
        except OSError as error:
            raise ExecNotStarted(f"cannot run {argv[0]}: {refusal(error.errno or 0)}") from None

    @classmethod
    async def _start_piped(
        cls, argv: Sequence[str], program: Path, cwd: Path, env: Mapping[str, str], marker: str, scanner: Scanner
    ) -> LocalExec:
        pipe = asyncio.subprocess.PIPE
        process, child = await _spawn(
            *argv, executable=program, stdin=pipe, stdout=pipe, stderr=pipe, cwd=cwd, env=env, start_new_session=True
        )
        session = cls(process, child, marker, scanner)
        session._writer = process.stdin
        readers = {"stdout": process.stdout, "stderr": process.stderr}
        session._read_from({name: reader for name, reader in readers.items() if reader is not None})
        return session

    @classmethod
    async def _start_terminal(
        cls,
        argv: Sequence[str],
        program: Path,
        cwd: Path,
        env: Mapping[str, str],
        marker: str,
        scanner: Scanner,
        size: tuple[int, int],
    ) -> LocalExec:
        master, slave = os.openpty()
        try:
            _resize(master, *size)
            process, child = await _spawn(
                "/bin/sh",
                "-c",
                _TAKE_TERMINAL,
                "harness-exec",
                os.ttyname(slave),
                str(program),
                *argv[1:],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=slave,
                stderr=slave,
                cwd=cwd,
                env={"TERM": "xterm-256color", **env},
                start_new_session=True,
            )
        except BaseException:
            os.close(master)
            raise
        finally:
            os.close(slave)
        session = cls(process, child, marker, scanner)
        await session._attach(master)
        return session

    async def output(self) -> AsyncIterator[tuple[str, bytes]]:
        left = len(self._readers)
        while left:
            stream, data = await self._chunks.get()
            if data:
                yield stream, data
            else:
                left -= 1

    async def write(self, data: bytes) -> None:
        if self._writer is None:
            return
        self._writer.write(data)
        if isinstance(self._writer, asyncio.StreamWriter):
            # a command that does not read any more is no error of the one who writes
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                await self._writer.drain()

    async def write_eof(self) -> None:
        if self._master >= 0:
            await self.write(b"\x04")
        elif self._writer is not None:
            self._writer.close()

    async def resize(self, rows: int, columns: int) -> None:
        if self._master >= 0:
            _resize(self._master, rows, columns)

    async def signal(self, signum: int) -> None:
        self._tree.leader.signal(signum, group=True)

    async def wait(self) -> Exit:
        await asyncio.shield(self._child.ended)
        code = self._process.returncode
        assert code is not None  # set before the end is told
        return Exit(signal=-code) if code < 0 else Exit(code=code)

    async def close(self) -> None:
        """End the command and all it started; returns once that is done."""
        grace = Grace(_GRACE if self._process.returncode is None else 0)
        await stop_tree(self._tree, signals.SIGHUP, grace, self._scanner)
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        if self._writer is not None:
            self._writer.close()
        if self._master_reader is not None:
            self._master_reader.close()
        await asyncio.shield(self._child.ended)
        # its pipes may be held by somebody who got away from the tree: they are not waited for
        if self._child.pipes is not None:
            self._child.pipes.close()

    def _read_from(self, readers: dict[str, asyncio.StreamReader]) -> None:
        self._readers = readers
        self._pumps = [asyncio.create_task(self._pump(name, reader)) for name, reader in readers.items()]

    async def _pump(self, name: str, reader: asyncio.StreamReader) -> None:
        data, left = b".", _AFTERWARDS
        while data:
            data = await self._read(reader)
            if self._child.ended.done():
                data = data[:left]
                left -= len(data)
            await self._chunks.put((name, data))

    async def _read(self, reader: asyncio.StreamReader) -> bytes:
        """The next piece, b"" at the end of the stream, or when the command has ended and nothing more comes."""
        reading = asyncio.ensure_future(reader.read(_CHUNK))
        try:
            await asyncio.wait((reading, self._child.ended), return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                await asyncio.wait((reading,), timeout=_SILENCE)
            return reading.result() if reading.done() else b""
        finally:
            reading.cancel()

    async def _attach(self, master: int) -> None:
        loop = asyncio.get_running_loop()
        self._master = master
        reader = asyncio.StreamReader()
        self._master_reader, _ = await loop.connect_read_pipe(
            lambda: _Terminal(reader), os.fdopen(master, "rb", buffering=0)
        )
        copy = os.fdopen(os.dup(master), "wb", buffering=0)
        self._writer, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, copy)
        self._read_from({"stdout": reader})


def _resize(fd: int, rows: int, columns: int) -> None:
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
