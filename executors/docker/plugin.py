"""Announces the target type ``docker``."""

from __future__ import annotations

from collections.abc import Callable

from executors.docker.command import HOST_NAME, network_key
from executors.docker.diagnose import doctor
from executors.docker.executor import DockerExecutor
from executors.docker.handle import KIND
from executors.docker.options import DockerOptions
from harness_core.domain.addresses import HERE, Viewpoint
from harness_core.domain.executor import ExecutorPlugin
from harness_core.domain.hookspecs import hookimpl
from harness_core.domain.spec import UnitSpec

__all__ = ["harness_executors", "viewpoint"]


def viewpoint(unit: UnitSpec) -> Viewpoint:
    """From where a container asks for addresses: its network, or this machine where it shares its network."""
    network = unit.target.get("network")
    if network == "host":
        return HERE
    key = network_key(None if network is None else str(network), unit.stack)
    return Viewpoint(key, HOST_NAME)


@hookimpl
def harness_executors(register: Callable[[ExecutorPlugin], None]) -> None:
    """Register the executor of containers."""
    register(
        ExecutorPlugin(
            kind=KIND,
            options=DockerOptions,
            factory=DockerExecutor,
            summary="a container of the Docker engine",
            viewpoint=viewpoint,
            doctor=doctor,
        )
    )
