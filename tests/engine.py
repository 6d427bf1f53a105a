"""A Docker engine of the tests' own: a private ``dockerd`` with its own data and socket, and a small image.

It shares nothing with an engine that the machine may have: no socket, no data, no bridge, no firewall rule. Its
containers are on networks that they make themselves; published ports go through the engine's userland proxy, so that
neither privileges beyond root's nor the machine's firewall are needed.

Tests take the fixture ``engine``; what kills or freezes an engine makes one of its own with ``Engine.private()``.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection
from pathlib import Path
from socket import AF_UNIX, SOCK_STREAM, socket
from typing import Any

import pytest

from harness_core.runtime.keeper.procfs import read_stat

__all__ = ["IMAGE", "Engine", "busybox", "missing"]

#: what every engine here has: busybox under ``/bin``, a shell as command, no ``ENTRYPOINT``
IMAGE = "harness-test/busybox:1"
#: not the temporary directory: the engine makes mounts, and may not be able to in a tmpfs
ROOT = Path("/var/lib/harness-test-engine")
_INSTALL = "apt-get install docker.io busybox-static"


def missing() -> str:
    """What this machine lacks to run an engine of our own, and what to do about it; empty when it lacks nothing."""
    if os.geteuid() != 0:
        return "a private Docker engine needs root"
    for program in ("dockerd", "containerd", "runc"):
        if shutil.which(program) is None:
            return f"needs {program}: {_INSTALL}"
    busybox = shutil.which("busybox")
    if busybox is None or b"/ld-linux" in Path(busybox).read_bytes()[:4096]:
        return f"needs a static busybox: {_INSTALL}"
    return ""


class Engine:
    """One engine. ``start`` and ``stop`` may be called again and again; ``close`` leaves nothing of it."""

    def __init__(self, root: Path, *options: str) -> None:
        self.root = root
        self.socket = root / "docker.sock"
        self.options = options
        self.process: subprocess.Popen[bytes] | None = None

    @classmethod
    @contextlib.contextmanager
    def private(cls, *options: str) -> Iterator[Engine]:
        """A new engine with the image in it. Skips the test where the machine cannot run one."""
        if why := missing():
            pytest.skip(why)
        _sweep()
        stat = read_stat(os.getpid())
        assert stat is not None
        number = len(list(ROOT.glob(f"{os.getpid()}-*")))
        one = cls(ROOT / f"{os.getpid()}-{stat.start}-{number}", *options)
        try:
            one.start()
            one.make_image()
            yield one
        finally:
            one.close()

    # ── the daemon ───────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def host(self) -> str:
        """For ``DOCKER_HOST``."""
        return f"unix://{self.socket}"

    def start(self) -> None:
        """Start it, or start it again; returns when it answers. Skips the test when it will not run here."""
        self.root.mkdir(parents=True, exist_ok=True)
        (self.root / "docker.pid").unlink(missing_ok=True)
        (self.root / "daemon.json").write_text("{}")  # not the machine's
        with (self.root / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    "dockerd",
                    f"--data-root={self.root}/data",
                    f"--exec-root={self.root}/exec",
                    f"--host={self.host}",
                    f"--pidfile={self.root}/docker.pid",
                    f"--config-file={self.root}/daemon.json",
                    "--iptables=false",
                    "--ip6tables=false",
                    "--bridge=none",
                    # each engine its own addresses, so that two test runs on a machine do not take each other's
                    f"--default-address-pool=base=10.{128 + os.getpid() % 100}.0.0/16,size=26",
                    "--shutdown-timeout=2",
                    "--max-download-attempts=1",  # there is no network here that could be better the next time
                    *self.options,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        end = time.monotonic() + 60
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > end:
                last = (self.root / "log").read_text("utf-8", "replace").splitlines()[-3:]
                self.stop()
                pytest.skip(f"dockerd does not run on this machine: {' | '.join(last)}")
            time.sleep(0.02)

    def answers(self) -> bool:
        with contextlib.suppress(OSError):
            return self.request("GET", "/_ping")[0] == 200
        return False

    def stop(self) -> None:
        """End it in order; without live-restore that ends its containers too."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()
            self.process = None

    def kill(self) -> None:
        """SIGKILL: containers live on, nobody answers any more."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None
            self._reap()

    def _reap(self) -> None:
        """Its containerd dies with it, and would be taken for alive by the next one as long as nobody reaps it."""
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.root / "exec/containerd/containerd.pid").read_text())
            end = time.monotonic() + 10
            while os.waitpid(pid, os.WNOHANG) == (0, 0) and time.monotonic() < end:
                time.sleep(0.01)

    def close(self) -> None:
        """End it with all its containers, networks and files."""
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(OSError):
                self.clear()
        self.stop()
        _remove(self.root)

    # ── asking it ────────────────────────────────────────────────────────────────────────────────────────────────────

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """One call of its API, apart from every client that is being tested: status and answer."""
        connection = _Connection(self.socket)
        try:
            raw = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
            kind = "application/x-tar" if isinstance(body, bytes) else "application/json"
            connection.request(method, path, raw, {"Content-Type": kind} if raw is not None else {})
            answer = connection.getresponse()
            data = answer.read()
            is_json = answer.getheader("Content-Type", "").startswith("application/json")
            try:
                return answer.status, json.loads(data) if is_json and data else data
            except ValueError:
                return answer.status, data  # several objects in a row: progress
        finally:
            connection.close()

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The same, where anything but success fails the test."""
        status, answer = self.request(method, path, body)
        assert status < 300, f"{method} {path}: {status} {answer}"
        return answer

    def containers(self, **labels: str) -> list[dict[str, Any]]:
        """All of them, whatever their state, or those with these labels."""
        rows: list[dict[str, Any]] = self.call("GET", "/containers/json?all=1")
        return [row for row in rows if labels.items() <= row["Labels"].items()]

    def inspect(self, container: str) -> dict[str, Any]:
        return dict(self.call("GET", f"/containers/{container}/json"))

    def run(self, name: str, *argv: str, **payload: Any) -> str:
        """Start a container that nobody knows of; returns its id."""
        body = {"Image": IMAGE, "Cmd": list(argv), **payload}
        created = self.call("POST", f"/containers/create?name={name}", body)
        self.call("POST", f"/containers/{created['Id']}/start")
        return str(created["Id"])

    def remove(self, container: str) -> None:
        self.request("DELETE", f"/containers/{container}?force=1&v=1")

    def clear(self) -> None:
        """Remove all containers, networks and volumes."""
        for row in self.containers():
            self.remove(row["Id"])
        self.request("POST", "/networks/prune")
        self.request("POST", "/volumes/prune")

    def make_image(self, tag: str = IMAGE, *changes: str) -> None:
        """Import busybox as an image; ``changes`` are lines of a Dockerfile such as ``ENV A=b``."""
        repo, _, version = tag.partition(":")
        query = "".join(f"&changes={_quoted(line)}" for line in ('CMD ["/bin/sh"]', *changes))
        self.call("POST", f"/images/create?fromSrc=-&repo={repo}&tag={version}{query}", busybox())


class _Connection(HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=60)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket(AF_UNIX, SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(self._path)
        except OSError:
            self.sock.close()
            raise


def _quoted(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


def busybox(more: Mapping[str, bytes] | None = None) -> bytes:
    """The file system of the image: busybox under all of its names, a user besides root, and a place to write to."""
    program = shutil.which("busybox")
    assert program is not None
    names = subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout.split()
    files = {
        "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home/app:/bin/sh\n",
        "etc/group": b"root:x:0:\napp:x:1000:\n",
        **(more or {}),
    }
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder, mode in (("bin", 0o755), ("etc", 0o755), ("root", 0o700), ("tmp", 0o1777), ("srv", 0o755)):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            tar.addfile(entry)
        entry = tar.gettarinfo(program, "bin/busybox")
        entry.mode = 0o755
        with open(program, "rb") as file:
            tar.addfile(entry, file)
        for name in sorted({*names, "sh"} - {"busybox"}):
            entry = tarfile.TarInfo(f"bin/{name}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(entry)
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


# ── nothing stays ────────────────────────────────────────────────────────────────────────────────────────────────────


def _sweep() -> None:
    """Remove engines of test runs that were killed."""
    for root in ROOT.glob("*-*-*"):
        pid, start, _number = root.name.split("-")
        stat = read_stat(int(pid))
        if stat is None or stat.start != int(start):
            _remove(root)


def _remove(root: Path) -> None:
    """End what is left of an engine, undo its mounts, delete its files."""
    for pid in _processes(root):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + 10
    while _processes(root) and time.monotonic() < end:
        time.sleep(0.02)
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for mount in sorted((mount for mount in mounts if mount.startswith(f"{root}/")), reverse=True):
        subprocess.run(["umount", "-l", mount], check=False, capture_output=True)
    shutil.rmtree(root, ignore_errors=True)
    with contextlib.suppress(OSError):  # others are there, or it never was
        ROOT.rmdir()


def _processes(root: Path) -> list[int]:
    """The engine's living processes and its containers' parents: all of them name its folder."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0")
            stat = read_stat(int(entry))
            if stat is not None and not stat.dead and any(f"{root}/".encode() in word for word in words):
                found.append(int(entry))
    return found
