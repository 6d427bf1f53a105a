"""Output, tasks and commands: bytes from real doors to standard output, through lost connections and closed pipes."""

from __future__ import annotations

import base64
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness_core.domain import errors
from tests.cli import rows
from tests.cli.conftest import MakeDaemon
from tests.cli.kit import line

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "harness"]


def frame(offset: int, payload: bytes, service: str = "shop/db", stream: str = "stdout", **more: Any) -> Any:
    header = {"service": service, "stream": stream, "epoch": 1, "at": rows.NOW, "offset": offset}
    return {**header, "next": offset + len(payload), **more}, payload


def sending(*frames: Any, result: Any = None, error: Exception | None = None) -> Any:
    async def handler(request: Any, stream: Any) -> Any:
        for header, payload in frames:
            await stream.send_bytes(header, payload)
        if error is not None:
            raise error
        return result or {"lines": [], "gaps": []}

    return handler


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


# ── logs ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def stored(*texts: str, service: str = "shop/db") -> Any:
    lines = [{"service": service, "stream": "stdout", "at": rows.NOW, "epoch": 1, "text": text} for text in texts]
    return {"lines": lines, "gaps": ["4 bytes are missing"]}


def test_stored_lines_are_asked_for_in_one_request(daemon: MakeDaemon, capfd: Any) -> None:
    there = daemon(logs=stored("one", "two\x1b[2J"))
    ran = line(capfd, "logs", "db", "-n", "2", "--grep", "o", "--stream", "err", "--since", "1h", "--until", "1m")
    assert ran.code == 0
    assert ran.out == "db │ one\ndb │ two^[[2J\n"
    assert "4 bytes are missing" in ran.err
    asked = there.params("logs")
    assert (asked.names, asked.tail, asked.grep, asked.stream) == (["db"], 2, "o", "stderr")
    assert asked.since < asked.until
    assert line(capfd, "logs", "--no-prefix").out == "one\ntwo^[[2J\n"
    assert line(capfd, "logs", "-o", "json").json["lines"][1]["text"] == "two\x1b[2J"
    assert json.loads(line(capfd, "logs", "-o", "jsonl").out.splitlines()[0])["text"] == "one"


def test_a_point_in_time_or_an_earlier_life_is_not_cut_to_the_last_lines(daemon: MakeDaemon, capfd: Any) -> None:
    there = daemon(logs=stored("one"))
    line(capfd, "logs")
    assert there.params("logs").tail == 100
    line(capfd, "logs", "--since", "1h")
    assert there.params("logs").tail is None
    line(capfd, "logs", "--previous")
    assert there.params("logs").tail is None
    line(capfd, "logs", "--since", "1h", "-n", "3")
    assert there.params("logs").tail == 3


def test_all_lines_come_as_a_stream_cut_anywhere(daemon: MakeDaemon, capfd: Any) -> None:
    there = daemon(
        logs__follow=sending(
            frame(0, b"first\nsec"),
            frame(0, b"other\n", service="shop/worker", stream="stderr"),
            frame(9, b"ond\nbad \xff\nlast without newline"),
        )
    )
    ran = line(capfd, "logs", "-n", "all")
    assert ran.out.splitlines() == [
        "db │ first",
        "worker ! other",
        "db     │ second",
        "db     │ bad \\xff",
        "db     │ last without newline",
    ]
    assert there.params("logs.follow").tail is None


def test_raw_is_the_bytes(daemon: MakeDaemon, capfdbinary: Any) -> None:
    daemon(logs__follow=sending(frame(0, b"\x1b[2J\xff\x00"), frame(3, b"no newline")))
    assert line(capfdbinary, "logs", "--raw").out == b"\x1b[2J\xff\x00no newline"  # type: ignore[comparison-overlap]


def test_following_goes_on_by_cursor_and_tells_gaps(daemon: MakeDaemon, capfd: Any) -> None:
    lost = errors.DaemonUnreachable("cannot go on: the daemon leaves")
    lives = [
        sending(frame(0, b"one\n"), frame(4, b"half a "), error=lost),
        sending(frame(11, b"line\n"), frame(16, b"", gap="5 bytes are missing", next=21), frame(21, b"end\n")),
    ]

    async def follow(request: Any, stream: Any) -> Any:
        return await lives.pop(0)(request, stream)

    there = daemon(logs__follow=follow)
    ran = line(capfd, "logs", "db", "-f")
    assert ran.out.splitlines() == ["db │ one", "db │ half a line", "db │ end"]
    assert "connecting again" in ran.err
    assert "5 bytes are missing" in ran.err
    assert there.params("logs.follow").cursors == {"shop/db:stdout": 11}


def test_a_reader_who_has_enough_ends_it_quietly(daemon: MakeDaemon) -> None:
    daemon(
        logs=stored(*("x" * 200 for _ in range(5000))),
        logs__follow=sending(frame(0, b"y\n" * 30000), frame(60000, b"z\n")),
    )
    for argv in (["logs"], ["logs", "-n", "all"], ["logs", "--raw"]):
        reader = subprocess.Popen(
            [*COMMAND, *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), text=True
        )
        assert reader.stdout is not None
        assert reader.stderr is not None
        reader.stdout.readline()
        reader.stdout.close()
        assert reader.wait(20) == 0
        assert "Error" not in reader.stderr.read()
        reader.stderr.close()


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_closed_streams_are_no_reason_to_fail(daemon: MakeDaemon, closed: str) -> None:
    daemon(logs=stored("one"))
    done = subprocess.run(["sh", "-c", f'"$0" -m harness logs {closed}', COMMAND[0]], env=environment(), timeout=30)
    assert done.returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_told_in_one_line(daemon: MakeDaemon) -> None:
    daemon(logs=stored("one"))
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*COMMAND, "logs"], stdout=full, stderr=subprocess.PIPE, env=environment(), timeout=30)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == b"error: cannot write the output: no space left on the device"


# ── run ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def task(state: str, epoch: int, **changes: Any) -> Any:
    phase = "completed" if state == "done" else state
    return rows.row("seed", state, phase=phase, kind="task", epoch=epoch, **changes)


def running(result: Any, before: Any) -> Any:
    async def handler(request: Any, stream: Any) -> Any:
        await stream.send({"seq": 1, "snapshot": rows.status([before])})
        return result

    return handler


def task_output(*texts: bytes, epoch: int = 1) -> Any:
    """A live stream that stays silent until it is cancelled, then the stored output: nothing may depend on luck."""
    import asyncio

    async def handler(request: Any, stream: Any) -> Any:
        if request.follow:
            await asyncio.sleep(60)
        offset = 0
        for text in texts:
            header, payload = frame(offset, text, "shop/seed", epoch=epoch)
            await stream.send_bytes(header, payload)
            offset += len(text)
        return {"lines": [], "gaps": []}

    return handler


@pytest.mark.parametrize(
    ("ended", "code"),
    [({"code": 0}, 0), ({"code": 7}, 7), ({"signal": 9}, 137), ({}, 1)],
)
def test_a_task_shows_its_output_and_passes_its_exit_code_on(
    daemon: MakeDaemon, capfd: Any, ended: dict[str, int], code: int
) -> None:
    exit_ = rows.exit_info(**ended)
    state = "done" if code == 0 else "failed"
    result = rows.result([task(state, 1, exit=exit_)], ok=code == 0)
    there = daemon(
        task__run=running(result, task("not_started", 0)), logs__follow=task_output(b"working\n", b"\x1b[1mraw")
    )
    ran = line(capfd, "run", "seed")
    assert ran.code == code
    assert ran.out == "working\n\x1b[1mraw"
    assert there.params("task.run").names == ["seed"]


def test_output_of_an_earlier_life_is_not_shown(daemon: MakeDaemon, capfd: Any) -> None:
    result = rows.result([task("done", 2, exit=rows.exit_info(0))])
    daemon(task__run=running(result, task("done", 1)), logs__follow=task_output(b"old\n", epoch=1))
    ran = line(capfd, "run", "seed", "--again")
    assert (ran.code, ran.out) == (0, "")


def test_a_task_that_is_done_is_not_run_again(daemon: MakeDaemon, capfd: Any) -> None:
    done = task("done", 1, exit=rows.exit_info(0))
    daemon(task__run=running(rows.result([done]), done), logs__follow=task_output(b"old\n"))
    ran = line(capfd, "run", "seed")
    assert (ran.code, ran.out) == (0, "")
    assert "already done" in ran.err


@pytest.mark.parametrize(("phase", "code"), [("failed", 125), ("blocked", 1)])
def test_a_task_that_did_not_start_is_told_with_its_reason(
    daemon: MakeDaemon, capfd: Any, phase: str, code: int
) -> None:
    row = task(phase, 1, reason="there is no program ./seed.sh")
    failure = rows.failure(service="seed", reason=row["reason"], exit=None, last_lines=[], skipped=[])
    daemon(
        task__run=running(rows.result([row], ok=False, failures=[failure]), task("not_started", 0)),
        logs__follow=task_output(),
    )
    ran = line(capfd, "run", "seed")
    assert ran.code == code
    assert "there is no program ./seed.sh" in ran.err


def test_an_unknown_task_is_not_found(daemon: MakeDaemon, capfd: Any) -> None:
    unknown = sending(error=errors.NotFound("no task is called 'x'"))
    daemon(logs__follow=unknown, task__run=unknown)
    assert line(capfd, "run", "x").code == 7


# ── exec ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Shell:
    """A command of the canned daemon: says back its input on both streams and ends as ``ends`` says."""

    def __init__(self, **ends: Any) -> None:
        self.ends = rows.exit_info(**(ends or {"code": 0}))
        self.got: list[Any] = []

    async def __call__(self, request: Any, stream: Any) -> Any:
        await stream.send_bytes({"stream": "stdout"}, f"ran {request.argv} {request.tty}\n".encode())
        async for item in stream.incoming():
            self.got.append(item)
            if "stdin" in item:
                data = base64.b64decode(item["stdin"])
                await stream.send_bytes({"stream": "stdout"}, data)
                if data.endswith(b"\x04"):
                    break
            if item.get("eof") or "signal" in item:
                break
        await stream.send_bytes({"stream": "stderr"}, b"bye\n")
        return {"exit": self.ends}


def test_exec_passes_input_output_and_exit_code(daemon: MakeDaemon) -> None:
    there = daemon(exec=Shell(code=7))
    done = subprocess.run(
        [*COMMAND, "exec", "-e", "A=1", "db", "--", "cat", "-n", "--help"],
        input=b"binary \xff\x00\n" * 9000,
        capture_output=True,
        env=environment(),
        timeout=30,
    )
    assert done.returncode == 7, done.stderr
    head, _, rest = done.stdout.partition(b"\n")
    assert head == b"ran ['cat', '-n', '--help'] False"
    assert rest == b"binary \xff\x00\n" * 9000
    assert done.stderr == b"bye\n"
    assert there.params("exec").env == {"A": "1"}


def test_exec_without_input_leaves_it_to_others(daemon: MakeDaemon) -> None:
    shell = Shell()
    daemon(exec=shell)
    done = subprocess.run(
        [*COMMAND, "exec", "-n", "db", "true"], input=b"not for you", capture_output=True, env=environment(), timeout=30
    )
    assert done.returncode == 0
    assert shell.got == [{"eof": True}]


@pytest.mark.parametrize(("ends", "code"), [({"signal": 9}, 137), ({"code": None}, 1)])
def test_exec_tells_how_the_command_ended(daemon: MakeDaemon, ends: dict[str, Any], code: int) -> None:
    daemon(exec=Shell(**ends))
    done = subprocess.run(
        [*COMMAND, "exec", "db", "x"], stdin=subprocess.DEVNULL, capture_output=True, env=environment(), timeout=30
    )
    assert done.returncode == code


def test_exec_that_could_not_start_is_125(daemon: MakeDaemon) -> None:
    daemon(exec=sending(error=errors.ExecNotStarted("cannot run nope: there is no such program")))
    done = subprocess.run(
        [*COMMAND, "exec", "db", "nope"], stdin=subprocess.DEVNULL, capture_output=True, env=environment(), timeout=30
    )
    assert done.returncode == 125
    assert b"there is no such program" in done.stderr


def test_a_signal_is_passed_on(daemon: MakeDaemon) -> None:
    shell = Shell(signal=15)
    daemon(exec=shell)
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([*COMMAND, "exec", "db", "sleep"], env=environment(), **pipes) as running_command:
        assert running_command.stdout is not None
        assert running_command.stdout.readline().startswith(b"ran")
        running_command.send_signal(signal.SIGTERM)
        assert running_command.wait(20) == 143
    assert {"signal": 15} in shell.got


# ── on a terminal ────────────────────────────────────────────────────────────────────────────────────────────────────


class Terminal:
    """A command line on a terminal of its own; gone at the end, whatever happens."""

    def __init__(self, argv: Sequence[str], columns: int = 90) -> None:
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.environ.update(environment(), TERM="xterm-256color", COLUMNS=str(columns))
            os.execv(COMMAND[0], [*COMMAND, *argv])
        self.shown = ""

    def until(self, text: str, within: float = 20.0) -> None:
        """Read until ``text`` was shown."""
        deadline = time.monotonic() + within
        while text not in self.shown:
            assert time.monotonic() < deadline, f"never showed {text!r}:\n{self.shown}"
            if not self._read(0.1):
                assert text in self.shown, f"ended without showing {text!r}:\n{self.shown}"

    def type(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    def code(self) -> int:
        """Read to the end and return the exit code."""
        deadline = time.monotonic() + 20
        while self._read(0.1):
            assert time.monotonic() < deadline, f"does not end:\n{self.shown}"
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        return os.waitstatus_to_exitcode(status)

    def close(self) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._fd)

    def _read(self, timeout: float) -> bool:
        if not select.select([self._fd], [], [], timeout)[0]:
            return True
        try:
            data = os.read(self._fd, 65536)
        except OSError:  # how a pty says that the other side has gone
            return False
        self.shown += data.decode("utf-8", "replace")
        return bool(data)


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def make(*argv: str, **options: Any) -> Terminal:
        opened.append(Terminal(argv, **options))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


AFFECTED = {
    "stack": "shop",
    "steps": [{"name": "api", "kind": "service", "action": "stop", "why": "needs db", "changes": [], "wave": 0}],
    "problems": [],
    "empty": False,
}


@pytest.mark.parametrize(("answer", "code", "stopped"), [("n\r", 1, False), ("\r", 1, False), ("y\r", 0, True)])
def test_stop_asks_when_others_would_stop(
    daemon: MakeDaemon, terminal: Callable[..., Terminal], answer: str, code: int, stopped: bool
) -> None:
    async def stop(request: Any, stream: Any) -> Any:
        return rows.result([rows.row("db", "stopped")])

    there = daemon(service__affected=AFFECTED, service__stop=stop)
    screen = terminal("stop", "db")
    screen.until("[y/N]")
    assert "api" in screen.shown
    screen.type(answer)
    assert screen.code() == code
    assert ("service.stop" in {name for name, _ in there.asked}) == stopped


def waiting(stream_items: Sequence[Any]) -> Any:
    """Sends items and then never ends by itself."""
    import asyncio

    async def handler(request: Any, stream: Any) -> Any:
        for item in stream_items:
            await stream.send(item)
        await asyncio.sleep(60)

    return handler


def test_ctrl_c_during_start_only_stops_watching(daemon: MakeDaemon, terminal: Callable[..., Terminal]) -> None:
    Path("harness.yaml").write_text("name: shop\n")
    daemon(stack__start=waiting([{"seq": 1, "snapshot": rows.status()}]))
    screen = terminal("start")
    screen.until("waiting for api to be healthy")
    screen.type("\x03")
    assert screen.code() == 130
    assert "the daemon goes on starting" in screen.shown
    assert "harness status --follow" in screen.shown
    assert "harness stop shop" in screen.shown
    assert "Traceback" not in screen.shown


def test_a_start_that_is_sent_ctrl_c_off_a_terminal_says_the_same(daemon: MakeDaemon) -> None:
    Path("harness.yaml").write_text("name: shop\n")
    daemon(stack__start=waiting([{"seq": 1, "snapshot": rows.status()}]))
    with subprocess.Popen([*COMMAND, "start"], env=environment(), stderr=subprocess.PIPE, text=True) as start:
        assert start.stderr is not None
        start.stderr.readline()
        start.send_signal(signal.SIGINT)
        rest = start.stderr.read()
        assert start.wait(20) == 130
    assert "the daemon goes on starting" in rest


def test_status_follow_on_a_terminal_shows_changes_in_place(
    daemon: MakeDaemon, terminal: Callable[..., Terminal]
) -> None:
    failed = {**rows.shop()[2], "state": "failed", "reason": "exit code 3"}
    event = rows.event(43, "state", "shop/api")
    daemon(
        status__follow=waiting([{"seq": 42, "snapshot": rows.status()}, {"seq": 43, "event": event, "rows": [failed]}])
    )
    screen = terminal("status", "--follow")
    screen.until("exit code 3")
    screen.type("\x03")
    assert screen.code() == 130
    assert "Traceback" not in screen.shown


def test_exec_on_a_terminal_is_raw_and_passes_keys_and_size(
    daemon: MakeDaemon, terminal: Callable[..., Terminal]
) -> None:
    shell = Shell(code=3)
    there = daemon(exec=shell)
    screen = terminal("exec", "db", "--", "sh")
    screen.until("ran ['sh'] True")
    screen.type("\x03")
    screen.until("\x03")
    screen.type("\x04")
    assert screen.code() == 3
    assert there.params("exec").tty is True
    assert there.params("exec").env == {"TERM": "xterm-256color"}
    assert not [item for item in shell.got if "signal" in item]


def test_a_start_whose_daemon_dies_is_watched_to_its_end(daemon: MakeDaemon, capfd: Any) -> None:
    Path("harness.yaml").write_text("name: shop\n")

    async def dies(request: Any, stream: Any) -> Any:
        await stream.send({"seq": 1, "snapshot": rows.status(rows.shop()[:1])})
        raise errors.DaemonUnreachable("cannot go on: the connection was lost")

    async def ends(request: Any, stream: Any) -> Any:
        return rows.result(rows.shop()[:1])

    there = daemon(stack__start=dies, service__wait=ends)
    ran = line(capfd, "start")
    assert ran.code == 0
    asked = there.params("service.wait")
    assert (asked.names, asked.condition) == (["shop/db"], "ready")
    assert "the connection to the daemon is lost" in ran.err


def test_a_wait_whose_daemon_dies_asks_again(daemon: MakeDaemon, capfd: Any) -> None:
    async def dies(request: Any, stream: Any) -> Any:
        await stream.send({"seq": 1, "snapshot": rows.status(rows.shop()[:1])})
        if len([name for name, _ in there.asked]) < 3:
            raise errors.DaemonUnreachable("cannot go on: the connection was lost")
        return rows.result(rows.shop()[:1])

    there = daemon(service__wait=dies)
    assert line(capfd, "wait", "db", "--for", "healthy").code == 0
    assert [request.condition for _, request in there.asked] == ["healthy"] * 3


def test_a_daemon_that_always_dies_is_given_up(daemon: MakeDaemon, capfd: Any) -> None:
    async def dies(request: Any, stream: Any) -> Any:
        await stream.send({"seq": 1, "snapshot": rows.status(rows.shop()[:1])})
        raise errors.DaemonUnreachable("cannot go on: the connection was lost")

    there = daemon(service__wait=dies)
    assert line(capfd, "wait", "db").code == 5
    assert len(there.asked) == 6


def test_a_task_whose_daemon_dies_is_watched_to_its_end(daemon: MakeDaemon, capfd: Any) -> None:
    async def dies(request: Any, stream: Any) -> Any:
        await stream.send({"seq": 1, "snapshot": rows.status([task("running", 1)])})
        raise errors.DaemonUnreachable("cannot go on: the connection was lost")

    async def ends(request: Any, stream: Any) -> Any:
        return rows.result([task("failed", 1, exit=rows.exit_info(4))], ok=False)

    there = daemon(task__run=dies, service__wait=ends, logs__follow=task_output(b"all of it\n"))
    ran = line(capfd, "run", "seed")
    assert (ran.code, ran.out) == (4, "all of it\n")
    assert there.params("service.wait").condition == "completed"


def test_ctrl_c_leaves_the_next_files_unstarted(daemon: MakeDaemon) -> None:
    for name in ("one.yaml", "two.yaml"):
        Path(name).write_text("name: shop\n")
    there = daemon(stack__start=waiting([{"seq": 1, "snapshot": rows.status()}]))
    command = [*COMMAND, "start", "one.yaml", "two.yaml"]
    with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True) as start:
        assert start.stderr is not None
        start.stderr.readline()
        start.send_signal(signal.SIGINT)
        start.stderr.read()
        assert start.wait(20) == 130
    assert [request.source.filename for _, request in there.asked] == ["one.yaml"]
