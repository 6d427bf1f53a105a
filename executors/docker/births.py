"""Bringing a container to life: what is left of an earlier one, the image, the network, the ports, and then itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace

from executors.docker.command import (
    LABELS,
    Plan,
    container_name,
    create_payload,
    identity,
    network_key,
)
from executors.docker.diagnose import explain, is_port_conflict
from executors.docker.engine import Engine, EngineRefused
from executors.docker.handle import Container
from executors.docker.images import ensure_image
from executors.docker.lives import find_container
from executors.docker.networks import Networks
from executors.docker.options import DockerOptions
from executors.docker.ports import PortMapping
from harness_core.domain.errors import Conflict
from harness_core.domain.executor import Marker, StartFailed, StartSpec
from harness_core.runtime import ports as machine_ports
from harness_core.runtime.keeper.failpoints import failpoint

__all__ = ["Births"]

#: how often another port is chosen when somebody was quicker
_PORTS = 5


class Births:
    """Speaks to the engine of beginnings; holds nothing but the networks in use."""

    def __init__(self, engine: Engine, instance: str, networks: Networks) -> None:
        self._engine = engine
        self._instance = instance
        self._networks = networks

    async def containers(self, key: str) -> list[Container]:
        """All containers of a service, of whichever life, in whatever state."""
        stack, _, name = key.partition("/")
        labels = {LABELS.INSTANCE: self._instance, LABELS.STACK: stack, LABELS.SERVICE: name}
        wanted = [f"{label}={value}" for label, value in labels.items()]
        rows = await self._engine.call(lambda client: client.containers(all=True, filters={"label": wanted}))
        found = [await find_container(self._engine, row["Id"]) for row in rows]
        return [one for one in found if one is not None]

    async def find(self, marker: Marker) -> Container | None:
        """The container of this very life."""
        for one in await self.containers(marker.key):
            if one.marker(self._instance) == marker:
                return one
        return None

    async def remove(self, container: str) -> None:
        """Remove a container with its nameless volumes; that there is none is no error. Raises ``EngineRefused``."""
        failpoint("docker.remove.before")
        try:
            await self._engine.call(lambda client: client.remove_container(container, v=True, force=True))
        except EngineRefused as refused:
            # 409: somebody else removes it just now
            if refused.status not in (404, 409):
                raise
        failpoint("docker.remove.after")

    async def bear(self, spec: StartSpec, options: DockerOptions, tell: Callable[[str], None]) -> Container:
        """Start the life that ``spec`` is about. Raises ``StartFailed`` when nothing of it is left, or ``Lost``.

        ``tell`` hears, once a second at most, how far it is with the image.
        """
        failpoint("docker.bear.before")
        existing = await self._clear(spec.marker)
        if existing is not None:
            return existing
        image = await ensure_image(self._engine, spec, options, tell)
        try:
            if options.network is not None:
                return await self._on(spec, options, image, options.network, "")
            async with self._networks.used(self._engine, spec.marker.stack) as (network, gateway):
                failpoint("docker.network.after")
                return await self._on(spec, options, image, network, gateway)
        except EngineRefused as refused:
            raise await asyncio.to_thread(explain, refused, spec.marker, options) from None

    async def _clear(self, marker: Marker) -> Container | None:
        """Remove what earlier lives left; returns the container of this life if it has begun."""
        for one in await self.containers(marker.key):
            mine = one.marker(self._instance) == marker
            if mine and one.begun:
                return one
            if one.alive:
                raise StartFailed(
                    f"cannot start {marker.key}: the container {one.name}, which was given up, still runs",
                    hint=f"docker rm -f {one.name}",
                    permanent=True,
                )
            await self.remove(one.id)
        return None

    async def _on(
        self, spec: StartSpec, options: DockerOptions, image: str, network: str, host_address: str
    ) -> Container:
        avoid: set[int] = set()
        while True:
            ports = await asyncio.to_thread(self._ports, spec, options, avoid)
            chosen = {one.published for name, one in ports.items() if self._may_choose(spec, options, name)}
            try:
                return await self._create_and_start(spec, options, image, network, host_address, ports)
            except EngineRefused as refused:
                taken = is_port_conflict(refused)
                if taken is None or taken not in chosen or len(avoid) >= _PORTS:
                    raise
                avoid.add(taken)

    async def _create_and_start(
        self,
        spec: StartSpec,
        options: DockerOptions,
        image: str,
        network: str,
        host_address: str,
        ports: Mapping[str, PortMapping],
    ) -> Container:
        key = network_key(options.network, spec.marker.stack)
        schemes = {name: (one.key, spec.schemes.get(name, one.scheme)) for name, one in ports.items()}
        payload = create_payload(
            spec,
            options,
            image=image,
            ports=ports,
            network=network,
            host_address=host_address,
            plan=Plan(schemes, spec.marker.name if key else "", key, spec.logs),
            labels=identity(self._instance, spec.marker),
        )
        name = container_name(self._instance, spec.marker, options)
        failpoint("docker.create.before")
        try:
            created = await self._engine.call(
                lambda client: client.create_container_from_config(payload, name, options.platform)  # type: ignore[no-untyped-call]
            )
        except EngineRefused as refused:
            if refused.status == 409 and "already in use" in refused.message:
                raise await self._name_taken(name, spec.marker) from None
            raise
        container = str(created["Id"])
        failpoint("docker.create.after")
        try:
            await self._engine.call(lambda client: client.start(container))
        except EngineRefused:
            await self.remove(container)
            raise
        failpoint("docker.start.after")
        found = await find_container(self._engine, container)
        if found is None:
            raise StartFailed(f"cannot start {spec.marker.key}: its container was removed by somebody else")
        return found

    async def _name_taken(self, name: str, marker: Marker) -> StartFailed:
        holder = await find_container(self._engine, name)
        whose = "" if holder is None else f", made from {holder.raw['Config'].get('Image', 'an image')}"
        return StartFailed(
            f"cannot start {marker.key}: there is another container called {name}{whose}",
            hint=f"docker rm {name}, or set target.name",
            permanent=True,
        )

    # ── ports ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _ports(self, spec: StartSpec, options: DockerOptions, avoid: set[int]) -> dict[str, PortMapping]:
        """Every port by name, with the number under which it is published: the service's own names come first."""
        try:
            mappings = options.mappings()
        except ValueError as error:
            raise StartFailed(f"cannot start {spec.marker.key}: {error}", permanent=True) from None
        found = {}
        for name, port in spec.ports.items():
            inner = mappings.pop(name, PortMapping(port))
            found[name] = inner if inner.published is not None else replace(inner, published=port)
        taken = {one.published for one in found.values() if one.published is not None} | avoid
        for name, mapping in mappings.items():
            if mapping.published is None and self._engine.address.local:
                try:
                    port = self._choose(spec.marker, name, taken)
                except Conflict as error:
                    raise StartFailed(f"cannot start {spec.marker.key}: {error.message}") from None
                mapping = replace(mapping, published=port)
                taken.add(port)
            found[name] = mapping
        return found

    def _choose(self, marker: Marker, name: str, taken: set[int]) -> int:
        """The same number for every life, so that what was told to others stays true."""
        return machine_ports.choose(marker.stack, marker.name, name, taken)

    def _may_choose(self, spec: StartSpec, options: DockerOptions, name: str) -> bool:
        mapping = options.mappings().get(name)
        return name not in spec.ports and mapping is not None and mapping.published is None
