"""Announces the target type ``remote``."""

from __future__ import annotations

from collections.abc import Callable

from executors.remote.executor import RemoteExecutor
from executors.remote.handle import KIND
from executors.remote.options import RemoteOptions
from harness_core.domain.executor import ExecutorPlugin
from harness_core.domain.hookspecs import hookimpl

__all__ = ["harness_executors"]


@hookimpl
def harness_executors(register: Callable[[ExecutorPlugin], None]) -> None:
    """Register the executor of processes on other machines."""
    register(
        ExecutorPlugin(
            kind=KIND,
            options=RemoteOptions,
            factory=RemoteExecutor,
            summary="a process on another machine, over SSH",
        )
    )
