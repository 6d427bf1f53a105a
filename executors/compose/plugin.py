"""Announces the target type ``compose``."""

from __future__ import annotations

from collections.abc import Callable

from executors.compose.executor import ComposeExecutor
from executors.compose.handle import KIND
from executors.compose.options import ComposeOptions
from executors.compose.tool import doctor
from harness_core.domain.executor import ExecutorPlugin
from harness_core.domain.hookspecs import hookimpl

__all__ = ["harness_executors"]


@hookimpl
def harness_executors(register: Callable[[ExecutorPlugin], None]) -> None:
    """Register the executor of compose projects."""
    register(
        ExecutorPlugin(
            kind=KIND,
            options=ComposeOptions,
            factory=ComposeExecutor,
            summary="a compose project of the Docker engine",
            doctor=doctor,
        )
    )
