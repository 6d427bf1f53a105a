"""Announces the target type ``process``."""

from __future__ import annotations

from collections.abc import Callable

from executors.process.diagnose import check
from executors.process.executor import ProcessExecutor
from executors.process.handle import KIND
from executors.process.options import ProcessOptions
from harness_core.domain.executor import ExecutorPlugin
from harness_core.domain.hookspecs import hookimpl

__all__ = ["harness_executors"]


@hookimpl
def harness_executors(register: Callable[[ExecutorPlugin], None]) -> None:
    """Register the executor of local processes."""
    register(
        ExecutorPlugin(
            kind=KIND,
            options=ProcessOptions,
            factory=ProcessExecutor,
            summary="a process on this machine",
            check=check,
        )
    )
