"""Starting: one instance, exactly as asked for, never a second one."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest

from harness_core.domain.executor import Gone, Running, StartFailed, StartSpec
from harness_core.testing.conformance.bench import PATIENCE, Bench, stored
from harness_core.testing.conformance.needs import needs
from harness_core.testing.conformance.program import Feature, Program
from harness_core.testing.conformance.suite import Suite

__all__ = ["Starting"]

#: what a shell, a template engine or a careless quoting function would not leave as it is
AWKWARD = (
    "",
    " ",
    "two words",
    "it's",
    'a "quoted" word',
    "$HOME ${HOME} $(id) `id`",
    "back\\slash \\n \\000",
    "*?[a]~#!&;|<>(){}",
    "new\nline",
    "tab\there",
    "-n",
    "--",
    "%s%d",
    "ünï✓",
    "\udcff\udcfe",
)


class Starting(Suite):
    """Tests of ``start``."""

    async def test_a_start_returns_a_living_instance(self) -> None:
        async with Bench(self) as bench:
            one = await bench.start(Program(runs=None))
            assert one.handle.kind == bench.plugin.kind
            found = await bench.recover(one.marker, one.handle)
            assert isinstance(found, Running)
            assert found.started.pid == one.started.pid
            await bench.reaches(lambda: bench.living(one.program) == 1)

    async def test_a_handle_is_json(self) -> None:
        async with Bench(self) as bench:
            one = await bench.start(Program(runs=None))
            assert stored(one.handle) == one.handle
            assert len(json.dumps(dict(one.handle.data))) < 64 * 1024
            assert one.handle.version >= 1

    async def test_the_same_marker_never_makes_a_second_instance(self) -> None:
        async with Bench(self) as bench:
            one = await bench.start(Program(runs=None))
            two = await bench.start(one.program)
            assert two.handle == one.handle
            await bench.restart()
            three = await bench.start(one.program)
            assert three.started.pid == one.started.pid
            await bench.reaches(lambda: bench.living(one.program) == 1)

    async def test_many_start_at_once(self) -> None:
        async with Bench(self) as bench:
            program = Program(runs=None)
            many = await asyncio.gather(*(bench.start(program, name=f"n{number}") for number in range(8)))
            assert len({one.started.pid or one.started.container_id for one in many}) == 8
            await bench.reaches(lambda: bench.living(program) == 8)

    @needs(able="stop")
    async def test_a_cancelled_start_can_be_found(self) -> None:
        """Wherever it is cancelled: what came to life is found by its marker, and a further start adds nothing."""
        for after in (0.0, 0.001, 0.005, 0.02, 0.1):
            await self._cancelled(after)

    async def _cancelled(self, after: float) -> None:
        async with Bench(self) as bench:
            program = Program(runs=None)
            task = asyncio.create_task(bench.start(program))
            await asyncio.sleep(after)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            found = await bench.recover(bench.spec(program).marker, None)
            assert isinstance(found, Running | Gone)
            one = await bench.start(program)
            if isinstance(found, Running):
                assert one.started.pid == found.started.pid
            await bench.reaches(lambda: bench.living(program) == 1)
            await bench.stop(one, grace=0)
            assert bench.living(program) == 0

    async def test_a_start_that_fails_leaves_nothing(self) -> None:
        async with Bench(self) as bench:
            for number, (target, permanent) in enumerate(self.broken_targets(), start=1):
                good = bench.spec(Program(), epoch=number)
                options = bench.plugin.options.model_validate(
                    target if "type" in bench.plugin.options.model_fields else _without_type(target)
                )
                bad = StartSpec(good.marker, options, env=good.env, base_dir=good.base_dir)
                with pytest.raises(StartFailed) as failed:
                    async with asyncio.timeout(PATIENCE):
                        await bench.executor.start(bad)
                assert failed.value.permanent is permanent
                assert failed.value.message
                assert isinstance(await bench.recover(bad.marker, None), Gone)

    @needs(Feature.REPORT)
    async def test_arguments_and_environment_arrive_exactly(self) -> None:
        async with Bench(self) as bench:
            env = {f"AWKWARD_{number}": value for number, value in enumerate(AWKWARD)}
            program = Program(reports=True, args=AWKWARD)
            exit = await bench.run(program, env=env)
            assert exit.success, (exit, bench.output("stderr"))
            told = [part.decode("utf-8", "surrogateescape") for part in bench.output().split(b"\0")]
            assert tuple(told[: len(AWKWARD)]) == AWKWARD
            seen = dict(line.split("=", 1) for line in told[len(AWKWARD) + 1 :] if "=" in line)
            assert {name: seen.get(name) for name in env} == env

    @needs(Feature.REPORT)
    async def test_it_runs_in_the_directory_that_was_asked_for(self) -> None:
        async with Bench(self) as bench:
            inner = bench.base / "in side"
            inner.mkdir()
            for epoch, (cwd, expected) in enumerate((("", bench.base), ("in side", inner)), start=1):
                before = len(bench.output())
                exit = await bench.run(Program(reports=True, args=("x",), cwd=cwd), epoch=epoch)
                assert exit.success, (exit, bench.output("stderr"))
                assert bench.output()[before:].split(b"\0")[1].decode() == str(expected)


def _without_type(target: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in target.items() if key != "type"}
