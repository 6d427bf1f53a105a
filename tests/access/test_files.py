"""The state directory: private from the first moment under any umask, and nothing in it is ever followed elsewhere."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness_core.domain.errors import HarnessError
from tests.access.conftest import SERVICES
from tests.faults.lab import Lab, alive, until

pytestmark = pytest.mark.e2e

OUTPUT = "tasks:\n  gives: {target: {type: process, shell: 'echo KEY=value >$HARNESS_OUTPUT'}}\n"
#: what makes something, with the mode that is asked for
MAKING = re.compile(
    r'(?:openat\(\S+, "(?P<file>[^"]+)", [A-Z_|]*O_CREAT[A-Z_|]*, (?P<mode>0\d*)\)'
    r'|mkdir(?:at)?\((?:\S+, )?"(?P<folder>[^"]+)", (?P<fmode>0\d*)\)'
    r'|mknod(?:at)?\((?:\S+, )?"(?P<fifo>[^"]+)", S_IFIFO\|(?P<pmode>0\d*))\s*.*= (?!-1)'
)


def whole_life(lab: Lab) -> None:
    """Everything that makes files: a stack, outputs, tokens, certificates, a backup of the past, a second daemon."""
    lab.stack(SERVICES.replace("tasks:\n", OUTPUT))
    lab.start()
    lab.client.call("token.create", {"name": "one", "role": "viewer"})
    lab.client.call("cert.rotate", {})
    lab.client.call("logs.clear", {"names": ["web"]})
    lab.restart("web")
    lab.leave()
    lab.boot()
    lab.settled()


def entries(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        yield from (Path(place) / name for name in (*folders, *files))


def loose(folder: Path) -> list[str]:
    """Whatever others may read, write or enter."""
    modes = {path: path.lstat().st_mode for path in (folder, *entries(folder))}
    return [f"{path} {stat.filemode(mode)}" for path, mode in modes.items() if stat.S_IMODE(mode) & 0o077]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077], ids=["000", "022", "077"])
def test_everything_is_private_under_any_umask(lab: Lab, umask: int) -> None:
    lab.boot(umask=umask)
    whole_life(lab)
    assert loose(lab.state) == []
    names = {path.name for path in entries(lab.state)}
    assert {"token", "tokens.json", "audit.log", "registry.db", "daemon.log", "ca.key", "keeper.sock"} <= names


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed: apt-get install strace")
def test_nothing_is_ever_made_with_a_looser_mode_and_tightened_later(lab: Lab) -> None:
    """Seen from outside, as the kernel was asked: between making a file and a later chmod, everybody could open it."""
    trace = lab.root / "trace"
    calls = "trace=open,openat,mkdir,mkdirat,mknod,mknodat,umask"
    lab.wrapper = ["strace", "-f", "-qq", "-s", "4096", "-e", calls, "-o", str(trace)]
    lab.boot(umask=0)
    lab.stack(SERVICES.replace("tasks:\n", OUTPUT))
    lab.start()
    lab.client.call("token.create", {"name": "one", "role": "viewer"})
    lab.client.call("cert.rotate", {})
    lab.stop()
    end_traced(lab)
    made = made_with(trace.read_text())
    ours = {path: mode for path, mode in made.items() if path.startswith((str(lab.state), "/proc/self/fd"))}
    assert len(ours) > 15, f"too little was seen: {sorted(made)}"
    assert {path: oct(mode) for path, mode in ours.items() if mode & 0o077} == {}


def made_with(trace: str) -> dict[str, int]:
    """Each file by the mode that it was born with: what was asked for, less the umask of who asked."""
    made: dict[str, int] = {}
    umask, own = 0, dict[str, int]()
    for line in whole_lines(trace):
        pid = line.split()[0]
        if found := re.search(r"umask\((0\d*)\)", line):
            own[pid] = int(found[1], 8)
            umask = umask or own[pid]  # the first is the daemon's own, before it starts anybody
        elif match := MAKING.search(line):
            path = match["file"] or match["folder"] or match["fifo"]
            mode = int(match["mode"] or match["fmode"] or match["pmode"], 8)
            made.setdefault(path, mode & ~own.get(pid, umask))
    return made


def whole_lines(trace: str) -> Iterator[str]:
    """The calls of a trace in the order in which they began; one that another interrupts is written in two parts."""
    begun: dict[str, int] = {}
    lines: list[str] = []
    for line in trace.splitlines():
        pid = line.split()[0]
        if line.endswith(" <unfinished ...>"):
            begun[pid] = len(lines)
            lines.append(line.removesuffix(" <unfinished ...>"))
        elif " resumed>" in line and pid in begun:
            lines[begun.pop(pid)] += line.partition(" resumed>")[2]
        else:
            lines.append(line)
    yield from lines


def end_traced(lab: Lab) -> None:
    """The tracer ends with the last that it traces."""
    daemon = int(lab.card()["pid"])
    os.kill(daemon, signal.SIGTERM)
    until(lambda: not alive(daemon), "the daemon to leave")
    until(lambda: not alive(lab.keeper), "the keeper, which has nothing to keep, to leave")
    assert lab.process is not None
    lab.process.wait(20)
    lab.wrapper = []


def test_a_directory_that_others_can_enter_is_closed_to_them(lab: Lab) -> None:
    lab.state.mkdir()
    lab.state.chmod(0o777)
    lab.boot()
    assert stat.S_IMODE(lab.state.stat().st_mode) == 0o700


def command(lab: Lab, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness", *words], env=lab.environment(), capture_output=True, text=True, timeout=60
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away: run the tests as root")
def test_another_users_directory_is_neither_used_nor_trusted(lab: Lab) -> None:
    lab.boot()
    lab.leave()
    # a daemon of that user may wait there to be told secrets
    (lab.state / "daemon.json").write_text('{"pid": 1, "url": "https://127.0.0.1:9"}')
    os.chown(lab.state, 65534, 65534)
    try:
        before = sorted(os.listdir(lab.state))
        for words in (["status"], ["daemon", "start"], ["daemon", "run"]):
            done = command(lab, *words)
            assert done.returncode in (3, 4), (words, done)
            assert "another user" in done.stderr, (words, done)
        assert sorted(os.listdir(lab.state)) == before, "nothing was left in it"
    finally:
        os.chown(lab.state, 0, 0)


# ── links in place of files ──────────────────────────────────────────────────────────────────────────────────────────

VICTIM = b"somebody else's\n"


def ready_made(lab: Lab) -> list[str]:
    """A state directory with everything in it that can be in one; nothing runs. Returns what is in it."""
    lab.boot()
    whole_life(lab)
    lab.stop()
    lab.leave()
    until(lambda: not alive(lab.keeper), "the keeper, which has nothing to keep, to leave")
    found = [str(path.relative_to(lab.state)) for path in entries(lab.state)]
    return sorted(name for name in found if not name.endswith((".fifo", ".sock")))


def put_link(place: Path, victim: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
        victim.mkdir()
    else:
        place.unlink(missing_ok=True)
        victim.write_bytes(VICTIM)
        victim.chmod(0o644)
    place.symlink_to(victim)


def untouched(victim: Path) -> bool:
    if victim.is_dir():
        return os.listdir(victim) == []
    return victim.read_bytes() == VICTIM and stat.S_IMODE(victim.stat().st_mode) == 0o644


@pytest.mark.timeout(180)
def test_a_link_in_place_of_any_file_is_refused_by_name(lab: Lab) -> None:
    names = ready_made(lab)
    assert len(names) > 20, names
    original, victim = lab.root / "original", lab.root / "victim"
    lab.state.rename(original)
    for number, name in enumerate([*names, "client-error.log", ".token.new", "daemon.json"]):
        copy_without_pipes(original, lab.state)
        target = victim.with_name(f"victim{number}")
        put_link(lab.state / name, target)
        done = command(lab, "daemon", "run") if name != "daemon.start.lock" else command(lab, "daemon", "start")
        assert done.returncode in (3, 4), (name, done)
        assert "link" in done.stderr, (name, done)
        assert name in done.stderr, (name, done)
        assert untouched(target), f"{name} was followed"
        shutil.rmtree(lab.state)
    original.rename(lab.state)


def copy_without_pipes(source: Path, target: Path) -> None:
    def pipes(_folder: str, names: list[str]) -> list[str]:
        return [name for name in names if name.endswith((".fifo", ".sock"))]

    shutil.copytree(source, target, ignore=pipes)


def test_a_link_put_there_while_the_daemon_runs_is_not_followed(lab: Lab) -> None:
    """What is opened later on: credentials, the place from which output counts, the segments of the next life."""
    lab.boot()
    lab.stack(SERVICES)
    lab.start()
    victims = []

    def swap(place: Path) -> None:
        victims.append(lab.root / f"victim-{place.name}")
        put_link(place, victims[-1])

    try:
        for name in ("tokens.json", "daemon.log.1", "logs/s/web/stdout.start.new"):
            swap(lab.state / name)
        lab.stop("web")
        for file in list((lab.state / "logs/s/web").glob("stdout.0*")):
            swap(file)
        refused = command(lab, "token", "create", "more")
        assert refused.returncode != 0, "a credential store that is a link is not written"
        lab.client.call("logs.clear", {"names": ["web"]})
        lab.client.call("logs", {"names": ["web"]})
        with contextlib.suppress(HarnessError):
            lab.start("web")
        assert [victim.name for victim in victims if not untouched(victim)] == []
    finally:
        for place in entries(lab.state):
            if place.is_symlink():
                place.unlink()
