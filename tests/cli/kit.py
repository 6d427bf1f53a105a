"""Real doors over TLS in a thread, with canned answers: what a command line meets, without a stack behind it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.cli.app import run
from harness_core.domain.protocol import OPERATIONS
from harness_core.doors.doors import Doors
from harness_core.doors.table import Table

__all__ = ["Canned", "Ran", "line"]

Handler = Callable[..., Any]


class Ran:
    """How a command line ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def line(capfd: Any, *argv: str) -> Ran:
    """Run one command line in this process, read by click."""
    capfd.readouterr()
    code = run(argv)
    sys.stdout.flush()
    sys.stderr.flush()
    out, err = capfd.readouterr()
    return Ran(code, out, err)


class Canned:
    """A daemon whose operations are the handlers that the test gives; ``asked`` is what it was asked for.

    A handler is a value to answer with, or ``async def (request)`` or, of a stream, ``async def (request, stream)``.
    """

    def __init__(self, state_dir: Path, **handlers: Any) -> None:
        self.state_dir = state_dir
        self.asked: list[tuple[str, Any]] = []
        self._handlers = {name.replace("__", "."): handler for name, handler in handlers.items()}
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._leave: asyncio.Event
        self._thread = threading.Thread(target=self._run, name="canned daemon")

    def __enter__(self) -> Canned:
        self._thread.start()
        assert self._ready.wait(20), "the doors do not open"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._leave.set)
        self._thread.join(20)
        self._loop.close()

    def params(self, method: str) -> Any:
        """What the last request for this operation was."""
        return next(request for name, request in reversed(self.asked) if name == method)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        asyncio.set_event_loop(None)

    async def _serve(self) -> None:
        self._leave = asyncio.Event()
        credentials = {name for name in OPERATIONS if name.startswith(("token.", "cert."))}
        table = Table({name: OPERATIONS[name] for name in {*self._handlers, *credentials}})
        for name, handler in self._handlers.items():
            table.bind(name, self._bound(name, handler))
        async with Doors(self.state_dir, table) as doors:
            card = {"pid": os.getpid(), "url": doors.url, "version": "0", "started_at": time.time() + 3600}
            (self.state_dir / "daemon.json").write_text(json.dumps(card))
            (self.state_dir / "daemon.json").chmod(0o600)
            self._ready.set()
            await self._leave.wait()

    def _bound(self, name: str, handler: Any) -> Handler:
        async def answer(request: Any, caller: Any, *stream: Any) -> Any:
            del caller
            self.asked.append((name, request))
            return await handler(request, *stream) if callable(handler) else handler

        return answer
