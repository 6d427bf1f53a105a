"""The network of a stack: made with its first container, gone with its last."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from executors.docker.command import LABELS, network_name
from executors.docker.engine import Engine, EngineRefused

__all__ = ["Networks"]


@dataclass(slots=True)
class _Network:
    """A network in use by starts that are under way, which keeps it from being removed under them."""

    starts: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Networks:
    """All networks of this daemon's stacks."""

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._known: dict[str, _Network] = {}

    @contextlib.asynccontextmanager
    async def used(self, engine: Engine, stack: str) -> AsyncIterator[tuple[str, str]]:
        """Have the stack's network, as long as the block lasts at least: its name, and this machine's address on it."""
        name, known = network_name(self._instance, stack), self._known.setdefault(stack, _Network())
        known.starts += 1
        try:
            async with known.lock:
                gateway = await self._ensure(engine, name, stack)
            yield name, gateway
        finally:
            known.starts -= 1

    async def _ensure(self, engine: Engine, name: str, stack: str) -> str:
        labels = {LABELS.INSTANCE: self._instance, LABELS.STACK: stack}
        found = await self._find(engine, name)
        if found is None:
            try:
                await engine.call(
                    lambda client: client.create_network(name, "bridge", labels=labels, check_duplicate=True)
                )
            except EngineRefused as refused:
                if refused.status != 409:  # made meanwhile
                    raise
            found = await self._find(engine, name)
        return found or ""

    async def _find(self, engine: Engine, name: str) -> str | None:
        """This machine's address on it; empty where the engine tells none."""
        try:
            network = await engine.call(lambda client: client.inspect_network(name))
        except EngineRefused as refused:
            if refused.status == 404:
                return None
            raise
        configs = (network.get("IPAM") or {}).get("Config") or [{}]
        return str(configs[0].get("Gateway") or "").partition("/")[0]

    async def tidy(self, engine: Engine, stack: str) -> None:
        """Remove the stack's network if nobody is in it any more. That somebody is, is no error."""
        name, known = network_name(self._instance, stack), self._known.setdefault(stack, _Network())
        async with known.lock:
            if known.starts == 0:
                with contextlib.suppress(EngineRefused):
                    await engine.call(lambda client: client.remove_network(name))
        if known.starts == 0 and not known.lock.locked():
            self._known.pop(stack, None)
