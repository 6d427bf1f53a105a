"""Announces the target type ``docker-attach``."""

from __future__ import annotations

from collections.abc import Callable

from executors.docker_attach.executor import DockerAttachExecutor
from executors.docker_attach.handle import KIND
from executors.docker_attach.options import DockerAttachOptions
from harness_core.domain.executor import ExecutorPlugin
from harness_core.domain.hookspecs import hookimpl

__all__ = ["harness_executors"]


@hookimpl
def harness_executors(register: Callable[[ExecutorPlugin], None]) -> None:
    """Register the executor of containers that run already."""
    register(
        ExecutorPlugin(
            kind=KIND,
            options=DockerAttachOptions,
            factory=DockerAttachExecutor,
            summary="a container that somebody else started",
        )
    )
