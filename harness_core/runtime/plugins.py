"""Finding executors: entry points are loaded one by one, so that a broken one is named and skipped.

All executors arrive this way, ours included. pluggy validates what a plugin implements and hands it ``register``; it
takes no part in operating an executor afterwards. Each plugin gets a manager of its own, so that nothing one plugin
does while it registers can reach another.
"""

from __future__ import annotations

import importlib.metadata
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint

import pluggy
from pydantic import BaseModel

from harness_core.domain.executor import ExecutorPlugin
from harness_core.domain.hookspecs import ENTRY_POINT_GROUP, PROJECT, HarnessHooks
from harness_core.domain.protocol import PluginRow
from harness_core.domain.spec import NAME

__all__ = ["OWN_DISTRIBUTION", "Plugins", "find_entry_points", "load_plugins"]

#: loaded before all others, so that nobody can take a built-in type away
OWN_DISTRIBUTION = "service-harness"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Plugins:
    """What was found: the executors by target type, and a row for every plugin, the broken ones included."""

    executors: dict[str, ExecutorPlugin]
    rows: list[PluginRow]


class _Refused(Exception):
    """A plugin asked for something that it cannot have; the message is the whole story."""


def find_entry_points(group: str = ENTRY_POINT_GROUP) -> list[EntryPoint]:
    """The entry points of ``group``: our own distribution's first, then by distribution and name.

    A distribution whose metadata cannot be read is logged and left out; a second copy of one further down the import
    path is shadowed by the first.
    """
    found: dict[str, list[EntryPoint]] = {}
    for distribution in importlib.metadata.distributions():
        try:
            points = [point for point in distribution.entry_points if point.group == group]
            if points:
                found.setdefault(_normal(distribution.name), points)
        except Exception as error:  # noqa: BLE001 - any installed package's metadata may be malformed in any way
            log.warning("cannot read the metadata of an installed distribution: %s", _said(error))
    ordered = sorted(found.items(), key=lambda item: (item[0] != OWN_DISTRIBUTION, item[0]))
    return [point for _, points in ordered for point in sorted(points, key=lambda point: point.name)]


def load_plugins(entry_points: Iterable[EntryPoint] | None = None) -> Plugins:
    """Load every plugin of the group ``harness.executors`` and collect what it registers.

    Never raises for a plugin's sake: whatever goes wrong in one, ``SystemExit`` included, ends up in its row. A type
    that is registered already is refused, and the row names both. Only ``KeyboardInterrupt`` passes.
    """
    executors: dict[str, ExecutorPlugin] = {}
    owners: dict[str, str] = {}
    rows: list[PluginRow] = []
    for point in find_entry_points() if entry_points is None else entry_points:
        row = _row(point)
        try:
            registered = _collect(point, owners)
        except KeyboardInterrupt:
            raise
        except _Refused as refusal:
            row["problem"] = str(refusal)
        except BaseException as error:  # a plugin is foreign code; even sys.exit() at import must not end the daemon
            row["problem"] = _said(error)
            log.warning("plugin %s is skipped", _owner(point), exc_info=error)
        else:
            row["status"] = "ok"
            row["types"] = sorted(registered)
            executors |= registered
            owners |= dict.fromkeys(registered, _owner(point))
        rows.append(row)
    return Plugins(executors, rows)


def _collect(point: EntryPoint, owners: dict[str, str]) -> dict[str, ExecutorPlugin]:
    """Load one plugin and call its hook; all it registers counts, or, when it raises, nothing."""
    plugin = point.load()
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(HarnessHooks)
    manager.register(plugin, name=point.name)
    manager.check_pending()
    if not manager.hook.harness_executors.get_hookimpls():
        raise _Refused(
            f"{point.value} implements no hook: decorate a function harness_executors(register) with hookimpl"
        )
    registered: dict[str, ExecutorPlugin] = {}
    manager.hook.harness_executors(register=_registrar(point, owners, registered))
    return registered


def _registrar(
    point: EntryPoint, owners: dict[str, str], registered: dict[str, ExecutorPlugin]
) -> Callable[[ExecutorPlugin], None]:
    def register(plugin: ExecutorPlugin) -> None:
        _validate(plugin)
        owner = _owner(point) if plugin.kind in registered else owners.get(plugin.kind)
        if owner is not None:
            raise _Refused(f"cannot register type {plugin.kind!r} for {_owner(point)}: {owner} has registered it")
        registered[plugin.kind] = plugin

    return register


def _validate(plugin: object) -> None:
    if not isinstance(plugin, ExecutorPlugin):
        raise _Refused(f"register() takes an ExecutorPlugin, not {type(plugin).__name__}")
    # its annotations bind nobody who does not use a type checker
    kind: object = plugin.kind
    options: object = plugin.options
    if not isinstance(kind, str) or NAME.fullmatch(kind) is None:
        raise _Refused(f"{kind!r} cannot be a target type: use lower case letters, digits, '.', '_' and '-'")
    if not isinstance(options, type) or not issubclass(options, BaseModel):
        raise _Refused(f"the options of type {kind!r} must be a pydantic model class")
    if not callable(plugin.factory):
        raise _Refused(f"the factory of type {kind!r} cannot be called")


def _row(point: EntryPoint) -> PluginRow:
    return {
        "name": point.name,
        "distribution": point.dist.name if point.dist else "",
        "version": point.dist.version if point.dist else "",
        "types": [],
        "status": "broken",
        "problem": "",
    }


def _owner(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version} ({point.name})" if point.dist else point.name


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
