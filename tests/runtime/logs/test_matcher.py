from __future__ import annotations

import asyncio
import os
import random
import signal
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from harness_core.runtime.logs.matcher import _HELPER, Matcher, PatternError, compile_pattern


@pytest.fixture
async def matcher() -> AsyncIterator[Matcher]:
    matcher = Matcher()
    yield matcher
    await matcher.close()


def helper(matcher: Matcher) -> Any:
    return matcher._helper


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("b", [1, 2]),
        ("^b", [1]),
        ("b|c", [1, 2, 3]),
        ("b+", [1, 2]),
        (r"\d{2}", [4]),
        ("(?i)B", [1, 2]),
        ("", [0, 1, 2, 3, 4]),
        ("é?é", []),
    ],
)
async def test_which_lines_match(matcher: Matcher, pattern: str, expected: list[int]) -> None:
    lines = [b"a", b"bb", b"ab\xff\x00", b"c", b"x42"]
    assert await matcher.search(pattern, lines) == expected
    assert await matcher.search(pattern, []) == []


async def test_simple_patterns_need_no_helper(matcher: Matcher) -> None:
    await matcher.search("ready|done", [b"ready"])
    assert helper(matcher) is None
    await matcher.search("read(y|ier)+", [b"ready"])
    assert helper(matcher) is not None


@pytest.mark.parametrize("pattern", ["(", "[a", "a{2,1}", "*", "\udcff", "x" * 5000, "(?P<n>a)(?P<n>b)"])
async def test_patterns_that_are_none(matcher: Matcher, pattern: str) -> None:
    with pytest.raises(PatternError, match="the pattern"):
        await matcher.search(pattern, [b"a"])


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(.*a){20}$", "a*a*a*a*a*a*b"])
async def test_a_pattern_that_explodes_is_ended_and_the_loop_lives(pattern: str) -> None:
    matcher = Matcher(deadline=0.3)
    turns = 0

    async def live() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.005)
            turns += 1

    alive = asyncio.create_task(live())
    began = time.monotonic()
    with pytest.raises(PatternError, match="takes too long"):
        await matcher.search(pattern, [b"a" * 5000 + b"!"])
    assert time.monotonic() - began < 5.0
    assert turns > 10
    alive.cancel()
    await asyncio.gather(alive, return_exceptions=True)
    assert await matcher.search("a+", [b"a"]) == [0]
    await matcher.close()


async def test_a_caller_that_leaves_does_not_leave_its_answer_behind(matcher: Matcher) -> None:
    asked = asyncio.create_task(matcher.search("(a+)+$", [b"a" * 40 + b"!"]))
    while helper(matcher) is None:
        await asyncio.sleep(0.001)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert await matcher.search("b+", [b"a", b"b"]) == [1]


async def test_a_helper_that_was_killed_is_replaced(matcher: Matcher) -> None:
    assert await matcher.search("a+", [b"a"]) == [0]
    process = helper(matcher)
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    assert await matcher.search("a+", [b"a"]) == [0]


def test_a_helper_whose_daemon_died_does_not_search_for_ever() -> None:
    pattern, line = b"(a+)+$", b"a" * 60 + b"!"
    body = struct.pack("<I", len(pattern)) + pattern + struct.pack("<II", 1, len(line)) + line
    done = subprocess.run(
        [sys.executable, "-I", "-S", _HELPER, "1"],
        input=struct.pack("<I", len(body)) + body,
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == -signal.SIGALRM


async def test_idle_it_leaves() -> None:
    matcher = Matcher(idle=0.05)
    await matcher.search("a+", [b"a"])
    process = helper(matcher)
    await asyncio.wait_for(process.wait(), 10)
    assert helper(matcher) is None
    assert await matcher.search("a+", [b"a"]) == [0]
    await matcher.close()


async def test_many_callers_take_turns(matcher: Matcher) -> None:
    answers = await asyncio.gather(*(matcher.search(f"x{n}+", [b"x1", b"x2", b"x3"]) for n in (1, 2, 3) * 5))
    assert answers == [[0], [1], [2]] * 5


async def test_fuzz_the_same_answers_as_without_a_helper(matcher: Matcher) -> None:
    dice = random.Random(3)
    for _ in range(30):
        lines = [dice.randbytes(dice.randint(0, 60)) for _ in range(dice.randint(0, 50))]
        for pattern in (r"\d+", r"[a-f]{1,3}x?", r"\x00+", ".*"):
            search = compile_pattern(pattern).search
            assert await matcher.search(pattern, lines) == [n for n, line in enumerate(lines) if search(line)]
