"""The leak detector finds what it is made for; its own tests would otherwise be the leak."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from harness_core.testing.leaks import Snapshot, descendants, pending_tasks

ROOT = Path(__file__).parents[2]


def test_nothing_new_is_no_leak() -> None:
    assert Snapshot.take().leaks(0) == []


def test_a_process_that_writes_over_its_command_line_is_the_same_one() -> None:
    """Servers tell there what they are at."""
    code = "import os, sys; os.read(0, 1); os.execv(sys.argv[1], ['another name', '9'])"
    argv = [sys.executable, "-I", "-S", "-c", code, "/bin/sleep"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as child:
        try:
            before = Snapshot.take()
            assert child.stdin is not None
            child.stdin.write(b".")
            child.stdin.flush()
            deadline = time.monotonic() + 10
            while b"another name" not in Path(f"/proc/{child.pid}/cmdline").read_bytes():
                assert time.monotonic() < deadline
                time.sleep(0.01)
            assert before.leaks(0) == []
        finally:
            child.kill()


def test_a_process_is_found_and_ended() -> None:
    before = Snapshot.take()
    child = subprocess.Popen(["sleep", "60"])
    (leak,) = before.leaks(0)
    assert leak.startswith(f"process {child.pid} (sleep")  # it may be amid its exec
    child.wait(5)
    assert before.leaks(0) == []


def test_an_orphan_is_found() -> None:
    before = Snapshot.take()
    subprocess.run(["sh", "-c", "sleep 60 & exit 0"], check=True)
    (leak,) = before.leaks(0)
    assert leak.startswith("process ")
    assert "sleep 60" in leak or "(sleep)" in leak  # before, after or amid its exec
    assert before.leaks(0) == []


def test_a_zombie_counts_as_dead_and_is_reaped() -> None:
    before = Snapshot.take()
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert not [process for process in descendants() if process.pid == pid]
    assert before.leaks(0) == []
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, 0)


def test_a_descriptor_is_found() -> None:
    before = Snapshot.take()
    fd = os.open("/dev/null", os.O_RDONLY)
    try:
        assert before.leaks(0) == [f"file descriptor {fd} (/dev/null)"]
    finally:
        os.close(fd)


def test_a_descriptor_that_means_something_else_now_is_found() -> None:
    fd = os.open("/dev/null", os.O_RDONLY)
    before = Snapshot.take()
    os.close(fd)
    again = os.open("/dev/zero", os.O_RDONLY)
    try:
        assert again == fd
        assert before.leaks(0) == [f"file descriptor {fd} (/dev/zero)"]
    finally:
        os.close(again)


def test_a_thread_is_found_until_it_ends() -> None:
    before = Snapshot.take()
    go = threading.Event()
    thread = threading.Thread(target=go.wait, name="lingering")
    thread.start()
    assert before.leaks(0) == ["thread lingering"]
    go.set()
    assert before.leaks() == []


async def test_a_pending_task_is_found() -> None:
    task = asyncio.create_task(asyncio.sleep(60))
    assert pending_tasks() == [task]
    task.cancel()
    await asyncio.wait([task])
    assert pending_tasks() == []


LEAKY = """
    import asyncio, os, subprocess, threading, pytest

    def test_process(): subprocess.run(["sh", "-c", "sleep 60 &"], check=True)
    def test_descriptor(): os.open("/dev/null", os.O_RDONLY)
    async def test_task(): keep.append(asyncio.create_task(asyncio.sleep(60)))
    async def test_clean(): await asyncio.to_thread(os.getpid)
    def test_skipped(): pytest.skip("no such thing here")
    @pytest.mark.xfail
    def test_expected(): raise AssertionError
    keep = []
"""


def run_pytest(tests: Path, **env: str) -> str:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "-c",
            str(ROOT / "pyproject.toml"),
            "-q",
            "-rA",
            str(tests),
        ],
        cwd=tests,
        env={**os.environ, "HARNESS_TEST_REQUIRE": "", "PYTHONPATH": str(ROOT), **env},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout


def test_our_own_fixture_fails_the_tests_that_leak(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    (tmp_path / "test_leaky.py").write_text(textwrap.dedent(LEAKY))
    told = run_pytest(tmp_path)
    assert "the test left behind: process" in told
    assert "the test left behind: file descriptor" in told
    assert "the test left tasks behind" in told
    assert "4 passed, 1 skipped, 1 xfailed, 3 errors" in told


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ('def test_one(): pytest.skip("no such thing here")', "no such thing here"),
        ('pytest.importorskip("no_such_module")', "could not import 'no_such_module'"),
    ],
)
def test_a_skip_is_a_failure_where_everything_is_required(tmp_path: Path, body: str, reason: str) -> None:
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    (tmp_path / "test_skipping.py").write_text(f"import pytest\n{body}\n")
    assert "1 skipped" in run_pytest(tmp_path)
    assert f"skipped, but HARNESS_TEST_REQUIRE=all: Skipped: {reason}" in run_pytest(
        tmp_path, HARNESS_TEST_REQUIRE="all"
    )
