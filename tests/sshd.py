"""A real OpenSSH server of the tests' own: a high port, its own host key, one user key, and nothing of the machine's.

What is behind it is this very machine. Tests take the fixture ``sshd``; what it is told to read instead of a person's
``~/.ssh`` lies in a home directory of its own.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

__all__ = ["Sshd", "missing"]

_SSHD = "/usr/sbin/sshd"


def missing() -> str:
    """What this machine lacks to run a server of our own; empty when it lacks nothing."""
    if not Path(_SSHD).exists() or shutil.which("ssh-keygen") is None:
        return "needs sshd: apt-get install openssh-server openssh-client"
    return ""


class Sshd:
    """One server. ``start`` and ``stop`` may be called again and again; connections die with ``cut``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.port = _free_port()
        self.home = root / "home"
        #: where it keeps what harness leaves on a machine
        self.state = root / "state"
        self.user = pwd.getpwuid(os.geteuid()).pw_name
        self.process: subprocess.Popen[bytes] | None = None
        self._options: dict[str, str] = {}

    @classmethod
    @contextlib.contextmanager
    def private(cls, root: Path) -> Iterator[Sshd]:
        """A running one. Skips the test where the machine cannot."""
        if why := missing():
            pytest.skip(why)
        one = cls(root)
        one.prepare()
        try:
            one.start()
            yield one
        finally:
            one.stop()

    @property
    def key(self) -> Path:
        return self.home / ".ssh/id_ed25519"

    @property
    def known_hosts(self) -> Path:
        return self.home / ".ssh/known_hosts"

    def prepare(self) -> None:
        """Keys, and what a person would have in ``~/.ssh``."""
        (self.home / ".ssh").mkdir(parents=True, mode=0o700)
        _keygen(self.key)
        shutil.copy(self.key.with_suffix(".pub"), self.root / "authorized_keys")
        self.new_host_key()
        self.trust()
        (self.home / ".ssh/config").write_text(
            f"Host box\n  HostName 127.0.0.1\n  Port {self.port}\n  User {self.user}\n"
            f"  IdentityFile {self.key}\n  UserKnownHostsFile {self.known_hosts}\n"
        )

    def new_host_key(self) -> None:
        for path in (self.root / "host_key", self.root / "host_key.pub"):
            path.unlink(missing_ok=True)
        _keygen(self.root / "host_key")

    def trust(self) -> None:
        """The present host key is known."""
        kind, key, *_ = (self.root / "host_key.pub").read_text().split()
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {kind} {key}\n")

    def start(self, **options: str) -> None:
        """Also: again. ``options`` are lines of its configuration, kept until others are given."""
        self._options = options or self._options
        lines = {
            "Port": str(self.port),
            "ListenAddress": "127.0.0.1",
            "HostKey": str(self.root / "host_key"),
            "AuthorizedKeysFile": str(self.root / "authorized_keys"),
            "PidFile": "none",
            "StrictModes": "no",
            "UsePAM": "no",
            "PasswordAuthentication": "no",
            "PermitRootLogin": "yes",
            "MaxStartups": "100",
            "SetEnv": f"XDG_STATE_HOME={self.state}",
            **self._options,
        }
        config = self.root / "sshd_config"
        config.write_text("".join(f"{name} {value}\n" for name, value in lines.items()))
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        with open(self.root / "log", "ab") as log:
            self.process = subprocess.Popen(
                [_SSHD, "-D", "-e", "-f", str(config)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        until = time.monotonic() + 10
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                # not any answer: a connection to a port that nobody has may by chance be one to itself
                if connection.recv(4) == b"SSH-":
                    return
            time.sleep(0.02)
        pytest.fail((self.root / "log").read_text())

    def connections(self) -> list[int]:
        """The processes that serve connections."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def cut(self) -> None:
        """Every connection ends at once, as when the server process of each dies."""
        for pid in self.connections():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        """No server any more, and no connection."""
        if self.process is not None:
            self.cut()
            self.process.terminate()
            self.process.wait(10)
            self.process = None


def _keygen(path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True, capture_output=True)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
