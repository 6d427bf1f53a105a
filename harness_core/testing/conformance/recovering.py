"""Recovering: whatever happens to the daemon, instances stay, and the truth about them is found again."""

from __future__ import annotations

import asyncio

from harness_core.domain.executor import Ended, Gone, Marker, Running
from harness_core.testing.conformance.bench import STACK, Bench
from harness_core.testing.conformance.needs import needs
from harness_core.testing.conformance.program import Feature, Program
from harness_core.testing.conformance.suite import Suite

__all__ = ["Recovering"]


class Recovering(Suite):
    """Tests of ``recover``, ``close`` and ``forget``."""

    async def test_the_capabilities_are_as_claimed(self) -> None:
        async with Bench(self) as bench:
            assert bench.executor.capabilities == self.capabilities

    async def test_closing_keeps_instances(self) -> None:
        async with Bench(self) as bench:
            one = await bench.start(Program(runs=None))
            await bench.reaches(lambda: bench.living(one.program) == 1)
            await bench.leave()
            assert bench.living(one.program) == 1
            await bench.come()
            found = await bench.recover(one.marker, one.handle)
            assert isinstance(found, Running)
            assert found.started.pid == one.started.pid
            assert found.started.container_id == one.started.container_id
            assert bench.living(one.program) == 1

    @needs(Feature.AT_ONCE)
    async def test_a_running_instance_is_found_by_its_marker_alone(self) -> None:
        """The daemon died between the start and storing the handle."""
        async with Bench(self) as bench:
            one = await bench.start(Program(runs=None))
            await bench.restart()
            found = await bench.recover(one.marker, None)
            assert isinstance(found, Running)
            assert found.started.pid == one.started.pid
            again = await bench.recover(one.marker, found.started.handle)
            assert isinstance(again, Running)

    async def test_recovering_often_changes_nothing(self) -> None:
        async with Bench(self) as bench:
            one = await bench.start(Program(runs=None))
            await bench.restart()
            found = await asyncio.gather(*(bench.recover(one.marker, one.handle) for _ in range(5)))
            assert all(isinstance(answer, Running) and answer.started.pid == one.started.pid for answer in found)
            assert bench.living(one.program) == 1

    @needs(Feature.UNSEEN_END)
    async def test_an_exit_while_no_daemon_lives_is_not_lost(self) -> None:
        async with Bench(self) as bench:
            one = await bench.start(Program(runs=0.3, exit_code=5), name="handle")
            two = await bench.start(Program(runs=0.3, exit_code=6), name="marker")
            await bench.leave()
            await asyncio.sleep(1.0)
            await bench.come()
            for marker, handle, code in ((one.marker, one.handle, 5), (two.marker, None, 6)):
                found = await bench.recover(marker, handle)
                assert isinstance(found, Ended)
                assert (found.exit.code, found.exit.signal) == (code, None)

    async def test_an_end_after_the_recovery_is_told(self) -> None:
        async with Bench(self) as bench:
            one = await bench.start(Program(runs=1.0, exit_code=9))
            await bench.restart()
            found = await bench.recover(one.marker, one.handle)
            if isinstance(found, Running):
                exit = await bench.executor.wait(one.marker, found.started.handle)
            else:
                assert isinstance(found, Ended)
                exit = found.exit
            assert exit.code == 9

    async def test_what_was_never_started_is_gone(self) -> None:
        async with Bench(self) as bench:
            assert await bench.recover(Marker(STACK, "never", 1), None) == Gone()
            await bench.start(Program(runs=None), epoch=2)
            for epoch in (1, 3):
                assert await bench.recover(Marker(STACK, "one", epoch), None) == Gone()

    @needs(Feature.AT_ONCE)
    async def test_lives_are_apart(self) -> None:
        """The end of one life is not taken for the end of the next."""
        async with Bench(self) as bench:
            await bench.run(Program(exit_code=4), epoch=1)
            two = await bench.start(Program(runs=None), epoch=2)
            assert isinstance(await bench.recover(two.marker, two.handle), Running)
            await bench.restart()
            assert isinstance(await bench.recover(two.marker, two.handle), Running)

    async def test_forgetting_leaves_it_alive(self) -> None:
        async with Bench(self) as bench:
            one = await bench.start(Program(runs=None))
            await bench.reaches(lambda: bench.living(one.program) == 1)
            await bench.executor.forget(one.marker, one.handle)
            await asyncio.sleep(0.2)
            assert bench.living(one.program) == 1
            await self.end_forgotten(bench, one.program)

    @needs(Feature.OUTPUT, able="logs")
    async def test_output_while_no_daemon_lives_is_not_lost(self) -> None:
        async with Bench(self) as bench:
            one = await bench.start(Program(prints=(("stdout", b"before\n"),), runs=0.3, exit_code=0))
            two = await bench.start(Program(lines=20_000, runs=0.3), name="two")
            await bench.leave()
            await asyncio.sleep(0.8)
            await bench.come()
            for instance in (one, two):
                await bench.recover(instance.marker, instance.handle)
                await bench.wait(instance)
            assert bench.output() == b"before\n"
            assert bench.output(name="two").split() == [b"%d" % number for number in range(1, 20_001)]
