"""There is always a keeper: of another protocol, started by nobody yet, or kept from starting."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness_core.runtime.keeper.client import KeeperClient, KeeperLost, KeeperRefused
from harness_core.runtime.keeper.link import KeeperLink


class Rig:
    def __init__(self, directory: Path) -> None:
        self.events: list[dict[str, Any]] = []
        self.restored = 0
        self.directory = directory
        self.link = KeeperLink(directory, on_event=self.events.append, on_restored=self._restored)

    async def _restored(self, _client: KeeperClient) -> None:
        self.restored += 1


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    rig = Rig(tmp_path / "keeper")
    yield rig
    if rig.link.keeper is not None:
        await rig.link.request("leave")
    await rig.link.close()


async def test_one_is_started_and_found_again(rig: Rig) -> None:
    await rig.link.open()
    keeper = rig.link.keeper
    assert keeper is not None
    again = Rig(rig.directory)
    await again.link.open()
    assert again.link.keeper == keeper
    await again.link.close()
    assert (rig.restored, again.restored) == (1, 1)


async def test_refusals_keep_their_particulars(rig: Rig) -> None:
    await rig.link.open()
    with pytest.raises(KeeperRefused) as caught:
        await rig.link.request("dance")
    assert caught.value.data["code"] == "unknown-op"


OTHER = """
import fcntl, json, os, socket, sys
os.chdir(sys.argv[1])
lock = os.open("keeper.lock", os.O_RDWR | os.O_CREAT)
fcntl.flock(lock, fcntl.LOCK_EX)
fields = open("/proc/self/stat").read().rpartition(")")[2].split()
boot = open("/proc/sys/kernel/random/boot_id").read().strip()
me = {"pid": os.getpid(), "start": int(fields[19]), "boot_id": boot}
os.write(lock, json.dumps(me).encode())
listener = socket.socket(socket.AF_UNIX); listener.bind("keeper.sock"); listener.listen()
print("ready", flush=True)
while True:
    with listener.accept()[0] as sock, sock.makefile("rwb") as file:
        for line in file:
            request = json.loads(line)
            file.write(json.dumps({"id": request["id"], "protocol": 99, **me}).encode() + b"\\n"); file.flush()
            if request["op"] == "leave": sys.exit(0)
"""


@pytest.fixture
def other(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A keeper of the future."""
    (tmp_path / "keeper").mkdir()
    argv = [sys.executable, "-I", "-S", "-c", textwrap.dedent(OTHER), str(tmp_path / "keeper")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
        process.kill()


async def test_a_keeper_of_another_protocol_is_asked_to_leave(other: subprocess.Popen[bytes], rig: Rig) -> None:
    await rig.link.open()
    assert rig.link.keeper is not None
    assert rig.link.keeper.pid != other.pid
    assert other.wait(5) == 0


async def test_a_stranger_with_the_lock_is_not_killed(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness_core.runtime.keeper.link._START", 0.3)
    rig.directory.mkdir()
    lock = os.open(rig.directory / "keeper.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        with pytest.raises(KeeperLost, match="does not say who it is"):
            await rig.link.open()
    finally:
        os.close(lock)


async def test_why_there_is_none_is_told(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness_core.runtime.keeper.link._START", 1.0)
    monkeypatch.setattr("harness_core.runtime.keeper.link._MAIN", Path("/no/such/file"))
    with pytest.raises(KeeperLost, match="No such file or directory"):
        await rig.link.open()
