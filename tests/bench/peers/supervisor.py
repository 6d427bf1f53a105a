"""supervisord and supervisorctl."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.measure import until
from tests.bench.stock import Stock

__all__ = ["Supervisor", "supervisor"]


class Supervisor:
    def __init__(self, stock: Stock, folder: Path, count: int) -> None:
        self.ready = folder / "ready"
        self.ready.mkdir(parents=True)
        self._tools = stock.python_tools
        self._config = folder / "supervisord.conf"
        self._config.write_text(_config(folder, self.ready, count))

    def open(self) -> None:
        self.process = subprocess.Popen(
            [str(self._tools / "supervisord"), "-n", "-c", str(self._config)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until(lambda: self._control("pid").returncode == 0, "supervisord to answer", every=0.1)

    def control(self, *args: str) -> float:
        """Seconds that a ``supervisorctl`` command takes."""
        began = time.monotonic()
        self._control(*args)
        return time.monotonic() - began

    def start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen([*self._command, "start", "all"], stdout=subprocess.DEVNULL)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(60)

    @property
    def _command(self) -> list[str]:
        return [str(self._tools / "supervisorctl"), "-c", str(self._config)]

    def _control(self, *args: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([*self._command, *args], capture_output=True)


def _config(folder: Path, ready: Path, count: int) -> str:
    head = f"""[supervisord]
logfile={folder}/supervisord.log
pidfile={folder}/supervisord.pid
minfds=8192
[unix_http_server]
file={folder}/s
[supervisorctl]
serverurl=unix://{folder}/s
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""
    programs = (
        f"[program:s{i}]\ncommand=/bin/sh -c 'echo $$ >{ready}/{i}; exec sleep 1000000'\n"
        f"autostart=false\nstartsecs=0\nstdout_logfile={folder}/s{i}.log\nstderr_logfile={folder}/s{i}.err\n"
        for i in range(count)
    )
    return head + "".join(programs)


@contextmanager
def supervisor(stock: Stock, folder: Path, count: int) -> Iterator[Supervisor]:
    """A daemon that runs, with ``count`` programs that do not."""
    one = Supervisor(stock, folder / "supervisor", count)
    one.open()
    try:
        yield one
    finally:
        one.close()
