from __future__ import annotations

from typing import Any

import pytest

from harness_core.domain.errors import UsageError
from harness_core.runtime.keeper.segments import TIME
from harness_core.runtime.logs import LogStore
from harness_core.runtime.logs import reader as module
from harness_core.runtime.logs.reader import Query, Stored, read_lines

from .conftest import KEY, Writers, segment, timed


async def read(logs: LogStore, *keys: str, **query: Any) -> Stored:
    return await read_lines(logs, dict.fromkeys(keys or (KEY,)), Query(**query))


def texts(stored: Stored) -> list[bytes]:
    return [found.line.data for found in stored.lines]


async def test_nothing_stored(logs: LogStore) -> None:
    assert await read(logs) == Stored()
    assert (await read(logs, previous=True)).gaps == ["shop/api: no output of an earlier life is stored"]


async def test_lines_of_all_streams_and_units_in_the_order_of_time(logs: LogStore) -> None:
    timed(logs.directory("shop/a"), [(1.0, b"a1\n"), (4.0, b"a4\n")])
    timed(logs.directory("shop/a"), [(2.0, b"A2\n")], stream="stderr")
    timed(logs.directory("shop/b"), [(3.0, b"b3\n")])
    stored = await read(logs, "shop/a", "shop/b")
    assert texts(stored) == [b"a1", b"A2", b"b3", b"a4"]
    assert [(found.key, found.stream, found.line.at) for found in stored.lines][1] == ("shop/a", "stderr", 2.0)


async def test_a_clock_that_went_back_does_not_change_the_order_of_a_stream(logs: LogStore) -> None:
    timed(logs.directory(KEY), [(100.0, b"one\n"), (10.0, b"two\n"), (101.0, b"three\n")])
    timed(logs.directory("shop/b"), [(50.0, b"other\n")])
    assert texts(await read(logs, KEY, "shop/b")) == [b"other", b"one", b"two", b"three"]


async def test_the_last_lines_of_each_stream(logs: LogStore, writer: Writers) -> None:
    writer().append(b"".join(b"%d\n" % n for n in range(5)))
    writer(stream="stderr").append(b"".join(b"e%d\n" % n for n in range(5)))
    assert sorted(texts(await read(logs, tail=2))) == [b"3", b"4", b"e3", b"e4"]
    assert texts(await read(logs, tail=2, stream="stderr")) == [b"e3", b"e4"]
    assert texts(await read(logs, tail=0)) == []


async def test_a_time_range(logs: LogStore) -> None:
    timed(logs.directory(KEY), [(float(at), b"%d\n" % at) for at in range(10)])
    assert texts(await read(logs, since=3.0, until=5.0)) == [b"3", b"4", b"5"]


async def test_only_matching_lines_and_the_last_of_them(logs: LogStore, writer: Writers) -> None:
    writer().append(b"".join(b"%s %d\n" % (b"GET" if n % 10 else b"POST", n) for n in range(30_000)))
    assert texts(await read(logs, grep="^POST", tail=3)) == [b"POST 29970", b"POST 29980", b"POST 29990"]
    assert len(texts(await read(logs, grep=r"POST \d+0{3}$"))) == 29
    assert texts(await read(logs, grep="DELETE")) == []


async def test_patterns_that_make_no_sense(logs: LogStore, writer: Writers) -> None:
    writer().append(b"a" * 60 + b"!\n")
    with pytest.raises(UsageError, match="cannot search the output: the pattern '\\['"):
        await read(logs, grep="[")
    with pytest.raises(UsageError, match="takes too long"):
        await read(logs, grep="(a+)+$")
    with pytest.raises(UsageError, match="there is no stream 'stdin'"):
        await read(logs, stream="stdin")


async def test_never_more_than_the_newest_ten_thousand(logs: LogStore, writer: Writers) -> None:
    writer().append(b"".join(b"%d\n" % n for n in range(12_000)))
    stored = await read(logs)
    assert (len(stored.lines), texts(stored)[0]) == (10_000, b"2000")
    assert stored.gaps == ["more lines are stored; these are the newest of them"]
    assert (await read(logs, tail=5)).gaps == []


async def test_never_more_than_some_megabytes(logs: LogStore, writer: Writers) -> None:
    writer().append((b"x" * 60_000 + b"\n") * 200)
    stored = await read(logs)
    assert sum(map(len, texts(stored))) <= module.MAX_BYTES
    assert len(stored.gaps) == 1


async def test_a_search_that_takes_too_long_gives_what_it_found(
    logs: LogStore, writer: Writers, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer().append(b"line\n" * 10)
    monkeypatch.setattr(module, "DEADLINE", -1.0)
    stored = await read(logs)
    assert stored.lines == []
    assert "took too long" in stored.gaps[0]


async def test_what_is_missing_is_told(logs: LogStore, writer: Writers) -> None:
    stdout = writer()
    stdout.append(b"one\n")
    stdout.drop(7)
    stdout.append(b"two\n")
    stored = await read(logs)
    assert texts(stored) == [b"one", b"two"]
    assert stored.gaps == ["shop/api stdout: 7 bytes are missing at 4: dropped: the disk was full"]


async def test_long_and_binary_lines(logs: LogStore) -> None:
    segment(logs.directory(KEY), 0, b"\xff\x00\x1b[2J\n" + b"x" * 200_000 + b"\nend\n", (1.0, 0, 1, TIME, 0))
    stored = await read(logs)
    assert texts(stored)[0] == b"\xff\x00\x1b[2J"
    assert texts(stored)[-1] == b"end"
    pieces = [found.line for found in stored.lines][1:-1]
    assert b"".join(piece.data for piece in pieces) == b"x" * 200_000
    assert [piece.partial for piece in pieces] == [True] * (len(pieces) - 1) + [False]
    assert max(len(piece.data) for piece in pieces) <= 65536


async def test_the_previous_life_when_the_present_one_is_silent(logs: LogStore, writer: Writers) -> None:
    stdout = writer()
    for epoch in (1, 2):
        stdout.begin(epoch)
        stdout.append(b"life %d\n" % epoch)
    assert texts(await read(logs, previous=True)) == [b"life 1"]
    assert texts(await read_lines(logs, {KEY: 3}, Query(previous=True))) == [b"life 2"]
