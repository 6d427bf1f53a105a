"""Two hundred deaths at once, loops, checks that hang or never end: the daemon goes on answering at once."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.asking import Asking
from tests.faults.lab import LONG, Lab, until

pytestmark = pytest.mark.e2e


def cpu(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_two_hundred_services_die_at_once(lab: Lab) -> None:
    names = [f"n{n}" for n in range(200)]
    units = "".join(f"  {n}: {{target: {{type: process, binary: sleep, args: [1000]}}}}\n" for n in names)
    lab.stack(f"services:\n  one: {{target: {{type: process, binary: sleep, args: [1000]}}}}\n{units}")
    lab.boot()
    lab.start()
    before = {name: row["pid"] for name, row in lab.rows().items()}
    with Asking(lab, ["one"]) as asking:
        time.sleep(0.3)  # some answers in peace
        for name in names:
            os.kill(before[name], signal.SIGKILL)
        until(lambda: all(_again(lab.rows(), before, name) for name in names), "all to live again", 40)
    rows = lab.rows()
    assert rows["one"]["pid"] == before["one"]
    assert all(rows[name]["restarts"] == 1 for name in names)
    assert all(rows[name]["exit"] is None or rows[name]["exit"]["signal"] == 9 for name in names)
    ends = lab.told("exited")
    assert sorted(event["service"] for event in ends) == sorted(f"s/{name}" for name in names), "each is told once"
    asking.judge("200 deaths at once")


def _again(rows: dict[str, dict[str, object]], before: dict[str, int], name: str) -> bool:
    return rows[name]["phase"] == "running" and rows[name]["pid"] != before[name]


def test_crash_loops(lab: Lab) -> None:
    loops = "".join(
        f"  n{n}: {{target: {{type: process, shell: 'exit 1'}}, restart: {{burst: {5 - n % 2 * 5}, delay: 50ms}}}}\n"
        for n in range(40)
    )
    lab.stack(f"services:\n  one: {{target: {{type: process, binary: sleep, args: [1000]}}}}\n{loops}")
    lab.boot()
    lab.start("one")
    with Asking(lab, ["one"]) as asking:
        lab.start(wait=False)
        until(lambda: all(lab.row(f"n{n}")["phase"] == "failed" for n in range(0, 40, 2)), "those to be given up", 30)
        pid = int(lab.card()["pid"])
        began, used = time.monotonic(), cpu(pid)
        time.sleep(3)  # the others are in their long pauses by now
        share = (cpu(pid) - used) / (time.monotonic() - began)
    print(f"20 loops in back-off, while asked 50 times a second: {share:.0%} of a core")
    assert share < 0.6
    asking.judge("40 crash loops")
    rows = lab.rows()
    assert all("gave up" in rows[f"n{n}"]["reason"] for n in range(0, 40, 2))
    assert all(rows[f"n{n}"]["phase"] in ("backoff", "starting", "running", "stopping") for n in range(1, 40, 2))


@contextlib.contextmanager
def server(behave: str) -> Iterator[int]:
    """A server whose answers to a health check never come, or never end."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    over = threading.Event()
    taken: list[socket.socket] = []

    def pour(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
            while not over.is_set():
                connection.sendall(b"x" * 65536)

    def accept() -> None:
        while not over.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            taken.append(connection)
            if behave == "endless":
                pourers.append(threading.Thread(target=pour, args=(connection,)))
                pourers[-1].start()

    pourers: list[threading.Thread] = []
    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield listener.getsockname()[1]
    finally:
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join()
        for connection in taken:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        for thread in pourers:
            thread.join()


@pytest.mark.parametrize(("behave", "count"), [("hanging", 500 if LONG else 150), ("endless", 10)])
def test_health_checks_that_hang_or_never_end(lab: Lab, behave: str, count: int) -> None:
    with server(behave) as port:
        units = "".join(
            f"  n{n}:\n    target: {{type: process, binary: sleep, args: [1000]}}\n"
            f"    health_check: {{http: 'http://127.0.0.1:{port}/', interval: 500ms, timeout: 1s, retries: 2}}\n"
            for n in range(count)
        )
        lab.stack(f"services:\n  one: {{target: {{type: process, binary: sleep, args: [1000]}}}}\n{units}")
        lab.boot()
        lab.start("one")
        with Asking(lab, ["one"]) as asking:
            lab.start(wait=False)
            until(lambda: all(row["phase"] == "running" for row in lab.rows().values()), "all to run", 40)
            time.sleep(4)  # several rounds of checks
            memory = int(Path(f"/proc/{lab.card()['pid']}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        rows = lab.rows()
        wanted = "starting" if behave == "hanging" else "healthy"
        seen = [rows[f"n{n}"]["health"] for n in range(count)]
        assert seen.count(wanted) + seen.count("unhealthy") == count
        print(f"{behave} answers: {memory >> 20} MiB resident")
        assert memory < 250 << 20
        asking.judge(f"{count} checks with {behave} answers")
        lab.stop(force=True)
