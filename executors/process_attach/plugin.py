"""Announces the target type ``process-attach``."""

from __future__ import annotations

from collections.abc import Callable

from executors.process_attach.executor import ProcessAttachExecutor
from executors.process_attach.handle import KIND
from executors.process_attach.options import ProcessAttachOptions
from harness_core.domain.executor import ExecutorPlugin
from harness_core.domain.hookspecs import hookimpl

__all__ = ["harness_executors"]


@hookimpl
def harness_executors(register: Callable[[ExecutorPlugin], None]) -> None:
    """Register the executor of processes that run already."""
    register(
        ExecutorPlugin(
            kind=KIND,
            options=ProcessAttachOptions,
            factory=ProcessAttachExecutor,
            summary="a process that somebody else started",
        )
    )
