"""What ``harness doctor`` says of the engine: there, absent, refusing, open to everybody, badly named."""

from __future__ import annotations

import asyncio
from pathlib import Path

from executors.docker.diagnose import doctor
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
