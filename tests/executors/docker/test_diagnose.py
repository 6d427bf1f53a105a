"""What ``harness doctor`` says of the engine: there, absent, refusing, open to everybody, badly named."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from executors.docker.diagnose import doctor, explain
from executors.docker.engine import Engine as Client
from executors.docker.engine import EngineLost, EngineRefused
from executors.docker.options import DockerOptions
from harness_core.domain.executor import Marker
from tests.engine import Engine

#: this machine's own, which these tests have nothing to do with
HAS_ONE = Path("/var/run/docker.sock").exists()


async def test_an_engine_that_is_there(engine: Engine) -> None:
    found = await doctor({"DOCKER_HOST": engine.host})
    assert [(finding.name, finding.status) for finding in found] == [("docker engine", "ok"), ("docker rights", "ok")]
    assert f"at {engine.host} (DOCKER_HOST), interface 1.41" in found[0].detail
    assert "can become root on its machine" in found[1].detail


async def test_an_engine_that_everybody_may_use(engine: Engine) -> None:
    engine.socket.chmod(0o666)
    try:
        rights = (await doctor({"DOCKER_HOST": engine.host}))[1]
    finally:
        engine.socket.chmod(0o660)
    assert rights.status == "problem"
    assert rights.hint == f"chmod o-rw {engine.socket}"


async def test_an_engine_that_is_named_and_not_there(tmp_path: Path) -> None:
    (finding,) = await doctor({"DOCKER_HOST": f"unix://{tmp_path}/none.sock"})
    assert finding.status == "warning"
    assert "there is no such socket" in finding.detail


async def test_a_socket_without_an_engine_behind_it(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "left.sock"))
    (finding,) = await doctor({"DOCKER_HOST": f"unix://{tmp_path}/left.sock"})
    assert finding.status == "warning"
    assert finding.detail.endswith("cannot be reached: nobody listens there")
    assert "sudo systemctl start docker" in finding.hint


async def test_something_else_behind_the_socket(tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        writer.close()

    async with await asyncio.start_unix_server(answer, tmp_path / "x.sock"):
        (finding,) = await doctor({"DOCKER_HOST": f"unix://{tmp_path}/x.sock"})
    assert "what answers there is no Docker engine: 'SSH-2.0-OpenSSH_9.2'" in finding.detail


async def test_a_name_that_cannot_be_used(tmp_path: Path) -> None:
    (finding,) = await doctor({"HOME": str(tmp_path), "DOCKER_CONTEXT": "nowhere"})
    assert finding.status == "warning"
    assert "there is none; see: docker context ls" in finding.detail


async def test_no_engine_at_all_is_no_problem(tmp_path: Path) -> None:
    if HAS_ONE:
        return  # at the well-known place
    (finding,) = await doctor({"HOME": str(tmp_path)})
    assert finding.status == "ok"
    assert "only containers need one" in finding.detail


def test_a_network_of_ours_that_somebody_removes_in_between_is_made_anew_by_the_next_try() -> None:
    refused, marker = EngineRefused(404, "network shop-89abcdef not found"), Marker("shop", "web", 1)
    assert not explain(refused, marker, DockerOptions(image="x")).permanent
    assert explain(refused, marker, DockerOptions(image="x", network="shop-89abcdef")).permanent


async def test_an_address_that_is_none_has_a_remedy_of_its_own() -> None:
    with pytest.raises(EngineLost, match="write unix:///PATH") as lost:
        await Client.find({"DOCKER_HOST": "garbage"})
    assert "harness daemon stop" in lost.value.remedy
