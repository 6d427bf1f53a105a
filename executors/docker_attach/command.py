"""From a container as the engine describes it to what the world is told of an attachment: values only."""

from __future__ import annotations

from dataclasses import replace

from executors.docker.handle import Container
from executors.docker_attach.handle import AttachHandle
from harness_core.domain.states import Endpoint, Started

__all__ = ["described"]


def described(found: Container, known: AttachHandle, host: str, *, local: bool) -> Started:
    """As one of ours, but for ports that are not published: on the engine's own machine they are reached too."""
    started = found.described(known.to_handle(), known.plan, host)
    if started.inside is None or not started.inside.ip or not local:
        return started
    own = {
        name: Endpoint(started.inside.ip, int(key.partition("/")[0]), scheme)
        for name, (key, scheme) in known.plan.ports.items()
    }
    endpoints = {**own, **started.endpoints}
    return replace(started, endpoints=endpoints, host=next((one.host for one in endpoints.values()), host))
