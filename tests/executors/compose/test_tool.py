"""The compose tool: found under either name, run to its end, ended when it takes too long; it outlives the daemon."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from executors.compose.tool import ToolFailed, at_work, doctor, end_tool, find_tool, run_tool
from harness_core.runtime.processes import Scanner

_PLUGIN = """#!/bin/sh
if [ "$1" = docker-cli-plugin-metadata ]; then
    echo '{"SchemaVersion": "0.1.0", "Vendor": "tests", "Version": "1"}'
else
    shift
    exec docker-compose "$@"
fi
"""


def needs(*programs: str) -> None:
    if missing := [program for program in programs if shutil.which(program) is None]:
        pytest.skip(f"needs {' and '.join(missing)}: apt-get install docker.io docker-compose")


def test_both_spellings_are_found_and_the_newer_one_is_preferred(tmp_path: Path) -> None:
    needs("docker", "docker-compose")
    alone = find_tool({"PATH": os.environ["PATH"], "HOME": str(tmp_path)})
    assert alone is not None
    assert alone.argv[-1].endswith("docker-compose")
    plugin = tmp_path / ".docker" / "cli-plugins" / "docker-compose"
    plugin.parent.mkdir(parents=True)
    plugin.write_text(_PLUGIN)
    plugin.chmod(0o755)
    both = find_tool({"PATH": os.environ["PATH"], "HOME": str(tmp_path), "DOCKER_CONFIG": str(tmp_path / ".docker")})
    assert both is not None
    assert both.argv[1:] == ("compose",)
    assert both.version == alone.version
    assert str(both).endswith(f"docker compose {both.version}")


def test_a_docker_without_it_is_none(tmp_path: Path) -> None:
    (tmp_path / "docker").write_text("#!/bin/sh\necho hello\n")
    (tmp_path / "docker").chmod(0o755)
    assert find_tool({"PATH": str(tmp_path)}) is None
    assert find_tool({"PATH": "/nowhere"}) is None


async def test_what_it_announces_is_told_with_it(tmp_path: Path) -> None:
    said = "printf '%s\\n' 'The file is invalid because:' \"no such key: 'imge'\"; exit 1"
    with pytest.raises(ToolFailed, match=r"The file is invalid because: no such key: 'imge'"):
        await run_tool(
            ["/bin/sh", "-c", said],
            env={},
            cwd=tmp_path,
            output=tmp_path / "output",
            status=tmp_path / "status",
            marker="m",
            deadline=10,
            scanner=Scanner(),
        )


async def test_doctor_tells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    needs("docker-compose")
    (found,) = await doctor()
    assert (found.name, found.status) == ("compose tool", "ok")
    monkeypatch.setenv("PATH", "/nowhere")
    (missing,) = await doctor()
    assert missing.status == "warning"
    assert "docker-compose-plugin" in missing.hint


async def run(folder: Path, script: str, deadline: float = 20.0) -> None:
    await run_tool(
        ["sh", "-c", script],
        env={"PATH": os.environ["PATH"]},
        cwd=folder,
        output=folder / "out",
        status=folder / "status",
        marker="tests:a/b#1/compose",
        deadline=deadline,
        scanner=Scanner(),
    )


async def test_its_end_is_left_for_whoever_comes_later(tmp_path: Path) -> None:
    await run(tmp_path, "pwd; echo error: mine >&2")
    assert (tmp_path / "status").read_text() == "0"
    assert (tmp_path / "out").read_text() == f"{tmp_path}\nerror: mine\n"
    with pytest.raises(ToolFailed, match=r"^Error: the worst; Error: the last$"):
        await run(tmp_path, "echo noise; echo Error: the worst; echo more; echo Error: the last; exit 3")
    assert (tmp_path / "status").read_text() == "3"
    with pytest.raises(ToolFailed, match=r"^only this$"):
        await run(tmp_path, "echo only this; exit 1")
    with pytest.raises(ToolFailed, match=r"^exit code 1$"):
        await run(tmp_path, "exit 1")


async def test_what_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match=r"not done within 0\.3 s: waiting"):
        await run(tmp_path, "echo waiting; sleep 1000 & sleep 1000", deadline=0.3)
    assert await at_work("tests:a/b#1/compose", Scanner()) is None
    assert not (tmp_path / "status").exists()


async def test_it_goes_on_when_nobody_waits_any_more(tmp_path: Path) -> None:
    task = asyncio.create_task(run(tmp_path, "echo begun; sleep 1000"))
    scanner = Scanner()
    async with asyncio.timeout(10):
        while not (tmp_path / "out").exists() or "begun" not in (tmp_path / "out").read_text():
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    leader = await at_work("tests:a/b#1/compose", scanner)
    assert leader is not None
    await end_tool(leader, "tests:a/b#1/compose", scanner)
    assert await at_work("tests:a/b#1/compose", scanner) is None
