from __future__ import annotations

import asyncio
import random
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from harness_core.domain.errors import UsageError
from harness_core.runtime.logs import LogStore
from harness_core.runtime.logs.follow import Follower
from harness_core.runtime.logs.reader import Query
from harness_core.runtime.logs.writer import SegmentWriter

from .conftest import KEY, Listener, Writers, timed


def follower(
    logs: LogStore, *keys: str, cursors: dict[str, int] | None = None, live: bool = True, **query: Any
) -> Follower:
    return Follower(logs, dict.fromkeys(keys or (KEY,)), Query(**query), cursors=cursors, live=live)


def truncate(folder: Path) -> None:
    next(folder.glob("*.log")).write_bytes(b"")


async def test_stored_then_live(logs: LogStore, writer: Writers) -> None:
    stdout = writer()
    stdout.begin(3)
    stdout.append(b"one\ntwo\nthree\n")
    async with Listener(follower(logs, tail=2)) as listener:
        await listener.until(lambda it: it.text() == b"two\nthree\n")
        stdout.append(b"four\n")
        await listener.until(lambda it: it.text() == b"two\nthree\nfour\n")
    header = listener.frames[-1].header
    assert {name: header[name] for name in ("service", "stream", "epoch", "offset", "next")} == {
        "service": KEY,
        "stream": "stdout",
        "epoch": 3,
        "offset": 14,
        "next": 19,
    }
    assert abs(header["at"] - time.time()) < 60


async def test_without_live_it_ends_where_the_output_ended(logs: LogStore, writer: Writers) -> None:
    writer().append(b"one\ntwo\n")
    async with Listener(follower(logs, live=False)) as listener:
        await listener.ended()
    assert listener.text() == b"one\ntwo\n"


async def test_a_unit_that_has_not_written_yet_and_its_second_stream(logs: LogStore, writer: Writers) -> None:
    async with Listener(follower(logs, tail=10)) as listener:
        await asyncio.sleep(0)
        writer().append(b"out\n")
        await listener.until(lambda it: it.text() == b"out\n")
        writer(stream="stderr").append(b"err\n")
        await listener.until(lambda it: it.text(stream="stderr") == b"err\n")


async def test_growth_that_nobody_told_is_found_all_the_same(logs: LogStore, writer: Writers, folder: Path) -> None:
    async with Listener(follower(logs)) as listener:
        with SegmentWriter(folder, "stdout") as silent:
            silent.append(b"here\n")
            await listener.until(lambda it: it.text() == b"here\n", within=5.0)


async def test_stored_output_comes_in_the_order_of_its_times(logs: LogStore) -> None:
    timed(logs.directory("shop/a"), [(1.0, b"a1\n"), (3.0, b"a3\n"), (5.0, b"a5\n")])
    timed(logs.directory("shop/b"), [(2.0, b"b2\n"), (4.0, b"b4\n")])
    timed(logs.directory("shop/b"), [(2.5, b"B2\n")], stream="stderr")
    async with Listener(follower(logs, "shop/a", "shop/b", live=False)) as listener:
        await listener.ended()
    assert b"".join(frame.payload for frame in listener.frames) == b"a1\nb2\nB2\na3\nb4\na5\n"


async def test_a_line_that_arrived_in_parts_is_not_torn_by_the_order(logs: LogStore) -> None:
    timed(logs.directory("shop/a"), [(1.0, b"begin "), (3.0, b"end\n"), (4.0, b"a4\n")])
    timed(logs.directory("shop/b"), [(2.0, b"b2\n")])
    async with Listener(follower(logs, "shop/a", "shop/b", live=False)) as listener:
        await listener.ended()
    assert b"".join(frame.payload for frame in listener.frames) == b"begin end\nb2\na4\n"


async def test_parts_that_came_later_are_marked(logs: LogStore) -> None:
    timed(logs.directory(KEY), [(1.0, b"one\n"), (60.0, b"two\n"), (61.0, b"three\n")])
    async with Listener(follower(logs, live=False)) as listener:
        await listener.ended()
    (frame,) = listener.frames
    assert frame.header["at"] == 1.0
    assert frame.header["marks"] == [(4, 60.0), (8, 61.0)]


async def test_each_life_has_frames_of_its_own(logs: LogStore, writer: Writers) -> None:
    stdout = writer()
    for epoch in (1, 2, 3):
        stdout.begin(epoch)
        stdout.append(b"life %d\n" % epoch)
    async with Listener(follower(logs, live=False)) as listener:
        await listener.ended()
    assert [(header["epoch"], payload) for header, payload in listener.frames] == [
        (1, b"life 1\n"),
        (2, b"life 2\n"),
        (3, b"life 3\n"),
    ]


async def test_the_previous_life_only(logs: LogStore, writer: Writers) -> None:
    stdout = writer()
    for epoch in (1, 2, 3):
        stdout.begin(epoch)
        stdout.append(b"life %d\n" % epoch)
    async with Listener(follower(logs, live=False, previous=True)) as listener:
        await listener.ended()
    assert listener.text() == b"life 2\n"


async def test_resuming_repeats_nothing_and_loses_nothing(logs: LogStore, writer: Writers) -> None:
    dice = random.Random(7)
    writers = {stream: writer(stream=stream, max_size=3000, max_files=100) for stream in ("stdout", "stderr")}
    written, taken = dict.fromkeys(writers, b""), dict.fromkeys(writers, b"")
    cursors: dict[str, int] = {}

    def complete(listener: Listener) -> bool:
        return all(taken[stream] + listener.text(stream=stream) == written[stream] for stream in writers)

    for round_ in range(8):
        for stream, where in writers.items():
            data = b"".join(b"%s %d %d\n" % (stream.encode(), round_, n) for n in range(dice.randint(1, 300)))
            written[stream] += data
            where.append(data)
        async with Listener(follower(logs, cursors=cursors, tail=None if round_ == 0 else 5)) as listener:
            await listener.until(complete)
        cursors |= listener.cursors
        for stream in writers:
            taken[stream] += listener.text(stream=stream)


async def test_through_rotation_under_load_every_byte_once(logs: LogStore, writer: Writers) -> None:
    stdout = writer(max_size=50_000, max_files=1000)
    data = b"".join(b"line %06d\n" % number for number in range(40_000))

    def write() -> None:
        dice = random.Random(1)
        at = 0
        while at < len(data):
            size = dice.randint(1, 5000)
            stdout.append(data[at : at + size])
            at += size

    async with Listener(follower(logs)) as listener:
        thread = threading.Thread(target=write)
        thread.start()
        await listener.until(lambda it: it.frames and it.frames[-1].header["next"] == len(data), within=60.0)
        thread.join()
    assert listener.text() == data
    assert listener.gaps == []
    assert all(len(payload) <= 65536 for _, payload in listener.frames)


async def test_retention_that_passes_a_slow_follower_is_told(logs: LogStore, writer: Writers) -> None:
    stdout = writer(max_size=100, max_files=2)
    stdout.append(b"x" * 99 + b"\n")
    cursor = {f"{KEY}:stdout": 40}
    for _ in range(9):
        stdout.append(b"y" * 99 + b"\n")
    async with Listener(follower(logs, cursors=cursor)) as listener:
        await listener.until(lambda it: it.cursors.get(f"{KEY}:stdout") == 1000)
    (gap,) = listener.gaps
    assert (gap["offset"], gap["next"], gap["bytes"]) == (40, 800, 760)
    assert gap["gap"] == "shop/api stdout: 760 bytes are missing at 40: removed by retention"
    assert listener.text() == (b"y" * 99 + b"\n") * 2


async def test_what_was_dropped_is_told_in_its_place(logs: LogStore, writer: Writers) -> None:
    stdout = writer()
    stdout.append(b"before\n")
    stdout.drop(4096)
    stdout.append(b"after\n")
    async with Listener(follower(logs, live=False)) as listener:
        await listener.ended()
    assert [payload or header["bytes"] for header, payload in listener.frames] == [b"before\n", 4096, b"after\n"]


async def test_clearing_while_followed(logs: LogStore, writer: Writers) -> None:
    stdout = writer()
    stdout.append(b"old\n")
    async with Listener(follower(logs)) as listener:
        await listener.until(lambda it: it.text() == b"old\n")
        logs.clear(KEY)
        stdout.append(b"new\n")
        await listener.until(lambda it: it.text() == b"old\nnew\n")
    assert listener.gaps == []


async def test_the_folder_removed_by_somebody_while_followed(logs: LogStore, writer: Writers, folder: Path) -> None:
    stdout = writer()
    stdout.append(b"one\n")
    async with Listener(follower(logs)) as listener:
        await listener.until(lambda it: it.text() == b"one\n")
        shutil.rmtree(folder)
        stdout.append(b"two\n")
        await listener.until(lambda it: it.text() == b"one\ntwo\n")


async def test_the_file_cut_by_somebody_while_followed(logs: LogStore, writer: Writers, folder: Path) -> None:
    stdout = writer()
    stdout.append(b"one\n" * 100)
    async with Listener(follower(logs)) as listener:
        await listener.until(lambda it: len(it.text()) == 400)
        truncate(folder)
        stdout.append(b"two\n")
        await listener.until(lambda it: it.text().endswith(b"two\n"))
    assert listener.text() == b"one\n" * 100 + b"two\n"


async def test_a_cut_before_it_was_read_is_a_gap(logs: LogStore, writer: Writers, folder: Path) -> None:
    stdout = writer()
    stdout.append(b"one\n" * 100)
    truncate(folder)
    stdout.append(b"two\n")
    async with Listener(follower(logs, live=False)) as listener:
        await listener.ended()
    assert [gap["bytes"] for gap in listener.gaps] == [400]
    assert listener.text() == b"two\n"


async def test_a_log_begun_anew_is_told_and_read_from_its_start(logs: LogStore, writer: Writers) -> None:
    stdout = writer()
    stdout.append(b"fresh\n")
    async with Listener(follower(logs, cursors={f"{KEY}:stdout": 5000})) as listener:
        await listener.until(lambda it: it.text() == b"fresh\n")
    assert listener.gaps[0]["gap"].endswith("the log was removed and begun anew")


async def test_an_unfinished_line_is_shown_after_a_moment(logs: LogStore, writer: Writers) -> None:
    stdout = writer()
    async with Listener(follower(logs)) as listener:
        stdout.append(b"whole\nPassword: ")
        await listener.until(lambda it: it.text() == b"whole\nPassword: ")
        stdout.append(b"accepted\n")
        await listener.until(lambda it: it.text() == b"whole\nPassword: accepted\n")
    assert listener.frames[0].payload == b"whole\n"


async def test_a_line_without_end_comes_in_pieces(logs: LogStore, writer: Writers) -> None:
    writer().append(b"x" * 300_000)
    async with Listener(follower(logs, live=False)) as listener:
        await listener.ended()
    assert listener.text() == b"x" * 300_000
    assert max(len(payload) for _, payload in listener.frames) == 65536


@pytest.mark.parametrize("live", [True, False])
async def test_with_a_pattern_only_matching_lines_and_the_last_of_them(
    logs: LogStore, writer: Writers, live: bool
) -> None:
    stdout = writer()
    stdout.append(b"".join(b"%s %d\n" % (b"odd" if n % 2 else b"even", n) for n in range(20)))
    async with Listener(follower(logs, live=live, tail=3, grep="od+")) as listener:
        if live:
            await listener.until(lambda it: it.text() == b"odd 15\nodd 17\nodd 19\n")
            stdout.append(b"even 20\nodd 21\n")
            await listener.until(lambda it: it.text().endswith(b"odd 21\n"))
        else:
            await listener.ended()
    assert b"even" not in listener.text()
    assert listener.text().startswith(b"odd 15\nodd 17\nodd 19\n")


async def test_a_pattern_that_makes_no_sense(logs: LogStore, writer: Writers) -> None:
    writer().append(b"a" * 60 + b"!\n")
    for pattern, words in (("(", "cannot be read"), ("(a+)+$", "takes too long")):
        with pytest.raises(UsageError, match=words):
            await Listener(follower(logs, live=False, grep=pattern)).ended()


async def test_one_that_floods_does_not_hold_up_another(logs: LogStore, writer: Writers) -> None:
    loud, quiet = writer("shop/loud", max_size=1_000_000, max_files=100), writer("shop/quiet")
    stop = threading.Event()

    def flood() -> None:
        while not stop.is_set():
            loud.append(b"noise noise noise\n" * 500)

    async with Listener(follower(logs, "shop/loud", "shop/quiet")) as listener:
        thread = threading.Thread(target=flood)
        thread.start()
        try:
            await listener.until(lambda it: len(it.frames) > 20)
            quiet.append(b"a word\n")
            await listener.until(lambda it: it.text("shop/quiet") == b"a word\n", within=10.0)
        finally:
            stop.set()
            thread.join()


async def test_an_idle_stream_is_told_at_once(logs: LogStore, writer: Writers) -> None:
    stdout = writer()
    stdout.append(b"first\n")
    delays = []
    async with Listener(follower(logs)) as listener:
        await listener.until(lambda it: it.frames)
        for number in range(30):
            await asyncio.sleep(0.01)
            began = time.monotonic()
            stdout.append(b"%d\n" % number)
            await listener.until(lambda it, number=number: it.text().endswith(b"\n%d\n" % number))
            delays.append(time.monotonic() - began)
    # 2 ms on an idle machine; the bound is for one that others use too
    assert sorted(delays)[len(delays) // 2] < 0.01


async def test_a_stuck_consumer_holds_little_and_misses_nothing(logs: LogStore, writer: Writers) -> None:
    stdout = writer(max_size=2_000_000)
    frames = follower(logs).frames()
    stdout.append(b"first\n")
    taken = [(await anext(frames)).payload]
    data = b"".join(b"%08d\n" % number for number in range(500_000))
    stdout.append(data)
    while sum(map(len, taken)) < len(data) + 6:
        taken.append((await anext(frames)).payload)
    await frames.aclose()
    assert b"".join(taken) == b"first\n" + data


async def test_an_unfinished_line_beside_another_stream_that_goes_on(logs: LogStore, writer: Writers) -> None:
    asking, busy = writer("shop/asking"), writer("shop/busy")
    async with Listener(follower(logs, "shop/asking", "shop/busy")) as listener:
        began = time.monotonic()
        asking.append(b"Password: ")
        busy.append(b"a line\n")
        await listener.until(lambda it: it.text("shop/asking") == b"Password: ")
    # well before the slow look that would find it in any case
    assert time.monotonic() - began < 0.9
