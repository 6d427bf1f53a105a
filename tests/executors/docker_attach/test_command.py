"""What is told and kept of an attachment, and which targets make no sense."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from executors.docker.command import Plan
from executors.docker.handle import Container
from executors.docker_attach.command import described
from executors.docker_attach.handle import KIND, AttachHandle
from executors.docker_attach.options import DockerAttachOptions
from harness_core.domain.states import Endpoint, Handle

ONE = "abc1" + "0" * 60
KNOWN = AttachHandle(ONE, "engine", Plan({"80": ("80/tcp", "http"), "81": ("81/tcp", "http")}))


def test_ports_that_are_not_published_are_reached_on_the_engine_s_own_machine() -> None:
    ports = {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "81/tcp": None}
    settings: dict[str, Any] = {"Ports": ports, "Networks": {"n": {"IPAddress": "10.0.0.2"}}}
    raw: dict[str, Any] = {"Id": ONE, "State": {"Pid": 7}, "NetworkSettings": settings}
    started = described(Container(raw), KNOWN, "127.0.0.1", local=True)
    assert started.endpoints == {"80": Endpoint("127.0.0.1", 8080), "81": Endpoint("10.0.0.2", 81)}
    assert started.host == "127.0.0.1"
    assert list(described(Container(raw), KNOWN, "far", local=False).endpoints) == ["80"]


def test_a_handle_there_and_back() -> None:
    known = AttachHandle(ONE, "engine", Plan({"80": ("80/tcp", "http")}))
    assert AttachHandle.of(known.to_handle()) == known
    for damaged in (Handle("docker", {}), Handle(KIND, {}), Handle(KIND, {"id": 1, "engine": 2, "plan": "{}"})):
        with pytest.raises(ValueError, match=r"a handle of|damaged"):
            AttachHandle.of(damaged)


@pytest.mark.parametrize("given", [{}, {"container": ""}, {"container": "x", "image": "y"}])
def test_what_makes_no_sense_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DockerAttachOptions.model_validate(given)
