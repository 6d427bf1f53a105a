"""A keeper that is always there: started when absent, replaced when dead, frozen, or of another protocol.

Replacing costs the services nothing, so it is done without asking: the new keeper takes everything back. A keeper is
killed only when it is proven to be the holder of this directory's lock and has not answered for 3 s.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from harness_core.runtime.keeper.client import KeeperClient, KeeperLost, KeeperRefused
from harness_core.runtime.keeper.failpoints import VARIABLES, failpoint
from harness_core.runtime.keeper.wire import PROTOCOL
from harness_core.runtime.processes import ProcessIdentity, wait_pidfd

__all__ = ["KeeperLink"]

_MAIN = Path(__file__).with_name("__main__.py")
#: no answer for so long means frozen
_ANSWER = 3.0
#: how often a keeper is asked that nobody has anything to say to; the only thing that ticks while nothing happens
_HEARTBEAT = 4.0
_START = 10.0
#: a log of keepers that has become so long is begun anew by the next one
_LOG_SIZE = 256 << 10
#: between two attempts to get a keeper, doubled up to the second figure
_AGAIN = (0.05, 5.0)


class KeeperLink:
    """Keeps a connection to the keeper of a directory, and the keeper itself, alive.

    ``on_event`` gets the keeper's events. ``on_restored`` is awaited after each connection, the first one included,
    before requests pass: what the keeper then knows is the truth that the user of the link starts from.
    ``on_broken`` is called with the reason when no keeper could be had for 10 s.
    """

    def __init__(
        self,
        directory: Path,
        *,
        on_event: Callable[[dict[str, Any]], None],
        on_restored: Callable[[KeeperClient], Awaitable[None]],
        on_broken: Callable[[str], None] = lambda _trouble: None,
    ) -> None:
        self._directory = directory
        self._on_event = on_event
        self._on_restored = on_restored
        self._on_broken = on_broken
        self._client: KeeperClient | None = None
        self._ready = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._reapers: set[asyncio.Task[None]] = set()
        #: whether no keeper could be had for 10 s
        self.broken = False
        #: why there is no keeper at the moment
        self.trouble = "the keeper has not been started yet"
        self._closing = False
        #: the keeper's identity while connected
        self.keeper: ProcessIdentity | None = None

    async def open(self) -> None:
        """Start looking after the keeper; returns once there is one, or raises ``KeeperLost`` after 10 s."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._task = asyncio.create_task(self._maintain())
        try:
            await self._connected(_START)
        except KeeperLost:
            await self.close()
            raise

    async def close(self) -> None:
        """Stop looking after it. Services stay, and with them the keeper; one that has none leaves at once."""
        self._closing = True
        if self._client is not None:
            with contextlib.suppress(KeeperLost, KeeperRefused):
                await self._client.request("leave", timeout=_ANSWER, idle=True)
        tasks = [task for task in (self._task, *self._reapers) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._task = None

    async def request(self, op: str, *, timeout: float = 10.0, **arguments: Any) -> dict[str, Any]:
        """Ask the keeper, waiting for one if need be. Raises ``KeeperLost`` or ``KeeperRefused``; never asks twice."""
        client = await self._connected(timeout)
        return await client.request(op, timeout=timeout, **arguments)

    async def _connected(self, timeout: float) -> KeeperClient:
        if self._client is not None and not self._client.lost.done():
            return self._client
        try:
            async with asyncio.timeout(timeout):
                # the keeper may have died a moment ago, before this was noticed here
                while self._client is None or self._client.lost.done():
                    self._ready.clear()
                    await self._ready.wait()
        except TimeoutError:
            raise KeeperLost(self.trouble) from None
        return self._client

    async def _maintain(self) -> None:
        pause, longest = _AGAIN
        loop = asyncio.get_running_loop()
        without_since = loop.time()
        while not self._closing:
            try:
                client = await self._get()
            except (OSError, KeeperLost, KeeperRefused) as error:
                self.trouble = f"no keeper: {error}"
                if loop.time() - without_since > _START:
                    self.broken = True
                    self._on_broken(self.trouble)
                await asyncio.sleep(pause)
                pause = min(longest, pause * 2)
                continue
            pause = _AGAIN[0]
            try:
                await self._on_restored(client)
                self._client = client
                self._ready.set()
                self.broken = False
                await self._watch(client)
            except (KeeperLost, KeeperRefused) as error:
                self.trouble = str(error)
                await asyncio.sleep(pause)
            finally:
                self._ready.clear()
                self._client = None
                without_since = loop.time()
                await client.close()

    async def _watch(self, client: KeeperClient) -> None:
        """Until it is lost. A keeper that does not answer is as good as dead, and is made so."""
        while not client.lost.done():
            await asyncio.wait([client.lost], timeout=_HEARTBEAT)
            if not client.lost.done():
                try:
                    await client.request("ping", timeout=_ANSWER)
                except KeeperLost:
                    await self._end_holder()
                    return

    async def _get(self) -> KeeperClient:
        """A connection to a keeper that answers and speaks our protocol."""
        for _ in range(3):
            client = await self._try_connect()
            if client is None:
                await self._launch()
                continue
            try:
                hello = await client.request("hello", timeout=_ANSWER)
            except KeeperLost:
                await client.close()
                await self._end_holder()
                continue
            if hello.get("protocol") == PROTOCOL:
                self.keeper = ProcessIdentity.from_data(hello)
                return client
            with contextlib.suppress(KeeperLost, KeeperRefused):
                await client.request("leave", timeout=_ANSWER)
            await client.close()
            await self._end_holder(asked=True)
        raise KeeperLost("it does not come to answer")

    async def _try_connect(self) -> KeeperClient | None:
        try:
            async with asyncio.timeout(_ANSWER):
                return await KeeperClient.connect(str(self._directory), self._on_event)
        except OSError:  # nobody listens, or (TimeoutError) its backlog is full because it does not accept
            return None

    async def _launch(self) -> None:
        """Start a keeper and wait until it listens."""
        if self._lock_held():
            await self._end_holder()
        failpoint("link.launch.before")
        before = self._log_size()
        reader, writer = os.pipe2(os.O_CLOEXEC)
        try:
            pid = self._spawn(writer)
        except BaseException:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        reaper = asyncio.create_task(_reap(pid))
        self._reapers.add(reaper)
        reaper.add_done_callback(self._reapers.discard)
        try:
            async with asyncio.timeout(_START):
                said = json.loads(await _read_all(reader) or b"{}")
        except TimeoutError:
            raise KeeperLost(f"a new keeper did not come up within {_START:g} s") from None
        finally:
            os.close(reader)
        failpoint("link.launch.after")
        if "pid" not in said:
            raise KeeperLost(f"a new keeper did not come up: {said.get('error') or self._last_words(before)}")

    def _spawn(self, writer: int) -> int:
        # the last words of those before it are kept, within bounds
        how = os.O_APPEND if self._log_size() < _LOG_SIZE else os.O_TRUNC
        # it outlives us: a session of its own, none of our fds, and nothing of our environment to leak to services
        return os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-S", str(_MAIN), "--dir", str(self._directory)],
            {"PATH": os.environ.get("PATH", os.defpath)} | {n: os.environ[n] for n in VARIABLES if n in os.environ},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, writer, 1),
                (os.POSIX_SPAWN_OPEN, 2, str(self._log), os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | how, 0o600),
            ],
            setsid=True,
        )

    @property
    def _log(self) -> Path:
        return self._directory / "keeper.log"

    def _log_size(self) -> int:
        try:
            return self._log.stat().st_size
        except OSError:
            return 0

    def _last_words(self, before: int) -> str:
        """The last line that was written to the log since it had this size."""
        with contextlib.suppress(OSError):
            said = self._log.read_bytes()
            lines = said[before if before < _LOG_SIZE else 0 :].decode("utf-8", "replace").strip().splitlines()
            if lines:
                return lines[-1]
        return "it said nothing"

    def _lock_held(self) -> bool:
        try:
            fd = os.open(self._directory / "keeper.lock", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    async def _end_holder(self, *, asked: bool = False) -> None:
        """End the keeper that holds the lock, gently if it can still hear, and see it gone. Services stay.

        One that was asked to leave gets a moment to do so by itself.
        """
        if not self._lock_held():
            return
        try:
            holder = ProcessIdentity.from_data(json.loads((self._directory / "keeper.lock").read_bytes()))
        except (OSError, ValueError, KeyError) as error:
            raise KeeperLost("another process holds keeper.lock and does not say who it is") from error
        fd = holder.open()
        if fd is None:
            return
        try:
            for signum, patience in ((0, 0.5 if asked else 0), (signal.SIGTERM, 0.5), (signal.SIGKILL, _ANSWER)):
                holder.signal(signum)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(patience):
                        await wait_pidfd(fd)
                        return
        finally:
            os.close(fd)
        raise KeeperLost(f"the old keeper, pid {holder.pid}, cannot be ended")


async def _reap(pid: int) -> None:
    """Collect a keeper that we started when it ends; another parent does if we end first."""
    fd = os.pidfd_open(pid)
    try:
        await wait_pidfd(fd)
        os.waitpid(pid, os.WNOHANG)  # noqa: ASYNC222 # it has ended: this does not wait
    finally:
        os.close(fd)


async def _read_all(fd: int) -> bytes:
    """What is written to a pipe until its writers are gone."""
    os.set_blocking(fd, False)
    loop = asyncio.get_running_loop()
    data = bytearray()
    while True:
        readable: asyncio.Future[None] = loop.create_future()
        loop.add_reader(fd, readable.set_result, None)
        try:
            await readable
        finally:
            loop.remove_reader(fd)
        chunk = os.read(fd, 4096)
        if not chunk:
            return bytes(data)
        data += chunk
