"""Finding what already runs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness_core.domain.errors import Conflict, HarnessError, NotFound, UsageError
from harness_core.runtime.finding import find_process, listeners

SERVER = """
import os, socket, sys
listener = socket.create_server(("127.0.0.1", 0))
if os.fork(): print(listener.getsockname()[1], flush=True)
sys.stdin.read()
"""


@pytest.fixture
def server() -> Iterator[tuple[int, int]]:
    """A listener with a worker that holds the same socket; its pid and port."""
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        yield process.pid, int(process.stdout.readline())


def test_a_server_is_meant_not_its_workers(server: tuple[int, int]) -> None:
    pid, port = server
    assert len(listeners(port)) == 2
    assert find_process({"port": port}).pid == pid
    assert find_process({"pid": str(pid)}).pid == pid


def test_several_are_named_and_none_is_taken() -> None:
    argv = ["/bin/sleep", "60"]
    with subprocess.Popen(argv) as one, subprocess.Popen(argv) as two:
        with pytest.raises(Conflict) as caught:
            find_process({"match": "/bin/sleep 60"})
        one.kill()
        two.kill()
    assert {one.pid, two.pid} <= {other["pid"] for other in caught.value.data["candidates"]}
    assert f"pid {one.pid} (sleep)" in caught.value.message


def test_a_pid_file(server: tuple[int, int], tmp_path: Path) -> None:
    file = tmp_path / "pid"
    file.write_text(f"{server[0]} started today\n")
    assert find_process({"pid_file": file}).pid == server[0]
    file.write_text("soon")
    with pytest.raises(HarnessError, match="there is no pid in it"):
        find_process({"pid_file": file})
    file.write_text("999999999")
    with pytest.raises(NotFound, match=r"no process with pid 999999999 \(as .*pid says\)"):
        find_process({"pid_file": file})
    with pytest.raises(HarnessError, match="directory"):
        find_process({"pid_file": tmp_path})


def test_a_match_is_the_name_the_program_or_the_command_line(server: tuple[int, int], tmp_path: Path) -> None:
    """And the one above its workers, which look the same."""
    program = tmp_path / "one-of-a-kind"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "61.5"]) as process:
        try:
            for match in ("one-of-a-kind", f"{program} 61.5"):
                assert find_process({"match": match}).pid == process.pid
            with pytest.raises(NotFound, match="no process matches"):
                find_process({"match": "one-of-a"})
        finally:
            process.kill()
    line = " ".join(Path(f"/proc/{server[0]}/cmdline").read_bytes().decode().rstrip("\0").split("\0"))
    assert find_process({"match": line}).pid == server[0]


@pytest.mark.parametrize(
    ("what", "kind", "said"),
    [
        ({"pid": 2**22 + 1}, NotFound, "no process with pid"),
        ({"pid": 2**70}, NotFound, "no process with pid"),
        ({"pid": -1}, NotFound, "no process with pid"),
        ({"pid": "x"}, UsageError, "is not a pid"),
        ({"pid": 1}, UsageError, "first process"),
        ({"pid": os.getpid()}, UsageError, "this daemon"),
        ({"port": "x"}, UsageError, "is not a port"),
        ({"port": 1}, NotFound, "nobody listens"),
        ({"match": "no such name"}, NotFound, "no process matches"),
        ({"pid_file": "/no/such/file"}, NotFound, "there is no pid file"),
        ({"pid": 2, "port": 3}, UsageError, "exactly one of"),
        ({"colour": "red"}, UsageError, "exactly one of"),
    ],
)
def test_what_cannot_be_found(what: dict[str, object], kind: type[HarnessError], said: str) -> None:
    with pytest.raises(kind, match=said):
        find_process(what)
