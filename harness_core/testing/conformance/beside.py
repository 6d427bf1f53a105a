"""Beside the instance: commands in its context, particulars for people, and taking over what already runs."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from harness_core.domain.errors import ExecNotStarted
from harness_core.domain.executor import Ended, ExecRequest, ExecSession, Running
from harness_core.domain.states import Exit
from harness_core.testing.conformance.bench import PATIENCE, Bench, Instance, processes_with
from harness_core.testing.conformance.needs import needs
from harness_core.testing.conformance.program import Feature, Program
from harness_core.testing.conformance.suite import Suite

__all__ = ["Beside"]


class Beside(Suite):
    """Tests of ``exec``, ``inspect`` and ``adopt``."""

    @needs(able="exec")
    async def test_a_command_tells_its_end_and_its_streams(self) -> None:
        async with Bench(self) as bench:
            one = await bench.start(Program(runs=None))
            exit, output = await _run(bench, one, "echo out; echo err >&2; exit 7")
            assert (exit.code, exit.signal) == (7, None)
            assert output == {"stdout": b"out\n", "stderr": b"err\n"}

    @needs(able="exec")
    async def test_a_command_gets_its_input(self) -> None:
        async with Bench(self) as bench:
            one = await bench.start(Program(runs=None))
            data = bytes(range(256)) * 1000
            exit, output = await _run(bench, one, "cat", stdin=data)
            assert exit.success
            assert output["stdout"] == data

    @needs(Feature.AT_ONCE, able="exec")
    async def test_a_command_gets_its_environment_and_arguments(self) -> None:
        async with Bench(self) as bench:
            one = await bench.start(Program(runs=None), env={"OF_THE_SERVICE": "yes"})
            line = 'printf "%s|" "$OF_THE_SERVICE" "$MINE" "$@"'
            exit, output = await _run(bench, one, line, "a b", "$HOME", "", env={"MINE": "it's `mine`"})
            assert exit.success
            assert output["stdout"] == b"yes|it's `mine`|a b|$HOME||"

    @needs(able="exec")
    async def test_a_command_that_does_not_exist_could_not_start(self) -> None:
        async with Bench(self) as bench:
            one = await bench.start(Program(runs=None))
            with pytest.raises(ExecNotStarted):
                await _exec(bench, one, ["/no/such/program"])

    @needs(able="exec")
    async def test_closing_a_command_ends_it(self) -> None:
        async with Bench(self) as bench:
            one = await bench.start(Program(runs=None))
            other = Program(runs=None)
            session = await _exec(bench, one, ["sh", "-c", f"sleep {other.token}1 & exec sleep {other.token}"])
            await bench.reaches(lambda: bench.living(other) == 2)
            await session.close()
            await bench.reaches(lambda: bench.living(other) == 0)
            assert bench.living(one.program) == 1

    @needs(able="exec")
    async def test_a_command_ends_although_something_it_left_holds_its_output(self) -> None:
        async with Bench(self) as bench:
            one = await bench.start(Program(runs=None))
            other = Program(runs=None)
            line = f"trap '' HUP; sleep {other.token} & echo said; exit 7"
            for tty in (False, True):
                exit, output = await _run(bench, one, line, tty=tty)
                assert exit.code == 7
                assert output["stdout"].split() == [b"said"]
                await bench.reaches(lambda: bench.living(other) == 0)

    async def test_an_inspection_names_the_main_process(self) -> None:
        async with Bench(self) as bench:
            one = await bench.start(Program(runs=None))
            await bench.reaches(lambda: bench.living(one.program) == 1)
            seen = await bench.executor.inspect(one.marker, one.handle)
            assert one.started.pid is None or one.started.pid in seen.pids
            assert seen.memory_bytes is None or seen.memory_bytes > 0

    @needs(able="adopt")
    async def test_what_runs_already_is_adopted(self) -> None:
        async with Bench(self) as bench:
            what, end = await self.foreign(bench)
            spec = bench.spec(Program())
            async with asyncio.timeout(PATIENCE):
                started = await bench.executor.adopt(spec, what)
            one = Instance(spec, Program(), started)
            assert isinstance(await bench.recover(one.marker, one.handle), Running)
            await bench.restart()
            assert isinstance(await bench.recover(one.marker, one.handle), Running)
            waiting = asyncio.create_task(bench.wait(one))
            await asyncio.to_thread(end)
            exit = await waiting
            assert not exit.success
            assert isinstance(await bench.recover(one.marker, one.handle), Ended)

    async def foreign(self, bench: Bench) -> tuple[dict[str, Any], Callable[[], None]]:
        """Something that runs and that the executor did not start: how ``adopt`` is told of it, and what ends it."""
        program = Program()
        child = subprocess.Popen(["sleep", program.token], stdin=subprocess.DEVNULL, env=dict(os.environ))  # noqa: ASYNC220 - a spawn of a millisecond
        await bench.reaches(lambda: child.pid in processes_with(program.token))

        def end() -> None:
            child.terminate()
            child.wait(PATIENCE)

        return {"pid": child.pid}, end


async def _exec(
    bench: Bench, one: Instance, argv: list[str], env: dict[str, str] | None = None, tty: bool = False
) -> ExecSession:
    async with asyncio.timeout(PATIENCE):
        return await bench.executor.exec(one.marker, one.handle, one.spec, ExecRequest(argv, env or {}, tty))


async def _run(
    bench: Bench,
    one: Instance,
    line: str,
    *args: str,
    stdin: bytes = b"",
    env: dict[str, str] | None = None,
    tty: bool = False,
) -> tuple[Exit, dict[str, bytes]]:
    session = await _exec(bench, one, ["sh", "-c", line, "sh", *args], env, tty)
    output = {"stdout": b"", "stderr": b""}

    async def feed() -> None:
        if stdin:
            await session.write(stdin)
        if not tty:
            await session.write_eof()

    try:
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
            group.create_task(feed())
            async for stream, data in session.output():
                output[stream] += data
        return await session.wait(), output
    finally:
        await session.close()
