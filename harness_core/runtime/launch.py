"""From a unit of the world to the complete order for an executor: values for references, ports, environment, files."""

from __future__ import annotations

import asyncio
import hashlib
import os
import pwd
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from harness_core.domain.addresses import HERE, Viewpoint, value_of
from harness_core.domain.executor import ExecutorPlugin, Marker, StartFailed, StartSpec
from harness_core.domain.references import UnresolvedReference
from harness_core.domain.resolved import ResolvedUnit, resolve_unit, target_options
from harness_core.domain.spec import Check, UnitSpec
from harness_core.domain.states import Kind
from harness_core.domain.unit import Unit
from harness_core.domain.world import World
from harness_core.runtime import outputs, ports

__all__ = ["Launch", "fingerprint"]


class Launch:
    """``world`` gives the present world, from which references take their values."""

    def __init__(self, state_dir: Path, plugins: Mapping[str, ExecutorPlugin], world: Callable[[], World]) -> None:
        self.state_dir = state_dir
        self._plugins = plugins
        self._world = world

    async def prepare(self, unit: Unit, *, listens: bool) -> StartSpec:
        """The order to start this life; a chosen port that was taken meanwhile has another number in it.

        Raises ``StartFailed`` (a port is taken, no such user) or ``UnresolvedReference``.
        """
        changed = await asyncio.to_thread(self._check_ports, unit) if listens and unit.ports else {}
        if changed:
            unit = unit.with_(ports={**unit.ports, **changed})
        spec = self.spec(unit)
        if unit.spec.kind is Kind.TASK:
            owner = _owner(spec.user)
            path = outputs.path_for(self.state_dir, unit.spec, unit.epoch)
            await asyncio.to_thread(outputs.prepare, path, owner)
            spec = _with_env(spec, {"HARNESS_OUTPUT": str(path)})
        return spec

    def spec(self, unit: Unit) -> StartSpec:
        """The order without anything being prepared for it; also the context of commands run beside the unit."""
        resolved = self.resolve(unit, self._viewpoint(unit))
        plugin = self._plugins.get(resolved.target["type"])
        if plugin is None:
            raise StartFailed(f"no executor for the target type {resolved.target['type']!r}", permanent=True)
        try:
            options = target_options(plugin.options, resolved.target)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise StartFailed(
                f"cannot start {unit.spec.name}: target.{where}: {first['msg']}", permanent=True
            ) from None
        own = {"HARNESS_STACK": unit.spec.stack, "HARNESS_SERVICE": unit.spec.name}
        for index, (name, port) in enumerate(unit.ports.items()):
            if index == 0:
                own["PORT"] = str(port)
            own[f"PORT_{name.upper().replace('-', '_').replace('.', '_')}"] = str(port)
        return StartSpec(
            marker=Marker(unit.spec.stack, unit.spec.name, unit.epoch),
            options=options,
            env={**own, **resolved.env},
            base_dir=Path(unit.spec.base_dir),
            ports=dict(unit.ports),
            schemes={name: port.scheme for name, port in unit.spec.ports.items()},
            limits=unit.spec.limits,
            logs=unit.spec.logs,
            user=resolved.user,
            labels=resolved.labels,
            inherited=frozenset(
                name for name in unit.spec.inherited if unit.spec.env.get(name) == resolved.env.get(name)
            ),
            hosts=unit.spec.hosts,
        )

    def check(self, unit: Unit) -> Check:
        """The unit's health check with every reference replaced: as the daemon sees addresses, which looks; a command
        is run where the unit is."""
        by_command = unit.spec.check is not None and unit.spec.check.command is not None
        check = self.resolve(unit, self._viewpoint(unit) if by_command else HERE).check
        assert check is not None
        return check

    def stop_command(self, unit: Unit) -> tuple[StartSpec, list[str]]:
        command = self.resolve(unit, self._viewpoint(unit)).stop_command or []
        return self.spec(unit), ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)

    def _viewpoint(self, unit: Unit) -> Viewpoint:
        plugin = self._plugins.get(str(unit.spec.target.get("type")))
        return HERE if plugin is None or plugin.viewpoint is None else plugin.viewpoint(unit.spec)

    def read_outputs(self, unit: Unit, epoch: int) -> dict[str, str]:
        return outputs.read(outputs.path_for(self.state_dir, unit.spec, epoch), unit.key)

    def resolve(self, unit: Unit, viewpoint: Viewpoint = HERE) -> ResolvedUnit:
        """Values for all references of a unit. Raises ``UnresolvedReference`` naming what is missing."""
        units = self._world().units

        def lookup(name: str, attribute: str) -> str:
            other = unit if name in ("self", unit.spec.name) else units.get(f"{unit.spec.stack}/{name}")
            if other is None:
                raise UnresolvedReference(f"{name} is not defined")
            return value_of(other, attribute, viewpoint)

        return resolve_unit(unit.spec, lookup)

    def _check_ports(self, unit: Unit) -> dict[str, int]:
        """Make sure that nobody else listens there; returns other numbers for chosen ports that are taken."""
        changed: dict[str, int] = {}
        for name, port in unit.ports.items():
            if ports.is_free(port):
                continue
            if name in unit.spec.ports and unit.spec.ports[name].port == "auto":
                changed[name] = ports.choose(unit.spec.stack, unit.spec.name, name, self.reserved() | {port})
                continue
            holder = ports.holder(port)
            by = f"is taken by {holder}" if holder else "is taken"
            raise StartFailed(f"port {port} {by}", hint=f"stop it, or set another port for {unit.spec.name}")
        return changed

    def reserved(self) -> set[int]:
        """Ports that belong to units of this daemon, running or not."""
        return {port for unit in self._world().units.values() for port in unit.ports.values()}

    def choose_ports(self, spec: UnitSpec, known: Mapping[str, int], taken: set[int]) -> dict[str, int]:
        """A number for every port of a unit; a chosen one is kept from definition to definition."""
        chosen: dict[str, int] = {}
        for name, port in spec.ports.items():
            if port.port != "auto":
                chosen[name] = port.port
            elif name in known:
                chosen[name] = known[name]
            else:
                chosen[name] = ports.choose(spec.stack, spec.name, name, taken)
            taken.add(chosen[name])
        return chosen


def fingerprint(spec: UnitSpec) -> str:
    """What a task would do now, as a digest: its definition and the contents of its input files."""
    digest = hashlib.sha256(spec.digest.encode())
    base = Path(spec.base_dir)
    for pattern in spec.inputs:
        for path in _matching(base, pattern):
            # a relative name, so that the same files in another checkout are the same inputs
            name = path.relative_to(base) if path.is_relative_to(base) else path
            digest.update(os.fsencode(name) + b"\0")
            try:
                digest.update(hashlib.sha256(path.read_bytes()).digest())
            except OSError as error:
                digest.update(f"unreadable: {error.errno}".encode())
    return digest.hexdigest()


def _matching(base: Path, pattern: str) -> list[Path]:
    """The files that an input means: itself, all within it where it is a directory, or what a glob matches."""
    given = base / pattern
    anchor = Path(given.anchor)
    found = [given] if given.exists() else anchor.glob(str(given.relative_to(anchor)))
    files = {file for path in found for file in (path.rglob("*") if path.is_dir() else (path,)) if not file.is_dir()}
    return sorted(files)


def _owner(user: str | None) -> tuple[int, int] | None:
    if user is None:
        return None
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise StartFailed(f"there is no user {user!r} on this machine", permanent=True) from None
    return entry.pw_uid, entry.pw_gid


def _with_env(spec: StartSpec, more: Mapping[str, str]) -> StartSpec:
    return replace(spec, env={**spec.env, **more})
