"""A command run inside a container: its streams or its terminal, its exit code, and the end of all it started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal as signals
import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any

from executors.docker.engine import Engine, EngineLost, EngineRefused
from executors.docker.transport import Exchange
from harness_core.domain.errors import ExecNotStarted
from harness_core.domain.executor import ExecRequest, Lost
from harness_core.domain.states import Exit
from harness_core.runtime.keeper.procfs import MARKER, boot_id
from harness_core.runtime.processes import ProcessIdentity, Scanner
from harness_core.runtime.stopping import Grace, Tree, stop_tree

__all__ = ["ContainerExec"]

#: on close, what a command may take to leave before it is killed
_GRACE = 0.5
#: pieces of output that may wait for the reader before the command is made to wait
_QUEUE = 16
#: how often the engine is asked whether the command has ended while its output stays open
_LOOK = 0.25
#: how often, and how many times, until it is known to have begun
_FIRST_LOOKS, _LOOKS = 0.01, 1000
#: once it has ended, what it left behind may hold its output open: it is read until nothing came for so long
_SILENCE = 0.2
#: exit codes by which the engine says that there was nothing to run, with what it writes then
_NOT_STARTED = {126, 127}
_SAYS = (b"OCI runtime exec failed", b"exec failed:")
#: ends every process that carries a variable, where that cannot be done from outside; runs in any image with a shell
_SWEEP = (
    'for d in /proc/[0-9]*; do if tr "\\000" "\\n" <"$d/environ" 2>/dev/null | grep -qxF "$2"; '
    'then kill -s "$1" "${d#/proc/}"; fi; done 2>/dev/null; true'
)


class ContainerExec:
    """Implements ``ExecSession``."""

    def __init__(
        self, engine: Engine, container: str, number: str, marker: str, exchange: Exchange, tty: bool, scanner: Scanner
    ) -> None:
        self._engine = engine
        self._container = container
        self._id = number
        self._marker = marker
        self._exchange = exchange
        self._tty = tty
        self._scanner = scanner
        self._chunks: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(_QUEUE)
        self._exit: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self._heard = asyncio.get_running_loop().time()
        self._first = b""
        self._reading = asyncio.create_task(self._read(), name=f"output of {number[:12]}")
        self._watching = asyncio.create_task(self._watch(), name=f"end of {number[:12]}")

    @classmethod
    async def start(
        cls,
        engine: Engine,
        container: str,
        request: ExecRequest,
        *,
        env: Mapping[str, str],
        user: str | None,
        working_dir: str | None,
        marker: str,
        scanner: Scanner,
    ) -> ContainerExec:
        """Start it. Raises ``ExecNotStarted`` or ``EngineLost``."""
        if not request.argv:
            raise ExecNotStarted("cannot run in the container: no command")
        own = f"{marker}/exec-{uuid.uuid4().hex[:12]}"
        terminal = {"TERM": "xterm-256color"} if request.tty else {}
        body: dict[str, Any] = {
            "AttachStdin": True,
            "AttachStdout": True,
            "AttachStderr": True,
            "Tty": request.tty,
            "Cmd": list(request.argv),
            "Env": [f"{name}={value}" for name, value in {**terminal, **env, **request.env, MARKER: own}.items()],
        }
        body |= {"User": user} if user else {}
        body |= {"WorkingDir": working_dir} if working_dir else {}
        try:
            number = await _create(engine, container, body)
            size = {"ConsoleSize": [request.rows, request.columns]} if request.tty else {}
            exchange = await engine.open(
                "POST", f"/exec/{number}/start", {"Detach": False, "Tty": request.tty, **size}, upgrade=True
            )
        except EngineRefused as refused:
            raise ExecNotStarted(f"cannot run {request.argv[0]}: {_reason(refused.message)}") from None
        session = cls(engine, container, number, own, exchange, request.tty, scanner)
        try:
            await session._begun(request)
        except BaseException:
            await session.close()
            raise
        return session

    async def _begun(self, request: ExecRequest) -> None:
        """Wait until it is known whether there was something to run: the engine tells by an early end."""
        facts = await self._inspect()
        for _ in range(_LOOKS):
            if not facts["Running"] or facts.get("Pid"):
                break
            await asyncio.sleep(_FIRST_LOOKS)
            facts = await self._inspect()
        if not facts.get("Pid") and facts["ExitCode"] in _NOT_STARTED:
            await asyncio.wait([self._reading], timeout=_LOOK)
            if any(words in self._first for words in _SAYS):
                said = self._first.decode("utf-8", "replace")
                raise ExecNotStarted(f"cannot run {request.argv[0]}: {_reason(said)}")
        if request.tty:
            with contextlib.suppress(EngineRefused):
                await self.resize(request.rows, request.columns)

    # ── streams ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def output(self) -> AsyncIterator[tuple[str, bytes]]:
        while True:
            stream, data = await self._chunks.get()
            if not stream:
                return
            yield stream, data

    async def write(self, data: bytes) -> None:
        # a command that does not read any more is no error of the one who writes
        with contextlib.suppress(OSError):
            await self._exchange.write(data)

    async def write_eof(self) -> None:
        if self._tty:
            await self.write(b"\x04")
        else:
            with contextlib.suppress(OSError):
                self._exchange.write_eof()

    async def resize(self, rows: int, columns: int) -> None:
        if self._tty:
            await self._engine.call(lambda client: client.exec_resize(self._id, height=rows, width=columns))

    async def _read(self) -> None:
        rest = b""
        with contextlib.suppress(OSError):
            while data := await self._exchange.read():
                self._heard = asyncio.get_running_loop().time()
                self._first = (self._first + data)[:4096]
                if self._tty:
                    await self._chunks.put(("stdout", data))
                    continue
                rest += data
                while len(rest) >= 8 and len(rest) >= (end := 8 + int.from_bytes(rest[4:8], "big")):
                    await self._chunks.put(("stderr" if rest[0] == 2 else "stdout", rest[8:end]))
                    rest = rest[end:]
        await self._chunks.put(("", b""))

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _inspect(self) -> dict[str, Any]:
        try:
            return dict(await self._engine.call(lambda client: client.exec_inspect(self._id)))
        except EngineRefused as refused:
            raise EngineLost(f"the command's container is gone: {refused.message}") from None

    async def _watch(self) -> None:
        """Tell the end. As long as output may come its end is waited for, but something left behind may hold it."""
        try:
            while True:
                await asyncio.wait([self._reading], timeout=_LOOK)
                facts = await self._inspect()
                if not facts["Running"] and facts["ExitCode"] is not None:
                    break
                if self._reading.done():
                    await asyncio.sleep(0.01)
        except Lost as error:
            self._exchange.close()
            self._exit.set_exception(error)
            self._exit.exception()  # perhaps nobody waits
            return
        loop = asyncio.get_running_loop()
        while not self._reading.done():
            left = self._heard + _SILENCE - loop.time()
            if left <= 0 and self._chunks.empty():
                self._exchange.close()
            await asyncio.wait([self._reading], timeout=max(left, 0.02))
        self._exit.set_result(Exit(code=int(facts["ExitCode"])))

    async def wait(self) -> Exit:
        return await asyncio.shield(self._exit)

    async def signal(self, signum: int) -> None:
        leader = await self._leader()
        if leader is not None and _may(lambda: leader.signal(signum, group=True)):
            return
        await self._sweep(signum)

    async def close(self) -> None:
        """End the command and all it started; returns once that is done."""
        try:
            leader = await self._leader()
            if leader is not None and _may(lambda: leader.signal(signals.SIGHUP, group=True)):
                grace = Grace(0 if self._exit.done() else _GRACE)
                await stop_tree(self._tree(leader), signals.SIGHUP, grace, self._scanner)
            elif leader is None and os.geteuid() == 0 and self._engine.address.local:
                gone = ProcessIdentity(2**30, 0, boot_id())
                await stop_tree(self._tree(gone), signals.SIGHUP, Grace(0), self._scanner)
            else:
                await self._sweep(signals.SIGKILL)
        except Lost:
            pass  # the engine is gone: what can be done from here was
        finally:
            self._exchange.close()
            self._reading.cancel()
            self._watching.cancel()
            await asyncio.gather(self._reading, self._watching, return_exceptions=True)

    def _tree(self, leader: ProcessIdentity) -> Tree:
        return Tree(leader, self._marker, spared=frozenset({os.getpid()}))

    async def _leader(self) -> ProcessIdentity | None:
        """The command's process as this machine sees it: proven by the mark that it carries."""
        if not self._engine.address.local:
            return None
        for stat in (await self._scanner.table()).marked(self._marker):
            if stat.session == stat.pid:
                return ProcessIdentity.proven(stat.pid, stat.start)
        return None

    async def _sweep(self, signum: int) -> None:
        """Signal from inside, for an engine whose processes this machine cannot reach."""
        argv = ["sh", "-c", _SWEEP, "sh", signals.Signals(signum).name.removeprefix("SIG"), f"{MARKER}={self._marker}"]
        with contextlib.suppress(EngineRefused):
            number = await _create(self._engine, self._container, {"Cmd": argv, "User": "0", "AttachStdout": True})
            exchange = await self._engine.open("POST", f"/exec/{number}/start", {"Detach": False}, upgrade=True)
            try:
                async with asyncio.timeout(5):
                    while await exchange.read():
                        pass
            except (TimeoutError, OSError):
                return
            finally:
                exchange.close()


async def _create(engine: Engine, container: str, body: dict[str, Any]) -> str:
    exchange = await engine.open("POST", f"/containers/{container}/exec", body)
    try:
        async with asyncio.timeout(10):
            return str(await exchange.json("Id"))
    except TimeoutError:
        raise EngineLost("the engine gave no answer within 10 s") from None
    finally:
        exchange.close()


def _may(act: Any) -> bool:
    try:
        return bool(act())
    except PermissionError:
        return False


def _reason(text: str) -> str:
    """What the engine says, without the names of its own parts in front."""
    flat = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    for words, said in (
        ("executable file not found", "there is no such program in the container"),
        ("no such file or directory", "there is no such program in the container"),
        ("permission denied", "it is not executable"),
        ("is not running", "the container is not running"),
        ("is paused", "the container is paused"),
    ):
        if words in flat:
            return said
    return flat[:300]
