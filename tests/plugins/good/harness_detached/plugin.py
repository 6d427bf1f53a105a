"""Announces the target type ``detached``."""

from __future__ import annotations

from collections.abc import Callable

from harness_core.domain.executor import ExecutorPlugin
from harness_core.domain.hookspecs import hookimpl
from harness_detached.executor import DetachedExecutor
from harness_detached.options import DetachedOptions


@hookimpl
def harness_executors(register: Callable[[ExecutorPlugin], None]) -> None:
    """Called once while the daemon starts; anything raised here is reported and the plugin is skipped."""
    register(
        ExecutorPlugin(
            kind="detached",
            options=DetachedOptions,
            factory=DetachedExecutor,
            summary="a process kept by a holder of its own",
        )
    )
