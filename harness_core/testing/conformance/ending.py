"""Ending: by itself, with the truth about how; or by a stop, after which nothing is left."""

from __future__ import annotations

import asyncio
import signal
import time

from harness_core.domain.executor import Ended
from harness_core.domain.states import Exit
from harness_core.testing.conformance.bench import Bench
from harness_core.testing.conformance.needs import needs
from harness_core.testing.conformance.program import Feature, Program
from harness_core.testing.conformance.suite import Suite

__all__ = ["Ending"]


class Ending(Suite):
    """Tests of ``wait``, ``stop`` and ``signal``."""

    @needs(Feature.AT_ONCE)
    async def test_exit_codes_are_true(self) -> None:
        async with Bench(self) as bench:
            codes = (0, 1, 3, 127, 200, 255)
            exits = await asyncio.gather(*(bench.run(Program(exit_code=code), name=f"n{code}") for code in codes))
            assert [(exit.code, exit.signal) for exit in exits] == [(code, None) for code in codes]
            assert [exit.success for exit in exits] == [code == 0 for code in codes]

    @needs(Feature.AT_ONCE)
    async def test_an_end_that_comes_at_once_is_not_missed(self) -> None:
        """The news of it may overtake the answer to the start."""
        async with Bench(self) as bench:
            for batch in range(1, 11):
                exits = await asyncio.gather(
                    *(bench.run(Program(exit_code=n), name=f"n{n}", epoch=batch) for n in range(8))
                )
                assert [exit.code for exit in exits] == list(range(8))

    @needs(Feature.EXIT_SIGNAL, Feature.AT_ONCE)
    async def test_an_end_by_signal_is_told_as_such(self) -> None:
        async with Bench(self) as bench:
            for epoch, name in enumerate(("KILL", "SEGV", "USR1"), start=1):
                exit = await bench.run(Program(exit_signal=name), epoch=epoch)
                assert (exit.code, exit.signal) == (None, signal.Signals[f"SIG{name}"])
                assert not exit.oom

    async def test_every_wait_tells_the_same_end(self) -> None:
        """Waits beside each other, after the end, and in a later daemon: one end, told the same way."""
        async with Bench(self) as bench:
            one = await bench.start(Program(runs=0.5, exit_code=7))
            exits = list(await asyncio.gather(*(bench.wait(one) for _ in range(3))))
            exits.append(await bench.wait(one))
            await bench.restart()
            exits.append(await bench.wait(one))
            assert {(exit.code, exit.signal) for exit in exits} == {(7, None)}

    async def test_a_cancelled_wait_ends_nothing(self) -> None:
        async with Bench(self) as bench:
            one = await bench.start(Program(runs=None))
            waiting = asyncio.create_task(bench.wait(one))
            await asyncio.sleep(0.05)
            waiting.cancel()
            await asyncio.wait([waiting])
            await bench.reaches(lambda: bench.living(one.program) == 1)

    @needs(able="stop")
    async def test_a_stop_within_the_grace(self) -> None:
        async with Bench(self) as bench:
            one = await bench.start(Program(runs=None))
            await bench.reaches(lambda: bench.living(one.program) == 1)
            waiting = asyncio.create_task(bench.wait(one))
            report = await bench.stop(one)
            assert report.exit is not None
            assert not report.forced
            assert report.leftovers == ()
            assert bench.living(one.program) == 0
            assert _same(await waiting, report.exit)

    @needs(Feature.IGNORE_TERM, able="stop")
    async def test_a_stop_that_has_to_kill(self) -> None:
        async with Bench(self) as bench:
            one = await bench.start(Program(runs=None, ignores_term=True))
            await bench.reaches(lambda: bench.living(one.program) == 1)
            began = time.monotonic()
            report = await bench.stop(one, grace=0.5)
            assert time.monotonic() - began >= 0.5
            assert report.forced
            assert report.leftovers == ()
            assert bench.living(one.program) == 0

    @needs(Feature.IGNORE_TERM, able="stop")
    async def test_without_grace_it_is_killed_at_once(self) -> None:
        async with Bench(self) as bench:
            one = await bench.start(Program(runs=None, ignores_term=True))
            await bench.reaches(lambda: bench.living(one.program) == 1)
            began = time.monotonic()
            report = await bench.stop(one, grace=0)
            assert time.monotonic() - began < 5
            assert report.leftovers == ()
            assert bench.living(one.program) == 0

    @needs(Feature.IGNORE_TERM, able="stop")
    async def test_a_shorter_grace_overtakes_a_longer_one(self) -> None:
        async with Bench(self) as bench:
            one = await bench.start(Program(runs=None, ignores_term=True))
            await bench.reaches(lambda: bench.living(one.program) == 1)
            patient = asyncio.create_task(bench.stop(one, grace=25))
            await asyncio.sleep(0.1)
            began = time.monotonic()
            hasty = await bench.stop(one, grace=0.2)
            first = await patient
            assert time.monotonic() - began < 10
            assert hasty.forced
            assert (first.leftovers, hasty.leftovers) == ((), ())
            assert bench.living(one.program) == 0

    @needs(Feature.GRANDCHILD, able="stop")
    async def test_a_stop_leaves_no_grandchild(self) -> None:
        await self._leaves_nothing("child")

    @needs(Feature.DAEMON, able="stop")
    async def test_a_stop_leaves_no_grandchild_in_a_session_of_its_own(self) -> None:
        await self._leaves_nothing("daemon")

    async def _leaves_nothing(self, leaves: str) -> None:
        """The main process ends when asked; what it has left behind does not."""
        async with Bench(self) as bench:
            one = await bench.start(Program(runs=None, leaves=leaves))
            await bench.reaches(lambda: bench.living(one.program) == 2)
            report = await bench.stop(one, grace=1)
            assert report.leftovers == ()
            assert bench.living(one.program) == 0

    @needs(Feature.AT_ONCE, able="stop")
    async def test_stopping_what_has_ended(self) -> None:
        async with Bench(self) as bench:
            one = await bench.start(Program(exit_code=3))
            await bench.wait(one)
            for _ in range(2):
                report = await bench.stop(one)
                assert not report.forced
                assert report.leftovers == ()
                assert report.exit is None or report.exit.code == 3
            assert await bench.recover(one.marker, one.handle) == Ended(await bench.wait(one))

    @needs(able="stop")
    async def test_a_stop_by_a_later_daemon(self) -> None:
        async with Bench(self) as bench:
            one = await bench.start(Program(runs=None))
            await bench.restart()
            await bench.recover(one.marker, one.handle)
            report = await bench.stop(one)
            assert report.leftovers == ()
            assert bench.living(one.program) == 0

    @needs(unable="stop")
    async def test_what_cannot_be_stopped_is_let_go_and_lives_on(self) -> None:
        async with Bench(self) as bench:
            one = await bench.start(Program(runs=None))
            await bench.reaches(lambda: bench.living(one.program) == 1)
            for grace in (10.0, 0.0):
                report = await bench.stop(one, grace=grace)
                assert (report.released, report.exit, report.leftovers) == (True, None, ())
            assert bench.living(one.program) == 1

    @needs(Feature.EXIT_SIGNAL)
    async def test_a_signal_arrives(self) -> None:
        async with Bench(self) as bench:
            one = await bench.start(Program(runs=None))
            await bench.reaches(lambda: bench.living(one.program) == 1)
            await bench.executor.signal(one.marker, one.handle, signal.SIGUSR1)
            assert (await bench.wait(one)).signal == signal.SIGUSR1


def _same(one: Exit, other: Exit) -> bool:
    return (one.code, one.signal) == (other.code, other.signal)
