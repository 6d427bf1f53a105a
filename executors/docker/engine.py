"""One Docker engine, shared by all executors that use it: calls, its news, and whether it can be reached at all.

Calls go through the docker SDK, in a bounded pool of threads, each with a deadline. News come on one event stream, and
are only ever a reason to look: after each connection everything that is watched is looked at anew, since an engine
remembers few events and a stream may end without a word. An engine that has fallen silent is found out by asking it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar
from weakref import WeakKeyDictionary

from executors.docker.address import Address, BadAddress, find_address
from executors.docker.reasons import why_not
from executors.docker.transport import Exchange, open_exchange, query
from harness_core.domain.executor import Lost

if TYPE_CHECKING:
    from docker import APIClient

__all__ = ["CALL_DEADLINE", "Engine", "EngineLost", "EngineRefused", "Watcher"]

log = logging.getLogger(__name__)
T = TypeVar("T")

#: how long an ordinary call may take
CALL_DEADLINE = 20.0
#: how long the engine may say nothing while it fetches or builds
PATIENCE = 600
#: how long the engine may take to say that it is there
PING_DEADLINE = 2.0
#: how often it is asked while something of it is watched, and while it is sought
PING_EVERY, SEEK_EVERY = 1.5, 0.5
#: calls at a time
THREADS = 16
#: the newest version of its interface that we know, and the oldest (Docker 20.10)
NEWEST, OLDEST = (1, 51), (1, 41)
#: what is worth a look
_EVENTS = ["create", "start", "restart", "die", "oom", "destroy", "rename", "pause", "unpause", "health_status", "kill"]


class EngineLost(Lost):
    """The engine cannot be reached, or gave no answer; what was asked of it may have been done.

    ``remedy`` is what a person can do about it, where that is known.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class EngineRefused(Exception):
    """The engine says no; ``status`` is that of HTTP: 404 there is none, 409 another has it, 500 it could not."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class Watcher(Protocol):
    """Somebody who wants to know of a container. Called on the event loop."""

    def changed(self, event: Mapping[str, Any] | None) -> None:
        """Something happened to it; without an event, something may have. Look."""
        ...

    def lost(self, reason: str) -> None:
        """The engine is out of reach; ``changed(None)`` comes when it is back."""
        ...


class Engine:
    """Use ``Engine.of``, and ``release`` it in the end. Belongs to one event loop."""

    _all: ClassVar[WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Address, Engine]]] = WeakKeyDictionary()

    def __init__(self, address: Address) -> None:
        self.address = address
        #: why it cannot be reached at the moment, while that is known; empty else
        self.trouble = ""
        #: the version of its interface that is spoken, once it was asked
        self.version = ""
        self._users = 0
        self._pool: ThreadPoolExecutor | None = None
        #: two, which differ in how long they wait for a word
        self._clients: dict[bool, APIClient] = {}
        self._making = threading.Lock()
        self._watchers: dict[str, set[Watcher]] = {}
        self._keeping: asyncio.Task[None] | None = None

    @classmethod
    def of(cls, address: Address) -> Engine:
        """The one engine at an address, whoever else uses it."""
        engines = cls._all.setdefault(asyncio.get_running_loop(), {})
        engine = engines.setdefault(address, cls(address))
        engine._users += 1
        return engine

    @classmethod
    async def find(cls, env: Mapping[str, str] | None = None) -> Engine:
        """The engine that the environment means. Raises ``EngineLost`` when it means none that can be used."""
        try:
            address = await asyncio.to_thread(find_address, os.environ if env is None else env)
        except BadAddress as error:
            # the daemon's own environment counts, which nobody changes from outside
            raise EngineLost(str(error), "correct it, then: harness daemon stop, and start again") from None
        return cls.of(address)

    async def release(self) -> None:
        """Use it no more. The last one closes it; calls that are under way end at their deadlines."""
        self._users -= 1
        if self._users:
            return
        self._all.get(asyncio.get_running_loop(), {}).pop(self.address, None)
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
            self._keeping = None
        for client in self._clients.values():
            client.close()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    # ── calls ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def call(
        self, work: Callable[[APIClient], T], *, deadline: float = CALL_DEADLINE, patient: bool = False
    ) -> T:
        """Run ``work`` with the SDK's client in a thread. Raises ``EngineRefused`` or ``EngineLost``.

        While the engine is known to be out of reach this fails at once, so that nothing piles up behind it. ``patient``
        is for work during which the engine may be silent for minutes.
        """
        if self.trouble:
            raise EngineLost(self.trouble)
        if not self.version:
            await self.ping()
        if self._pool is None:
            self._pool = ThreadPoolExecutor(THREADS, "harness-docker")
        try:
            async with asyncio.timeout(deadline):
                return await asyncio.get_running_loop().run_in_executor(self._pool, self._run, work, patient)
        except TimeoutError:
            raise EngineLost(f"{self._name} gave no answer within {deadline:g} s") from None

    def _run(self, work: Callable[[APIClient], T], patient: bool) -> T:
        import requests
        import urllib3
        from docker.errors import APIError, DockerException

        try:
            return work(self._made(patient))
        except APIError as error:
            status = error.response.status_code if error.response is not None else 500
            raise EngineRefused(status, str(error.explanation or error)) from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise self._unreachable(error) from None
        except DockerException as error:
            raise EngineRefused(500, str(error)) from None

    def _made(self, patient: bool) -> APIClient:
        import docker
        from docker.tls import TLSConfig

        with self._making:
            if patient not in self._clients:
                address, tls = self.address, None
                if address.certificates is not None:
                    folder = address.certificates
                    pair = (f"{folder}/cert.pem", f"{folder}/key.pem")
                    tls = TLSConfig(client_cert=pair, ca_cert=f"{folder}/ca.pem", verify=address.verify)
                self._clients[patient] = docker.APIClient(
                    base_url=address.url,
                    version=self.version,
                    timeout=PATIENCE if patient else int(CALL_DEADLINE),
                    tls=tls or False,
                    max_pool_size=THREADS,
                )
            return self._clients[patient]

    async def ping(self) -> Mapping[str, str]:
        """Ask whether it is there; what it says of itself. Raises ``EngineLost``, in two seconds at the latest."""
        exchange = await self._open("GET", "/_ping", deadline=PING_DEADLINE, versioned=False)
        exchange.close()
        if exchange.status != 200:
            raise EngineLost(f"{self._name} is not well: status {exchange.status}")
        if not self.version:
            theirs = _version(exchange.headers.get("api-version", ""))
            if theirs < OLDEST:
                raise EngineLost(
                    f"{self._name} is too old: it speaks {_dotted(theirs)}, harness needs {_dotted(OLDEST)}"
                )
            self.version = _dotted(min(theirs, NEWEST))
        return exchange.headers

    async def open(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        upgrade: bool = False,
        deadline: float = CALL_DEADLINE,
        headers: Mapping[str, str] | None = None,
    ) -> Exchange:
        """Ask for an answer that has no end; the deadline is that of its beginning.

        Raises ``EngineRefused`` or ``EngineLost``. Whoever asks closes it.
        """
        if self.trouble:
            raise EngineLost(self.trouble)
        if not self.version:
            await self.ping()
        exchange = await self._open(method, path, body, upgrade=upgrade, deadline=deadline, headers=headers)
        if exchange.status >= 300:
            try:
                async with asyncio.timeout(deadline):
                    raise EngineRefused(exchange.status, await exchange.text())
            except (TimeoutError, OSError):
                raise EngineRefused(exchange.status, "no reason was given") from None
            finally:
                exchange.close()
        return exchange

    async def _open(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        deadline: float,
        upgrade: bool = False,
        versioned: bool = True,
        headers: Mapping[str, str] | None = None,
    ) -> Exchange:
        whole = f"/v{self.version}{path}" if versioned else path
        try:
            async with asyncio.timeout(deadline):
                return await open_exchange(self.address, method, whole, body, upgrade=upgrade, headers=headers)
        except TimeoutError:
            raise EngineLost(f"{self._name} gave no answer within {deadline:g} s") from None
        except BadAddress as error:
            raise EngineLost(str(error)) from None
        except OSError as error:
            raise self._unreachable(error) from None

    def _unreachable(self, error: Exception) -> EngineLost:
        why, remedy = why_not(error)
        return EngineLost(f"{self._name} cannot be reached: {why}", remedy)

    @property
    def _name(self) -> str:
        return f"the Docker engine at {self.address.url}"

    # ── news ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def watch(self, container: str, watcher: Watcher) -> None:
        """Tell ``watcher`` of a container, by its whole id, until ``unwatch``. It looks for itself first."""
        self._watchers.setdefault(container, set()).add(watcher)
        if self._keeping is None:
            self._keeping = asyncio.create_task(self._keep(), name=f"news of {self.address.url}")

    def unwatch(self, container: str, watcher: Watcher) -> None:
        others = self._watchers.get(container, set())
        others.discard(watcher)
        if not others:
            self._watchers.pop(container, None)

    async def _keep(self) -> None:
        """As long as anything is watched: have a stream of news, and notice when it is not to be trusted any more."""
        try:
            while self._watchers:
                try:
                    await self._listen()
                except EngineLost as error:
                    self._lose(str(error))
                except EngineRefused as error:
                    self._lose(f"{self._name} tells no events: {error}")
                await asyncio.sleep(SEEK_EVERY)
        finally:
            self._keeping = None
            self.trouble = ""

    async def _listen(self) -> None:
        """Follow the stream until it ends or the engine falls silent. Everything is looked at first."""
        await self.ping()
        filters = {"type": ["container"], "event": _EVENTS}
        path = f"/events{query(filters=filters)}"
        exchange = await self._open("GET", path, deadline=PING_DEADLINE)
        asking = asyncio.create_task(self._ask_often(exchange), name="asking the engine")
        try:
            if exchange.status != 200:
                raise EngineLost(f"{self._name} tells no events: status {exchange.status}")
            self._find()
            buffer = b""
            with contextlib.suppress(OSError):
                while self._watchers and (data := await exchange.read()):
                    *lines, buffer = (buffer + data).split(b"\n")
                    for line in lines:
                        self._hear(line)
        finally:
            exchange.close()
            if not asking.done():
                asking.cancel()
            outcome = (await asyncio.gather(asking, return_exceptions=True))[0]
        if isinstance(outcome, EngineLost):
            raise outcome

    async def _ask_often(self, exchange: Exchange) -> None:
        """A frozen engine keeps its connections: only a question shows it. Ends the stream when there is no answer."""
        try:
            while self._watchers:
                await asyncio.sleep(PING_EVERY)
                await self.ping()
        finally:
            exchange.close()

    def _find(self) -> None:
        if self.trouble:
            log.info("%s is back", self._name)
        self.trouble = ""
        for watcher in [one for many in self._watchers.values() for one in many]:
            watcher.changed(None)

    def _lose(self, reason: str) -> None:
        if not self.trouble:
            log.warning("%s", reason)
        self.trouble = reason
        for watcher in [one for many in self._watchers.values() for one in many]:
            watcher.lost(reason)

    def _hear(self, line: bytes) -> None:
        try:
            event = json.loads(line)
            container = event["Actor"]["ID"]
        except (ValueError, KeyError, TypeError):
            return
        for watcher in list(self._watchers.get(container, ())):
            watcher.changed(event)


def _version(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    return (int(major), int(minor)) if major.isdecimal() and minor.isdecimal() else (0, 0)


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
