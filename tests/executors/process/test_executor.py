"""The executor with a real keeper and real processes: start, recover, wait, stop."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness_core.domain.errors import ExecNotStarted, NotFound, UsageError
from harness_core.domain.executor import Ended, ExecRequest, Gone, Marker, Running, StartFailed, Unknown
from harness_core.domain.spec import LimitsSpec
from harness_core.domain.states import Exit, Handle
from harness_core.runtime.processes import ProcessIdentity

MARKER = Marker("s", "a", 1)


async def test_starts_waits_and_keeps_output(kit: Any) -> None:
    started = await kit.start(shell="echo out; echo err >&2; exit 3")
    exit = await kit.executor.wait(MARKER, started.handle)
    assert (exit.code, exit.signal) == (3, None)
    assert kit.output() == b"out\n"
    assert kit.output(stream="stderr") == b"err\n"


async def test_own_session_and_clean_birth(kit: Any) -> None:
    code = """
import json, os
status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
print(json.dumps({
    "leads": os.getsid(0) == os.getpid() == os.getpgrp(),
    "fds": sorted(os.listdir("/proc/self/fd")),
    "umask": os.umask(0),
    "blocked": int(status["SigBlk"], 16),
    "ignored": int(status["SigIgn"], 16),
    "environment": dict(os.environ),
    "cwd": os.getcwd(),
}))
"""
    started = await kit.start(binary="/usr/bin/python3", args=["-I", "-S", "-c", code], env={"A": "1"})
    await kit.executor.wait(MARKER, started.handle)
    seen = json.loads(kit.output())
    # python ignores these two itself; 32 and 33 are the C library's own
    assert seen.pop("ignored") & ~(_bit(32) | _bit(33)) == _bit(signal.SIGPIPE) | _bit(signal.SIGXFSZ)
    assert seen == {
        "leads": True,
        "fds": ["0", "1", "2", "3"],  # the last is the listing itself
        "umask": 0o022,
        "blocked": 0,
        "environment": {"A": "1", "HARNESS_INSTANCE": "test:s/a#1", "LC_CTYPE": "C.UTF-8"},
        "cwd": str(kit.root),
    }


def _bit(signum: int) -> int:
    return 1 << (signum - 1)


async def test_start_is_idempotent(kit: Any) -> None:
    first = await kit.start(binary="sleep", args=["60"])
    second = await kit.executor.start(kit.spec(binary="sleep", args=["60"]))
    assert first.pid == second.pid


async def test_a_new_daemon_takes_everything_back(kit: Any) -> None:
    fifo = kit.root / "go"
    os.mkfifo(fifo)
    running = await kit.start("a", binary="sleep", args=["60"])
    short = await kit.start("b", stdin="go", shell="read line; exit 7")
    await kit.executor.close()
    fifo.write_text("\n")
    kit.executor = kit._new()
    await kit.executor.open()
    found = await kit.executor.recover(MARKER, running.handle)
    assert isinstance(found, Running)
    assert found.started.pid == running.pid
    assert (await kit.executor.wait(Marker("s", "b", 1), short.handle)).code == 7
    assert isinstance(await kit.executor.recover(Marker("s", "never", 1), None), Gone)
    # without the handle, as if the daemon had died before it could store it
    assert isinstance(await kit.executor.recover(MARKER, None), Running)
    ended = await kit.executor.recover(Marker("s", "b", 1), None)
    assert isinstance(ended, Ended)
    assert ended.exit.code == 7


DAEMON = """
import asyncio, sys
from pathlib import Path
from tests.executors.process.conftest import Kit

async def main():
    kit = Kit(Path(sys.argv[1]))
    await kit.executor.open()
    started = await kit.start(shell="for i in $(seq 200000); do echo line $i; done; read line; exit 8", stdin="go")
    print(started.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.fixture
def killed_daemon(tmp_path: Path) -> int:
    """A daemon that started a service and was killed with all its group while that writes; the service's pid."""
    os.mkfifo(tmp_path / "go")
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, "-c", DAEMON, str(tmp_path)], stdout=subprocess.PIPE, cwd=root, start_new_session=True
    ) as daemon:
        assert daemon.stdout is not None
        pid = int(daemon.stdout.readline())
        os.killpg(daemon.pid, signal.SIGKILL)
    return pid


async def test_a_killed_daemon_costs_nothing(killed_daemon: int, kit: Any) -> None:
    found = await kit.executor.recover(MARKER, None)
    assert isinstance(found, Running)
    assert found.started.pid == killed_daemon
    (kit.root / "go").write_text("\n")
    assert (await kit.executor.wait(MARKER, found.started.handle)).code == 8
    assert kit.output() == b"".join(b"line %d\n" % number for number in range(1, 200_001))


async def test_stop_ends_everything(kit: Any) -> None:
    code = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen(["sleep", "71"])                              # same group
subprocess.Popen(["sleep", "72"], start_new_session=True)      # its own session
subprocess.Popen(["sh", "-c", "setsid sleep 73 & exit 0"]).wait()   # double fork
stopped = subprocess.Popen(["sleep", "74"]); stopped.send_signal(signal.SIGSTOP)
print("ready"); time.sleep(60)
"""
    started = await kit.python(code)
    await kit.until_output(b"ready")
    report = await kit.executor.stop(MARKER, started.handle, signal=signal.SIGTERM, grace=0.2)
    assert report.forced
    assert report.leftovers == ()
    assert report.exit == Exit(signal=9, at=report.exit.at)
    assert await kit.executor.recover(MARKER, started.handle) == Ended(report.exit)


async def test_gentle_stop_needs_no_force(kit: Any) -> None:
    started = await kit.start(shell="trap 'echo bye; exit 4' TERM; echo ready; while :; do sleep 0.05; done")
    await kit.until_output(b"ready")
    report = await kit.executor.stop(MARKER, started.handle, signal=signal.SIGTERM, grace=5)
    assert (report.forced, report.leftovers, report.exit.code) == (False, (), 4)
    assert kit.output() == b"ready\nbye\n"


async def test_a_shorter_grace_overtakes(kit: Any) -> None:
    started = await kit.start(shell="trap '' TERM; echo ready; while :; do sleep 0.05; done")
    await kit.until_output(b"ready")
    patient = asyncio.create_task(kit.executor.stop(MARKER, started.handle, signal=signal.SIGTERM, grace=60))
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        report = await kit.executor.stop(MARKER, started.handle, signal=signal.SIGTERM, grace=0)
        assert await patient == report
    assert report.forced


async def test_a_dead_keeper_is_replaced_and_nothing_is_lost(kit: Any) -> None:
    code = "for i in range(300000): print('%08d' % i)"
    started = await kit.python(code)
    waiting = asyncio.create_task(kit.executor.wait(MARKER, started.handle))
    for _ in range(5):
        old = kit.keeper
        kit.kill_keeper()
        await kit.until(lambda old=old: kit.keeper != old)
    exit = await waiting
    assert exit.code == 0
    assert kit.output() == b"".join(b"%08d\n" % i for i in range(300000))


async def test_growth_is_told(kit: Any) -> None:
    await kit.start(shell="echo one; sleep 60")
    await kit.until_output(b"one")
    async with asyncio.timeout(5):
        await kit.sink.wake.wait()
    assert kit.sink.told[0] == "s/a"


async def test_a_frozen_keeper_is_replaced(kit: Any) -> None:
    started = await kit.start(shell="trap 'exit 6' TERM; echo ready; while :; do sleep 0.02; done")
    await kit.until_output(b"ready")
    frozen = kit.keeper
    os.kill(frozen, signal.SIGSTOP)
    await kit.until(lambda: kit.keeper != frozen, 20)
    os.kill(started.pid, signal.SIGTERM)
    assert (await kit.executor.wait(MARKER, started.handle)).code == 6


async def test_a_frozen_keeper_is_replaced_by_a_new_daemon(kit: Any) -> None:
    started = await kit.start(binary="sleep", args=["60"])
    frozen = kit.keeper
    await kit.executor.close()
    os.kill(frozen, signal.SIGSTOP)
    kit.executor = kit._new()
    await kit.executor.open()
    assert kit.keeper != frozen
    assert isinstance(await kit.executor.recover(MARKER, started.handle), Running)


async def test_lost_records_do_not_lose_a_service(kit: Any) -> None:
    started = await kit.start(binary="sleep", args=["60"])
    kit.forget_records()
    kit.kill_keeper()
    waiting = asyncio.create_task(kit.executor.wait(MARKER, started.handle))
    await kit.executor.signal(MARKER, started.handle, signal.SIGUSR1)
    exit = await waiting
    assert exit.signal == signal.SIGUSR1


async def test_without_records_and_handle_the_marker_is_enough(kit: Any) -> None:
    started = await kit.start(binary="sleep", args=["60"])
    kit.forget_records()
    old = kit.keeper
    kit.kill_keeper()
    kit.executor._lives.drop(MARKER)
    await kit.until(lambda: kit.keeper != old)
    found = await kit.executor.recover(MARKER, None)
    assert isinstance(found, Running)
    assert found.started.pid == started.pid


async def test_a_reused_pid_is_never_signalled(kit: Any) -> None:
    started = await kit.start(binary="sleep", args=["60"])
    stranger = dict(started.handle.data["identity"])
    stranger["start"] += 1  # what a handle looks like whose pid has gone to another process
    handle = Handle("process", {**started.handle.data, "identity": stranger})
    gone = Marker("s", "gone", 1)
    with pytest.raises(NotFound, match="it has ended"):
        await kit.executor.signal(gone, handle, signal.SIGKILL)
    report = await kit.executor.stop(gone, handle, signal=signal.SIGKILL, grace=0)
    assert report.leftovers == ()
    assert isinstance(await kit.executor.recover(gone, handle), Ended)
    elsewhere = Handle("process", {"identity": {**started.handle.data["identity"], "boot_id": "another boot"}})
    await kit.executor.stop(gone, elsewhere, signal=signal.SIGKILL, grace=0)
    assert isinstance(await kit.executor.recover(MARKER, started.handle), Running)


async def test_a_new_life_clears_what_the_last_one_left(kit: Any) -> None:
    left = "setsid sleep 60 & echo $!; exit 1"
    first = await kit.start(shell=left)
    await kit.executor.wait(MARKER, first.handle)
    orphan = int((await kit.until_output(b"\n")).split()[0])
    assert ProcessIdentity.of(orphan) is not None
    second = await kit.start(epoch=2, binary="sleep", args=["60"])
    assert ProcessIdentity.of(orphan) is None
    assert ProcessIdentity.of(second.pid) is not None


async def test_two_lives_of_a_service_are_refused(kit: Any) -> None:
    started = await kit.start(binary="sleep", args=["60"])
    with pytest.raises(StartFailed, match=f"its life 1 runs as pid {started.pid}"):
        await kit.start(epoch=2, binary="sleep", args=["60"])


async def test_a_forgotten_service_goes_on_writing(kit: Any) -> None:
    started = await kit.python("print('x' * 3_000_000); print('end'); import time; time.sleep(60)")
    await kit.executor.forget(MARKER, started.handle)
    await kit.until_output(b"end")
    assert ProcessIdentity.of(started.pid) is not None


async def test_endpoints_survive_the_daemon(kit: Any) -> None:
    started = await kit.start(binary="sleep", args=["60"], ports={"web": 8080, "db": 5432}, schemes={"db": "postgres"})
    assert [endpoint.url for endpoint in started.endpoints.values()] == [
        "http://127.0.0.1:8080",
        "postgres://127.0.0.1:5432",
    ]
    await kit.replace_daemon()
    for handle in (started.handle, None):
        found = await kit.executor.recover(MARKER, handle)
        assert isinstance(found, Running)
        assert found.started.endpoints == started.endpoints


async def test_a_handle_of_another_version_is_unknown_not_gone(kit: Any) -> None:
    found = await kit.executor.recover(MARKER, Handle("process", {}, version=7))
    assert isinstance(found, Unknown)
    found = await kit.executor.recover(MARKER, Handle("process", {"identity": {"pid": "x"}}))
    assert isinstance(found, Unknown)


async def test_inspection_sums_up_the_tree(kit: Any) -> None:
    code = "import socket, subprocess, time; s = socket.create_server(('127.0.0.1', 0)); subprocess.Popen(['sleep', '60']); print(s.getsockname()[1]); time.sleep(60)"  # noqa: E501
    started = await kit.python(code)
    port = int(await kit.until_output(b"\n"))
    seen = await kit.executor.inspect(MARKER, started.handle)
    assert started.pid in seen.pids
    assert len(seen.pids) == 2
    assert seen.memory_bytes > 1_000_000
    assert seen.listening == (f"127.0.0.1:{port}",)
    assert seen.details["command"][0] == sys.executable


async def test_a_limit_of_open_files(kit: Any) -> None:
    started = await kit.start(shell="ulimit -n", limits=LimitsSpec(nofile=77))
    await kit.executor.wait(MARKER, started.handle)
    assert kit.output() == b"77\n"


async def test_a_memory_limit_is_kept_and_named(kit: Any) -> None:
    code = "import os; print('begin', flush=True); b = bytearray(300_000_000); print('had it')"
    started = await kit.python(code, limits=LimitsSpec(memory=60_000_000))
    exit = await kit.executor.wait(MARKER, started.handle)
    assert kit.output() == b"begin\n"
    assert not exit.success
    if started.handle.data["cgroups"]:
        assert exit.oom
        assert str(exit) == "killed by the kernel: out of memory"
        for path in started.handle.data["cgroups"]:
            with pytest.raises(FileNotFoundError):
                os.stat(path)
    else:
        assert "RLIMIT_DATA" in started.handle.data["notes"][0]


class TestSpawnErrors:
    """Each is told apart, in a person's words, and is not tried again where that is useless."""

    async def refused(self, kit: Any, **more: Any) -> StartFailed:
        with pytest.raises(StartFailed) as caught:
            await kit.start(**more)
        assert caught.value.permanent
        return caught.value

    async def test_not_on_the_path(self, kit: Any) -> None:
        error = await self.refused(kit, binary="slep")
        assert error.message == "cannot start slep: it is not on the PATH of the stack"
        assert "sleep" in error.hint

    async def test_no_such_file(self, kit: Any) -> None:
        (kit.root / "serve.sh").touch()
        error = await self.refused(kit, binary="./server.sh")
        assert error.message == f"cannot start ./server.sh: no such file {kit.root}/server.sh"
        assert error.hint == "did you mean serve.sh?"

    async def test_not_executable(self, kit: Any) -> None:
        (kit.root / "tool").write_text("#!/bin/sh\n")
        error = await self.refused(kit, binary="./tool")
        assert error.message == f"cannot start {kit.root}/tool: not executable"
        assert error.hint == f"chmod +x {kit.root}/tool"

    async def test_bad_interpreter(self, kit: Any) -> None:
        self.tool(kit, "#!/no/such/python\n")
        error = await self.refused(kit, binary="./tool")
        assert error.message == f"cannot start {kit.root}/tool: its interpreter is missing: /no/such/python"

    async def test_no_interpreter(self, kit: Any) -> None:
        self.tool(kit, "echo no first line\n")
        error = await self.refused(kit, binary="./tool")
        assert "not a program for this machine" in error.message
        assert "#!/bin/sh" in error.hint

    async def test_working_dir(self, kit: Any) -> None:
        (kit.root / "api").mkdir()
        error = await self.refused(kit, binary="sleep", working_dir="apu")
        assert error.message == f"cannot start sleep: its working_dir {kit.root}/apu does not exist"
        assert error.hint == "did you mean api?"

    async def test_a_folder(self, kit: Any) -> None:
        (kit.root / "api").mkdir()
        assert "is a folder" in (await self.refused(kit, binary="./api")).message

    async def test_unknown_user(self, kit: Any) -> None:
        error = await self.refused(kit, binary="sleep", user="noboby")
        assert error.message == "cannot start as user noboby: no such user"
        assert error.hint == "did you mean nobody?"

    async def test_too_long(self, kit: Any) -> None:
        assert "too long" in (await self.refused(kit, binary="echo", args=["x" * 200_000])).message

    def tool(self, kit: Any, text: str) -> None:
        path = kit.root / "tool"
        path.write_text(text)
        path.chmod(0o755)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
async def test_as_another_user(kit: Any) -> None:
    started = await kit.start(shell="id -un; id -Gn", user="nobody", base_dir=Path("/"))
    await kit.executor.wait(MARKER, started.handle)
    assert kit.output() == b"nobody\nnogroup\n"


class TestAdoption:
    """Taking over what already runs."""

    @pytest.fixture
    def server(self) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
        code = "import socket, sys; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); sys.exit(int(sys.stdin.readline()))"  # noqa: E501
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        with process:
            assert process.stdout is not None
            yield process, int(process.stdout.readline())
            process.kill()

    async def test_by_pid_port_and_file(self, kit: Any, server: Any) -> None:
        process, port = server
        (kit.root / "server.pid").write_text(f"{process.pid}\n")
        for what in ({"pid": process.pid}, {"port": port}, {"pid_file": str(kit.root / "server.pid")}):
            started = await kit.executor.adopt(kit.spec("adopted", binary="x"), what)
            assert started.pid == process.pid

    async def test_its_exit_code_is_seen(self, kit: Any, server: Any) -> None:
        process, _ = server
        marker = Marker("s", "adopted", 1)
        started = await kit.executor.adopt(kit.spec("adopted", binary="x"), {"pid": process.pid})
        seen = await kit.executor.inspect(marker, started.handle)
        assert "taken over" in seen.details["logs"]
        await kit.replace_daemon()
        assert isinstance(await kit.executor.recover(marker, started.handle), Running)
        process.stdin.write(b"9\n")
        process.stdin.flush()
        assert (await kit.executor.wait(marker, started.handle)).code == 9

    async def test_it_is_stopped_and_nothing_else(self, kit: Any, server: Any) -> None:
        process, _ = server
        marker = Marker("s", "adopted", 1)
        started = await kit.executor.adopt(kit.spec("adopted", binary="x"), {"pid": process.pid})
        report = await kit.executor.stop(marker, started.handle, signal=signal.SIGTERM, grace=5)
        assert (report.forced, report.leftovers) == (False, ())
        assert report.exit.signal == signal.SIGTERM

    async def test_nothing_to_take_over(self, kit: Any) -> None:
        spec = kit.spec("adopted", binary="x")
        with pytest.raises(NotFound, match="there is no process with pid"):
            await kit.executor.adopt(spec, {"pid": 2**22 + 1})
        with pytest.raises(NotFound, match="there is no pid file"):
            await kit.executor.adopt(spec, {"pid_file": "/no/such/file"})
        with pytest.raises(UsageError, match="exactly one of"):
            await kit.executor.adopt(spec, {})


class TestExec:
    """Commands beside an instance."""

    async def run(self, kit: Any, *argv: str, **more: Any) -> Any:
        return await kit.executor.exec(MARKER, None, kit.spec(binary="sleep"), ExecRequest(argv, **more))

    async def collect(self, session: Any) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        async for stream, data in session.output():
            found[stream] = found.get(stream, b"") + data
        return found

    async def test_streams_and_exit_code(self, kit: Any) -> None:
        session = await self.run(kit, "sh", "-c", "cat; echo $A >&2; exit 3", env={"A": "1"})
        await session.write(b"to and fro")
        await session.write_eof()
        assert await self.collect(session) == {"stdout": b"to and fro", "stderr": b"1\n"}
        assert (await session.wait()).code == 3
        await session.close()

    async def test_a_terminal(self, kit: Any) -> None:
        session = await self.run(kit, "sh", "-c", "tty; stty size; read a; echo got $a", tty=True, rows=30, columns=90)
        await session.write(b"word\n")
        found = (await self.collect(session))["stdout"].replace(b"\r", b"")
        assert b"/dev/pts/" in found
        assert b"30 90\n" in found
        assert found.endswith(b"got word\n")
        assert (await session.wait()).code == 0
        await session.close()

    async def test_a_terminal_read_late_is_read_whole(self, kit: Any) -> None:
        """The end of the command comes while pieces of its output still wait: they are handed out before the end."""
        session = await self.run(kit, "sh", "-c", "for i in $(seq 60); do echo $i; sleep 0.01; done", tty=True)
        assert (await session.wait()).code == 0
        found = (await self.collect(session))["stdout"].split()
        assert found == [b"%d" % number for number in range(1, 61)]
        await session.close()

    async def test_closing_ends_all_of_it(self, kit: Any) -> None:
        session = await self.run(kit, "sh", "-c", "trap '' HUP TERM; setsid sleep 60 & echo $!; sleep 60")
        async for _, data in session.output():
            orphan = int(data)
            break
        await session.close()
        assert ProcessIdentity.of(orphan) is None

    async def test_an_interrupt(self, kit: Any) -> None:
        session = await self.run(kit, "sleep", "60")
        await session.signal(signal.SIGINT)
        assert (await session.wait()).signal == signal.SIGINT
        await session.close()

    async def test_what_cannot_start(self, kit: Any) -> None:
        with pytest.raises(ExecNotStarted, match="not on the PATH"):
            await self.run(kit, "no-such-tool")
        with pytest.raises(ExecNotStarted, match="no command"):
            await self.run(kit)

    async def test_it_belongs_to_the_instance(self, kit: Any) -> None:
        started = await kit.start(binary="sleep", args=["60"])
        session = await self.run(kit, "sleep", "60")
        await kit.executor.stop(MARKER, started.handle, signal=signal.SIGTERM, grace=0.5)
        assert (await session.wait()).signal is not None
        await session.close()
