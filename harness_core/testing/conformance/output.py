"""Output: every byte, in order, the streams apart, stored when the end is told."""

from __future__ import annotations

from harness_core.testing.conformance.bench import Bench
from harness_core.testing.conformance.needs import needs
from harness_core.testing.conformance.program import Feature, Program
from harness_core.testing.conformance.suite import Suite

__all__ = ["Output"]


class Output(Suite):
    """Tests of what instances print."""

    @needs(Feature.OUTPUT, Feature.AT_ONCE, able="logs")
    async def test_streams_are_apart_and_in_order(self) -> None:
        async with Bench(self) as bench:
            prints = tuple((("stdout", "stderr")[n % 2], b"line %d\n" % n) for n in range(40))
            await bench.run(Program(prints=prints))
            for stream in ("stdout", "stderr"):
                assert bench.output(stream) == b"".join(data for name, data in prints if name == stream)

    @needs(Feature.OUTPUT, Feature.AT_ONCE, able="logs")
    async def test_the_last_words_are_stored_when_the_end_is_told(self) -> None:
        async with Bench(self) as bench:
            for epoch in range(1, 11):
                exit = await bench.run(Program(prints=(("stdout", b"last words"),), exit_code=1), epoch=epoch)
                assert exit.code == 1
                assert bench.output() == b"last words" * epoch

    @needs(Feature.OUTPUT, Feature.AT_ONCE, able="logs")
    async def test_a_flood_is_complete(self) -> None:
        async with Bench(self) as bench:
            await bench.run(Program(lines=200_000))
            assert bench.output() == b"".join(b"%d\n" % number for number in range(1, 200_001))
            assert bench.logs.grown

    @needs(Feature.OUTPUT, Feature.AT_ONCE, able="logs")
    async def test_a_huge_line_is_whole(self) -> None:
        async with Bench(self) as bench:
            await bench.run(Program(long_line=3_000_000))
            assert bench.output() == b"x" * 3_000_000 + b"\n"

    @needs(Feature.OUTPUT, Feature.AT_ONCE, able="logs")
    async def test_bytes_are_bytes(self) -> None:
        async with Bench(self) as bench:
            data = bytes(range(256)) * 4 + b"\r\r\n\x1b[31m\xff\xfe\0end without a newline"
            await bench.run(Program(prints=(("stdout", data), ("stderr", data[::-1]))))
            assert bench.output() == data
            assert bench.output("stderr") == data[::-1]
