"""A real keeper process: what it keeps, and what survives its death."""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from harness_core.runtime.keeper import segments, wire

FLOOD = """
import os
block = b"".join(b"%08d some words of a line of output\\n" % i for i in range(2000))
for _ in range(BLOCKS): os.write(1, block)
"""


def flood(blocks: int) -> tuple[str, str]:
    block = b"".join(b"%08d some words of a line of output\n" % i for i in range(2000))
    return FLOOD.replace("BLOCKS", str(blocks)), hashlib.sha256(block * blocks).hexdigest()


def test_thirty_kills_under_a_flood_lose_nothing(keeper: Any) -> None:
    keeper.start()
    code, digest = flood(1600)
    keeper.python(code, logs=keeper.logs(max_size=3_000_000))
    # what the daemon does as well: the last bytes outlive the service even if no keeper is there
    held = os.open(keeper.root / "logs" / "a" / "stdout.fifo", os.O_RDWR | os.O_NONBLOCK)
    chance = random.Random(1)
    try:
        for _ in range(30):
            select.select([], [], [], chance.uniform(0.0, 0.01))
            keeper.kill()
            keeper.start()
        assert keeper.until_exit()["code"] == 0
    finally:
        os.close(held)
    assert hashlib.sha256(keeper.output()).hexdigest() == digest
    found = segments.list_segments(keeper.logs()["directory"], "stdout")
    assert len(found) > 10
    for one, following in itertools.pairwise(found):
        assert segments.end_of(one) == following.base


def test_exit_codes_of_those_that_died_while_no_keeper_lived(keeper: Any) -> None:
    keeper.start()
    os.mkfifo(keeper.root / "go")
    wait = f"read line < {keeper.root / 'go'}"
    instances = [keeper.sh(f"{wait}; echo last words; exit {40 + n}", f"a{n}") for n in range(3)]
    instances.append(keeper.sh(f"{wait}; kill -9 $$", "a3"))
    pidfds = [os.pidfd_open(one["pid"]) for one in instances]
    held = [os.open(keeper.root / "logs" / f"a{n}" / "stdout.fifo", os.O_RDWR | os.O_NONBLOCK) for n in range(4)]
    keeper.kill()
    fd = os.open(keeper.root / "go", os.O_RDWR)
    os.write(fd, b"\n" * 4)
    for pidfd in pidfds:  # the test process is the subreaper, and leaves the zombies be
        assert select.select([pidfd], [], [], 10)[0]
    keeper.start()
    exits = [keeper.until_exit(f"a{n}") for n in range(4)]
    assert [(one["code"], one["signal"]) for one in exits] == [(40, None), (41, None), (42, None), (None, 9)]
    assert keeper.output("a0") == b"last words\n"
    for one in [fd, *pidfds, *held]:
        os.close(one)


def test_an_exit_that_nobody_can_tell_is_unknown(keeper: Any) -> None:
    keeper.start()
    instance = keeper.sh("exec sleep 60")
    keeper.kill()
    os.kill(instance["pid"], signal.SIGKILL)
    os.waitpid(instance["pid"], 0)
    keeper.start()
    exit = keeper.until_exit()
    assert (exit["code"], exit["signal"]) == (None, None)


def test_exits_of_adopted_ones_are_seen(keeper: Any) -> None:
    keeper.start()
    instance = keeper.sh("trap 'exit 5' TERM; echo ready; while :; do sleep 0.02; done")
    keeper.until_output(b"ready")
    keeper.kill()
    keeper.start()
    assert keeper.instance()["exit"] is None
    os.kill(instance["pid"], signal.SIGTERM)
    assert keeper.until_exit()["code"] == 5


def test_exit_is_told_after_the_output_is_stored(keeper: Any) -> None:
    keeper.start()
    for epoch in range(1, 21):
        keeper.sh("head -c 300000 /dev/zero; exit 3", epoch=epoch)
        while not any(event.get("instance", {}).get("epoch") == epoch for event in keeper.events):
            keeper.ask("ping")
        event = keeper.events[-1]
        assert event["instance"]["exit"]["code"] == 3
        assert event["ends"]["stdout"] == epoch * 300_000
        assert len(keeper.output()) == epoch * 300_000


def test_lives_share_a_stream_and_are_told_apart(keeper: Any) -> None:
    keeper.start()
    for epoch, word in ((1, "one"), (2, "second"), (3, "three")):
        keeper.sh(f"echo {word}", epoch=epoch)
        keeper.until_exit(epoch=epoch)
        if epoch == 2:
            keeper.kill()
            keeper.start()
    assert keeper.output() == b"one\nsecond\nthree\n"
    (segment,) = segments.list_segments(keeper.logs()["directory"], "stdout")
    records = list(segments.read_index(segments.index_path(segment.path)))
    begins = [(record.epoch, record.offset) for record in records if record.kind == segments.EPOCH]
    assert begins == [(1, 0), (2, 4), (3, 11)]


def test_spawn_is_idempotent_even_after_a_death(keeper: Any) -> None:
    keeper.start()
    first = keeper.sh("exec sleep 60")
    assert keeper.sh("exec sleep 60")["pid"] == first["pid"]
    keeper.kill()
    keeper.start()
    assert keeper.sh("exec sleep 60")["pid"] == first["pid"]
    refused = keeper.sh("exec sleep 60", epoch=2)
    assert refused["code"] == "alive"


def test_a_spawn_that_was_not_recorded_is_found_by_its_marker(keeper: Any) -> None:
    keeper.start()
    instance = keeper.sh("exec sleep 60")
    keeper.kill()
    record = keeper.dir / "instances" / "s" / "a" / "1"
    record.write_bytes(record.read_bytes().split(b"\n")[0] + b"\n")  # the intent alone
    keeper.start()
    assert keeper.instance()["pid"] == instance["pid"]


def test_an_intent_without_a_process_never_began(keeper: Any) -> None:
    keeper.start()
    keeper.sh("exit 0")
    keeper.until_exit()
    keeper.kill()
    record = keeper.dir / "instances" / "s" / "a" / "1"
    record.write_bytes(record.read_bytes().split(b"\n")[0] + b"\n")
    keeper.start()
    assert keeper.instance() is None
    assert not record.exists()


def test_another_boot_means_that_nothing_lives(keeper: Any) -> None:
    keeper.start()
    instance = keeper.sh("exec sleep 60")
    keeper.kill()
    record = keeper.dir / "instances" / "s" / "a" / "1"
    boot = Path("/proc/sys/kernel/random/boot_id").read_bytes().strip()
    record.write_bytes(record.read_bytes().replace(boot, b"0" * len(boot)))
    keeper.start()
    exit = keeper.instance()["exit"]
    assert (exit["code"], exit["signal"]) == (None, None)
    os.kill(instance["pid"], 0)  # not touched


def test_damaged_records_do_not_keep_the_others_back(keeper: Any) -> None:
    keeper.start()
    keeper.sh("exec sleep 60")
    keeper.kill()
    folder = keeper.dir / "instances" / "s" / "b"
    folder.mkdir(parents=True)
    (folder / "1").write_bytes(b'{"key": "s/b", "epoch": 1}\n')
    (folder / "2").write_bytes(b"\xff\xfe nonsense")
    (folder / "3").write_bytes(b"")
    keeper.start()
    assert keeper.instance()["exit"] is None


def test_one_keeper_for_a_directory(keeper: Any) -> None:
    keeper.start()
    said = keeper.start()
    assert "lock" in said["error"]
    assert said["exit"] != 0


def test_it_leaves_when_told_and_services_stay(keeper: Any) -> None:
    keeper.start()
    instance = keeper.sh("exec sleep 60")
    assert keeper.leave() == 0
    os.kill(instance["pid"], 0)
    keeper.start()
    assert keeper.instance()["pid"] == instance["pid"]


def test_it_ends_by_itself_when_useless(keeper: Any) -> None:
    keeper.start("--idle-exit", "0.05")
    keeper.ask("ping")
    keeper.hang_up()
    assert keeper.wait() == 0


def test_it_stays_while_something_lives(keeper: Any) -> None:
    keeper.start("--idle-exit", "0.01")
    keeper.sh("sleep 0.3; echo done")
    keeper.hang_up()
    assert keeper.wait() == 0
    assert keeper.output() == b"done\n"


def test_spawn_errors_name_errno_and_stage(keeper: Any) -> None:
    keeper.start()
    tool = keeper.root / "tool"
    tool.write_text("#!/no/such/interpreter\n")
    assert _said(keeper.spawn([str(tool)])) == (13, "exec")
    tool.chmod(0o755)
    assert _said(keeper.spawn([str(tool)])) == (2, "exec")
    tool.write_bytes(b"\x7fELF nonsense")
    assert _said(keeper.spawn([str(tool)])) == (8, "exec")
    assert _said(keeper.spawn(["/no/such/tool"])) == (2, "exec")
    assert _said(keeper.spawn(["/bin/true"], cwd="/no/such/folder")) == (2, "cwd")
    assert _said(keeper.spawn(["/bin/true"], stdin="/no/such/file")) == (2, "stdin")
    assert keeper.ask("list")["instances"] == []


def _said(error: dict[str, Any]) -> tuple[int, str]:
    return error["errno"], error["stage"]


def test_nonsense_is_answered_or_cut_off(keeper: Any) -> None:
    keeper.start()
    assert keeper.ask("no such thing")["error"]["code"] == "unknown-op"
    assert keeper.ask("spawn", key="../../etc", epoch=1)["error"]["code"] == "request"
    assert keeper.ask("spawn")["error"]["code"] == "request"
    for words in (b"GET / HTTP/1.1\r\n\r\n", b"[1]\n", b"\xff\n"):
        with keeper.connect() as sock:
            sock.sendall(words)
            assert sock.recv(100) == b""
    assert "error" not in keeper.ask("ping")


def test_a_client_that_does_not_read_is_dropped(keeper: Any) -> None:
    keeper.start()
    keeper.sh("exec sleep 60")
    with keeper.connect() as sock:
        sock.setblocking(False)
        request = wire.encode({"id": 1, "op": "x" * 60_000}) * 10
        with_room = True
        while with_room:
            _, with_room, _ = select.select([], [sock], [], 1.0)
            try:
                sock.send(request)
            except (BrokenPipeError, ConnectionResetError):
                break
        else:
            raise AssertionError("it was let to pile up answers")
    assert keeper.instance()["exit"] is None


def test_its_socket_is_private_and_its_path_may_be_long(tmp_path: Path, keeper: Any) -> None:
    keeper.dir = tmp_path.joinpath(*["a" * 60] * 3)
    keeper.start()
    assert (keeper.dir / "keeper.sock").stat().st_mode & 0o777 == 0o600
    assert keeper.dir.stat().st_mode & 0o777 == 0o700
    assert "error" not in keeper.ask("ping")


def test_orphans_come_to_it_and_are_reaped(keeper: Any) -> None:
    keeper.start()
    keeper.sh("for i in $(seq 200); do (setsid true &) ; done; echo done; exec sleep 60")
    keeper.until_output(b"done")

    def children() -> int:
        return len(Path(f"/proc/{keeper.pid}/task/{keeper.pid}/children").read_text().split())

    while children() > 1:
        keeper.ask("ping")


def test_it_is_light_and_imports_nothing_of_ours() -> None:
    code = (
        "import sys, runpy; sys.argv = ['k', '--help']\n"
        "try: runpy.run_path(sys.orig_argv[-1], run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print([n for n in sys.modules if n.partition('.')[0] in "
        "('harness_core', 'asyncio', 'typing_extensions', 'pydantic', 'psutil', 'dataclasses', 'inspect', 'logging')])"
    )
    main = Path(wire.__file__).with_name("__main__.py")
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(main)], capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines()[-1] == "[]"


def test_growth_is_told_once_for_each_asking(keeper: Any) -> None:
    keeper.start()
    os.mkfifo(keeper.root / "in")
    keeper.sh("echo one; read line; echo $line; exec sleep 60", stdin=str(keeper.root / "in"))
    keeper.until_output(b"one\n")
    assert keeper.ask("watch", keys={"s/a": {"stdout": 0}})["keys"] == {"s/a": {"stdout": 4, "stderr": 0}}
    assert keeper.ask("watch", keys={"s/a": {"stdout": 4}})["keys"] == {}
    (keeper.root / "in").write_text("two\n")
    while not keeper.events:
        keeper.ask("ping")
    assert keeper.events == [{"event": "grew", "keys": {"s/a": {"stdout": 8, "stderr": 0}}}]
