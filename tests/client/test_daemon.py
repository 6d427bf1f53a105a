"""Starting the local daemon: once for all who ask, detached, and with its last words when it fails.

What is started is a small package of that name which opens real doors, so that nothing but the start is tested here.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness_core.client import daemon, fast
from harness_core.domain.errors import Conflict, InvalidConfiguration, NotAllowed, OperationFailed

ROOT = Path(__file__).parents[2]

GOOD = """
import asyncio, fcntl, json, os, pathlib, signal, sys, time
from tests.doors.conftest import House, table_of
from harness_core.doors.doors import Doors

async def main():
    state = pathlib.Path(os.environ["HARNESS_STATE_DIR"])
    lock = os.open(state / "daemon.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with open(state / "starts", "a") as file:
        file.write(f"{os.getpid()} {os.getsid(0)} {os.readlink('/proc/self/fd/0')}\\n")
    found = []
    doors = Doors(state, table_of(lambda: found[0]), port=0)
    found.append(House(doors, state))
    leave = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, leave.set)
    async with doors:
        card = {"pid": os.getpid(), "url": doors.url, "started_at": time.time()}
        (state / "daemon.json").write_text(json.dumps(card))
        await leave.wait()

asyncio.run(main())
"""
BROKEN = "import sys\nfor n in range(30):\n    print('line', n, file=sys.stderr)\nsys.exit(3)\n"
SILENT = "import signal\nsignal.pause()\n"


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state directory whose daemon, if one was started, is ended and reaped."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path / "packages"), str(ROOT))))
    directory = tmp_path / "state"
    yield directory
    for line in (directory / "starts").read_text().splitlines() if (directory / "starts").exists() else ():
        end(int(line.split()[0]))


def end(pid: int, number: int = signal.SIGTERM) -> None:
    try:
        os.kill(pid, number)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass


def program(tmp_path: Path, source: str) -> None:
    folder = tmp_path / "packages" / "harness"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "__init__.py").touch()
    (folder / "__main__.py").write_text(source)


def starts(state: Path) -> list[list[str]]:
    return [line.split() for line in (state / "starts").read_text().splitlines()]


def test_a_state_directory_that_cannot_be_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in ("file", "file/below"):
        with pytest.raises(InvalidConfiguration, match=f"cannot use .*{place} as the state directory"):
            daemon.ensure(str(tmp_path / place))


def test_it_is_started_detached_and_then_found(state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, GOOD)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "asyncio.py").write_text("raise SystemExit('imported from the current directory')")
    endpoint = daemon.ensure(str(state))
    assert fast.call(endpoint, "echo", {"value": 1})["value"] == 1
    assert daemon.ensure(str(state)) == endpoint
    ((pid, session, stdin),) = starts(state)
    assert pid == session
    assert stdin == "/dev/null"
    assert daemon.running_pid(str(state)) == int(pid)
    assert daemon.is_held(str(state))


def test_twenty_commands_at_once_start_one(state: Path, tmp_path: Path) -> None:
    program(tmp_path, GOOD)
    ask = "import sys; from harness_core.client import daemon; print(daemon.ensure(sys.argv[1]).url)"
    commands = [
        subprocess.Popen([sys.executable, "-c", ask, str(state)], stdout=subprocess.PIPE, text=True) for _ in range(20)
    ]
    urls = {command.communicate(timeout=60)[0] for command in commands}
    assert len(urls) == 1
    assert len(starts(state)) == 1


def test_what_a_killed_daemon_left_behind_does_not_mislead(state: Path, tmp_path: Path) -> None:
    program(tmp_path, GOOD)
    first = daemon.ensure(str(state))
    pid = int(starts(state)[0][0])
    os.kill(pid, signal.SIGKILL)
    assert daemon.ensure(str(state)).token == first.token
    assert len(starts(state)) == 2
    os.waitpid(pid, 0)


def test_a_number_that_now_belongs_to_somebody_else_does_not_mislead(state: Path, tmp_path: Path) -> None:
    program(tmp_path, GOOD)
    endpoint = daemon.ensure(str(state))
    end(int(starts(state)[0][0]))
    card = {"pid": os.getpid(), "url": endpoint.url, "started_at": 0}
    (state / "daemon.json").write_text(json.dumps(card))
    assert daemon.answers(str(state)) is None
    daemon.ensure(str(state))
    assert len(starts(state)) == 2


def test_another_daemon_at_the_old_address_is_not_taken_for_ours(state: Path, tmp_path: Path) -> None:
    program(tmp_path, GOOD)
    daemon.ensure(str(state))
    other = tmp_path / "other"
    try:
        elsewhere = daemon.ensure(str(other))
        end(int(starts(state)[0][0]))
        card = json.loads((state / "daemon.json").read_text()) | {"url": elsewhere.url, "pid": os.getpid()}
        (state / "daemon.json").write_text(json.dumps(card))
        assert daemon.answers(str(state)) is None
        assert daemon.ensure(str(state)).url != elsewhere.url
        # but while ours lives, an address that leads elsewhere is told, not passed over
        (state / "daemon.json").write_text(json.dumps(card))
        with pytest.raises(NotAllowed, match="not the daemon you know"):
            daemon.ensure(str(state))
    finally:
        end(int(starts(other)[0][0]))


def test_one_that_fails_is_quoted(state: Path, tmp_path: Path) -> None:
    program(tmp_path, BROKEN)
    state.mkdir()
    (state / "daemon.log").write_text("an older story\n")
    with pytest.raises(OperationFailed, match="it ended with code 3") as caught:
        daemon.ensure(str(state))
    assert caught.value.data["last_lines"] == [f"line {number}" for number in range(20, 30)]
    assert "older" not in caught.value.message
    assert str(state / "daemon.log") in caught.value.hint


def test_one_that_never_answers_is_given_up(state: Path, tmp_path: Path) -> None:
    program(
        tmp_path,
        "import os, sys\nopen(os.environ['HARNESS_STATE_DIR'] + '/starts', 'w').write(str(os.getpid()))\n" + SILENT,
    )
    with pytest.raises(OperationFailed, match=r"it does not answer after 1 s"):
        daemon.ensure(str(state), timeout=1.0)


def test_a_start_that_somebody_else_never_finishes_is_named(state: Path) -> None:
    state.mkdir()
    hold = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, 2); print('held', flush=True); input()"
    holder = subprocess.Popen(
        [sys.executable, "-c", hold, str(state / "daemon.start.lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(Conflict, match="another command has been starting it"):
        daemon.ensure(str(state), timeout=0.1)
    holder.communicate(b"\n")


def test_the_dead_who_were_not_reaped_do_not_run(state: Path) -> None:
    state.mkdir()
    child = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.read()
    card = {"pid": child.pid, "url": "https://127.0.0.1:1"}
    (state / "daemon.json").write_text(json.dumps(card))
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert daemon.running_pid(str(state)) is None
    child.wait()
    child.stdout.close()
