"""Every hook a plugin may implement, in one file. Hooks register things; they are never called to operate them.

A plugin is a module (or object) with functions of these names decorated with ``hookimpl``, announced by an entry point
of its distribution in the group ``harness.executors``:

    [project.entry-points."harness.executors"]
    mine = "my_package.plugin"
"""

from __future__ import annotations

from collections.abc import Callable

import pluggy

from harness_core.domain.executor import ExecutorPlugin

__all__ = ["ENTRY_POINT_GROUP", "PROJECT", "HarnessHooks", "hookimpl", "hookspec"]

PROJECT = "harness"
ENTRY_POINT_GROUP = "harness.executors"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class HarnessHooks:
    """The hooks, each called once while the daemon starts (and for ``validate`` and ``schema``)."""

    @hookspec
    def harness_executors(self, register: Callable[[ExecutorPlugin], None]) -> None:
        """Call ``register(ExecutorPlugin(...))`` once per target type. A type that is taken is refused."""
