"""Containers as a person writes them: every key arrives, every failure is named, every end told as what it was."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import urllib.request
from pathlib import Path

import pytest

from executors.docker.command import LABELS
from executors.docker.executor import DockerExecutor
from executors.docker.options import DockerOptions
from harness_core.domain.errors import ExecNotStarted, NotFound, UsageError
from harness_core.domain.executor import (
    Ended,
    ExecRequest,
    ExecutorContext,
    Gone,
    Lost,
    Marker,
    Running,
    StartFailed,
    StartSpec,
    Unknown,
)
from harness_core.domain.spec import LimitsSpec
from harness_core.domain.states import Handle
from harness_core.testing.logs import FileLogSink
from tests.engine import IMAGE
from tests.executors.docker.conftest import Harness


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return str(answer.read().decode())


# ── every key arrives ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_arguments_environment_user_and_folder_arrive_exactly(harness: Harness) -> None:
    awkward = ["", " ", "it's", 'a "b"', "$HOME `id`", "new\nline", "--", "ünï✓"]
    show = 'printf "%s\\000" "$@" "$(id -u)" "$(pwd)" "$A" "$(hostname)"; env -0'
    spec, started = await harness.start(
        command=["-c", show, "sh", *awkward],
        entrypoint=["/bin/sh"],
        env={"A": "x=y z"},
        user="app",
        working_dir="/tmp",
        hostname="box",
        labels={"mine": "yes"},
        more={"env": {"A": "x=y z", "HOME": "/of/the/caller", "B": "kept"}, "inherited": frozenset({"HOME"})},
    )
    assert (await harness.executor.wait(spec.marker, started.handle)).success
    told = [part.decode() for part in harness.output(spec).split(b"\0")]
    assert told[: len(awkward)] == awkward
    assert told[len(awkward) : len(awkward) + 4] == ["1000", "/tmp", "x=y z", "box"]
    env = dict(line.split("=", 1) for line in told[len(awkward) + 4 :] if "=" in line)
    assert (env["B"], env["HOME"]) == ("kept", "/home/app")
    labels = harness.inspect(started)["Config"]["Labels"]
    assert labels["mine"] == "yes"
    assert (labels[LABELS.STACK], labels[LABELS.SERVICE], labels[LABELS.EPOCH]) == ("shop", "web", "1")


async def test_what_it_may_use_and_do_arrives(harness: Harness) -> None:
    _, started = await harness.start(
        limits={"memory": "64MiB", "cpu": 0.5, "pids": 50, "shm": "16MiB"},
        devices=["/dev/null:/dev/nothing:r"],
        read_only=True,
        cap_drop=["ALL"],
        cap_add=["CHOWN"],
        security_opt=["no-new-privileges"],
        extra_hosts={"other": "10.9.8.7"},
        aliases=["www"],
        tmpfs=["/scratch:size=64k"],
        more={"limits": LimitsSpec(memory=1 << 30, nofile=100)},
    )
    host = harness.inspect(started)["HostConfig"]
    assert (host["Memory"], host["MemorySwap"]) == (64 << 20, 64 << 20)
    assert (host["NanoCpus"], host["PidsLimit"], host["ShmSize"]) == (500_000_000, 50, 16 << 20)
    assert host["Ulimits"] == [{"Name": "nofile", "Soft": 100, "Hard": 100}]
    assert host["Devices"] == [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/nothing", "CgroupPermissions": "r"}]
    assert (host["ReadonlyRootfs"], host["CapDrop"], host["CapAdd"]) == (True, ["ALL"], ["CHOWN"])
    assert (host["SecurityOpt"], host["Init"], host["DeviceRequests"]) == (["no-new-privileges"], True, None)
    assert "other:10.9.8.7" in host["ExtraHosts"]
    (network,) = harness.inspect(started)["NetworkSettings"]["Networks"].values()
    assert {"web", "www"} <= set(network["Aliases"])
    assert harness.inspect(started)["HostConfig"]["Tmpfs"] == {"/scratch": "size=64k"}


async def test_volumes_are_mounted(harness: Harness) -> None:
    (harness.base / "in").mkdir()
    (harness.base / "in/word").write_text("hello")
    line = "cat /in/word; echo more >/named/x; cat /named/x; touch /in/y 2>/dev/null || echo refused"
    assert (await harness.run("sh", "-c", line, volumes=["./in:/in:ro", "stuff:/named", "/nameless"])).success
    assert harness.output(harness.spec()) == b"hellomore\nrefused\n"
    again = harness.spec(name="other", volumes=["stuff:/s"], command=["cat", "/s/x"])
    started = await harness.executor.start(again)
    await harness.executor.wait(again.marker, started.handle)
    assert harness.output(again) == b"more\n"


async def test_ports_are_published_on_loopback_and_named(harness: Harness) -> None:
    (harness.base / "www").mkdir()
    (harness.base / "www/index.html").write_text("here")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        fixed = free.getsockname()[1]
    _, started = await harness.start(
        command=["sh", "-c", "httpd -p 80 -h /www; exec httpd -f -p 81 -h /www"],
        volumes=["./www:/www"],
        ports={"any": 80, "fixed": f"{fixed}:81"},
        more={"schemes": {"any": "ws"}},
    )
    assert list(started.endpoints) == ["any", "fixed"]
    assert started.endpoints["fixed"].port == fixed
    assert started.endpoints["any"].url.startswith("ws://127.0.0.1:")
    for endpoint in started.endpoints.values():
        await harness.reaches(lambda endpoint=endpoint: answers(endpoint.port))
        assert get(f"http://127.0.0.1:{endpoint.port}/index.html") == "here"
    bound = harness.inspect(started)["NetworkSettings"]["Ports"]
    assert {one["HostIp"] for many in bound.values() for one in many} == {"127.0.0.1"}
    inside = started.inside
    assert inside is not None
    assert (inside.network, inside.host) == ("docker/shop", "web")
    assert {name: one.port for name, one in inside.endpoints.items()} == {"any": 80, "fixed": 81}


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def test_a_chosen_port_is_the_same_in_the_next_life(harness: Harness) -> None:
    spec, first = await harness.start(ports=[80])
    await harness.executor.stop(spec.marker, first.handle, signal=signal.SIGTERM, grace=5)
    _, second = await harness.start(ports=[80], epoch=2)
    assert first.endpoints == second.endpoints


async def test_a_port_of_the_service_is_the_same_outside_and_inside(harness: Harness) -> None:
    _, started = await harness.start(more={"ports": {"http": 20123}}, ports={"admin": 9000})
    assert started.endpoints["http"].port == 20123
    assert started.inside is not None
    assert {name: one.port for name, one in started.inside.endpoints.items()} == {"http": 20123, "admin": 9000}
    assert next(iter(started.endpoints)) == "http"


async def test_without_a_network_of_its_own_its_ports_are_the_machines(harness: Harness) -> None:
    _, started = await harness.start(network="host", more={"ports": {"http": 20124}})
    assert started.inside is None
    assert started.endpoints["http"].port == 20124


async def test_neighbours_find_each_other_and_this_machine(harness: Harness) -> None:
    (harness.base / "www").mkdir()
    (harness.base / "www/index.html").write_text("from next door")
    await harness.start(name="next", command=["httpd", "-f", "-h", "/www"], volumes=["./www:/www"])
    spec = harness.spec(name="asks", command=["sh", "-c", "wget -qO- http://next/index.html; cat /etc/hosts"])
    started = await harness.executor.start(spec)
    assert (await harness.executor.wait(spec.marker, started.handle)).success
    said = harness.output(spec).decode()
    assert said.startswith("from next door")
    assert "host.docker.internal" in said


async def test_two_stacks_and_two_daemons_do_not_collide(harness: Harness, tmp_path: Path) -> None:
    """Same names, other stack; same names, same stack, other daemon."""
    other = Harness(tmp_path, harness.engine, instance="fedcba9876543210")
    await other.executor.open()
    try:
        started = [
            (await harness.start())[1],
            (await harness.start(stack="lab"))[1],
            (await other.start())[1],
        ]
        names = {harness.inspect(one)["Name"] for one in started}
        assert len(names) == 3
        networks = {next(iter(harness.inspect(one)["NetworkSettings"]["Networks"])) for one in started}
        assert len(networks) == 3
    finally:
        await other.close()


async def test_the_network_goes_with_the_last_one(harness: Harness) -> None:
    def networks() -> set[str]:
        return {row["Name"] for row in harness.engine.call("GET", "/networks")} - {"host", "none"}

    one, first = await harness.start()
    two, second = await harness.start(name="two")
    assert networks() == {"shop-89abcdef"}
    await harness.executor.stop(one.marker, first.handle, signal=signal.SIGTERM, grace=5)
    assert networks() == {"shop-89abcdef"}
    await harness.executor.stop(two.marker, second.handle, signal=signal.SIGTERM, grace=5)
    assert networks() == set()


async def test_an_image_is_built_from_a_folder(harness: Harness) -> None:
    (harness.base / "app").mkdir()
    (harness.base / "app/word").write_text("built")
    (harness.base / "app/Dockerfile").write_text(f"FROM {IMAGE}\nARG MORE\nENV MORE=$MORE\nCOPY word /word\n")
    spec, started = await harness.start(
        image=None,
        pull="missing",
        build={"context": "./app", "args": {"MORE": "x"}},
        command=["sh", "-c", 'cat /word; echo " $MORE"'],
    )
    assert (await harness.executor.wait(spec.marker, started.handle)).success
    assert harness.output(spec) == b"built x\n"
    harness.engine.call("DELETE", "/images/shop-web:harness?force=1")


# ── failures are named ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ({"image": "no/such:image"}, "the image no/such:image is not here, and pull is never"),
        ({"image": "127.0.0.1:1/no/such:image", "pull": "always"}, "cannot pull the image 127.0.0.1:1/no/such:image: "),
        (
            {"image": None, "build": "./nowhere", "pull": "missing"},
            "cannot build the image shop-web:harness: there is no",
        ),
        ({"command": ["no-such-program"], "init": False}, "there is no program no-such-program in the image"),
        ({"command": ["/etc/passwd"], "init": False}, "/etc/passwd in the image is not executable"),
        ({"volumes": ["./nowhere:/x"]}, "to mount"),
        ({"network": "nowhere"}, "there is no network nowhere"),
        ({"gpus": "all"}, "this engine has no driver for the GPUs that it asks for"),
        ({"devices": ["/dev/nowhere"]}, "a device that it asks for is not there"),
        ({"limits": {"memory": "1k"}}, "inimum memory limit"),
        ({"user": "nobody-of-this-name"}, "there is no user nobody-of-this-name in the image"),
    ],
)
async def test_what_cannot_start_says_why_and_leaves_nothing(
    harness: Harness, target: dict[str, object], why: str
) -> None:
    spec = harness.spec(**target)
    with pytest.raises(StartFailed) as failed:
        await harness.executor.start(spec)
    assert why in failed.value.message
    assert failed.value.permanent
    assert harness.engine.containers() == []
    assert await harness.executor.recover(spec.marker, None) == Gone()


async def test_a_taken_port_names_its_holder(harness: Harness) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StartFailed, match=rf"port {port} is taken by pid \d+") as failed:
            await harness.start(ports=[f"{port}:80"])
    assert failed.value.permanent
    assert harness.engine.containers() == []


async def test_a_taken_name_is_not_ours_to_use(harness: Harness) -> None:
    foreign = harness.engine.run("shop-web-89abcdef", "sleep", "100")
    with pytest.raises(StartFailed, match=f"another container called shop-web-89abcdef, made from {IMAGE}") as failed:
        await harness.start()
    assert failed.value.permanent
    assert harness.engine.inspect(foreign)["State"]["Running"]


async def test_without_an_engine_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    executor = DockerExecutor(ExecutorContext(tmp_path, FileLogSink(tmp_path), "i"))
    await executor.open()
    try:
        spec = StartSpec(Marker("s", "a", 1), DockerOptions(image=IMAGE), env={}, base_dir=tmp_path)
        with pytest.raises(StartFailed, match="there is no such socket") as failed:
            await executor.start(spec)
        assert not failed.value.permanent
        found = await executor.recover(spec.marker, None)
        assert isinstance(found, Unknown)
        report = await executor.stop(spec.marker, Handle("docker", {"id": "x", "engine": "y"}), signal=15, grace=1)
        assert "there is no such socket" in report.leftovers[0]
    finally:
        await executor.close()


# ── ends are told as what they were ──────────────────────────────────────────────────────────────────────────────────


async def test_out_of_memory_is_told_as_such(harness: Harness) -> None:
    exit_ = await harness.run("sh", "-c", "tail /dev/zero", limits={"memory": "16MiB"}, init=False)
    assert exit_.oom
    assert str(exit_) == "killed by the kernel: out of memory"


async def test_removed_by_somebody_else(harness: Harness) -> None:
    spec, started = await harness.start()
    waiting = asyncio.create_task(harness.executor.wait(spec.marker, started.handle))
    assert started.container_id is not None
    harness.engine.remove(started.container_id)
    exit_ = await asyncio.wait_for(waiting, 10)
    assert exit_.note == "its container was removed by somebody else"
    assert exit_.code in (137, None)  # where the news of its death came before anybody listened
    assert await harness.executor.recover(spec.marker, started.handle) == Ended(exit_)
    report = await harness.executor.stop(spec.marker, started.handle, signal=signal.SIGTERM, grace=5)
    assert report.leftovers == ()


async def test_stopped_by_somebody_else(harness: Harness) -> None:
    spec, started = await harness.start()
    waiting = asyncio.create_task(harness.executor.wait(spec.marker, started.handle))
    await asyncio.to_thread(harness.engine.call, "POST", f"/containers/{started.container_id}/stop?t=5")
    exit_ = await asyncio.wait_for(waiting, 10)
    assert exit_.code == 143
    assert exit_.note == "its container was sent SIGTERM by somebody else"


async def test_restarted_by_somebody_else_is_the_same_life(harness: Harness) -> None:
    spec, started = await harness.start(command=["sh", "-c", "echo born; exec sleep infinity"], ports=["80"])
    waiting = asyncio.create_task(harness.executor.wait(spec.marker, started.handle))
    await asyncio.to_thread(harness.engine.call, "POST", f"/containers/{started.container_id}/restart?t=5")
    with pytest.raises(Lost, match="its container was restarted by somebody else"):
        await asyncio.wait_for(waiting, 10)
    found = await harness.executor.recover(spec.marker, started.handle)
    assert isinstance(found, Running)
    assert found.started.container_id == started.container_id
    assert found.started.pid != started.pid
    waiting = asyncio.create_task(harness.executor.wait(spec.marker, found.started.handle))
    await harness.reaches(lambda: harness.output(spec) == b"born\nborn\n")
    await harness.executor.stop(spec.marker, found.started.handle, signal=signal.SIGTERM, grace=5)
    assert (await waiting).note == ""


async def test_renamed_by_somebody_else_is_the_same_one(harness: Harness) -> None:
    spec, started = await harness.start()
    harness.engine.call("POST", f"/containers/{started.container_id}/rename?name=another")
    found = await harness.executor.recover(spec.marker, started.handle)
    assert isinstance(found, Running)
    assert (await harness.executor.inspect(spec.marker, started.handle)).details["container"] == "another"
    report = await harness.executor.stop(spec.marker, started.handle, signal=signal.SIGTERM, grace=5)
    assert report.leftovers == ()
    assert harness.engine.containers() == []


async def test_paused_by_somebody_else_it_neither_runs_nor_has_it_ended(harness: Harness) -> None:
    spec, started = await harness.start()
    waiting = asyncio.create_task(harness.executor.wait(spec.marker, started.handle))
    harness.engine.call("POST", f"/containers/{started.container_id}/pause")
    async with asyncio.timeout(5):
        with pytest.raises(Lost, match="paused by somebody else; docker unpause"):
            await waiting
    found = await harness.executor.recover(spec.marker, started.handle)
    assert isinstance(found, Unknown)
    assert "paused" in found.reason
    assert found.started is not None  # it can be ended all the same
    assert (await harness.executor.inspect(spec.marker, started.handle)).details["state"] == "paused"
    harness.engine.call("POST", f"/containers/{started.container_id}/unpause")
    assert isinstance(await harness.executor.recover(spec.marker, started.handle), Running)


async def test_paused_by_somebody_else_it_can_be_stopped(harness: Harness) -> None:
    spec, started = await harness.start()
    harness.engine.call("POST", f"/containers/{started.container_id}/pause")
    report = await harness.executor.stop(spec.marker, started.handle, signal=signal.SIGTERM, grace=5)
    assert (report.forced, report.leftovers) == (False, ())


async def test_a_container_of_another_engine_is_not_taken_for_gone(harness: Harness) -> None:
    spec, started = await harness.start()
    handle = Handle("docker", {**started.handle.data, "engine": "another"})
    found = await harness.executor.recover(spec.marker, handle)
    assert isinstance(found, Unknown)
    assert "another Docker engine" in found.reason
    assert (await harness.executor.stop(spec.marker, handle, signal=signal.SIGTERM, grace=1)).leftovers


@pytest.mark.parametrize("handle", [Handle("process", {}), Handle("docker", {}), Handle("docker", {}, version=9)])
async def test_a_handle_that_is_none_of_ours_proves_nothing(harness: Harness, handle: Handle) -> None:
    assert isinstance(await harness.executor.recover(Marker("shop", "web", 1), handle), Unknown)


async def test_a_container_that_was_made_and_never_started_is_removed(harness: Harness) -> None:
    spec = harness.spec()
    labels = {
        LABELS.INSTANCE: harness.context.instance,
        LABELS.STACK: "shop",
        LABELS.SERVICE: "web",
        LABELS.EPOCH: "1",
    }
    harness.engine.call("POST", "/containers/create?name=half", {"Image": IMAGE, "Labels": labels})
    assert await harness.executor.recover(spec.marker, None) == Gone()
    assert harness.engine.containers() == []


async def test_one_that_was_given_up_is_neither_ended_nor_doubled(harness: Harness) -> None:
    spec, started = await harness.start()
    await harness.executor.forget(spec.marker, started.handle)
    with pytest.raises(StartFailed, match="the container shop-web-89abcdef, which was given up, still runs"):
        await harness.start(epoch=2)
    assert len(harness.engine.containers()) == 1


# ── beside it ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_terminal_has_a_size_and_hears_of_changes(harness: Harness) -> None:
    spec, started = await harness.start()
    request = ExecRequest(["sh", "-c", "read x; stty size; read x; stty size; exit 3"], tty=True, rows=30, columns=90)
    session = await harness.executor.exec(spec.marker, started.handle, spec, request)
    said = b""
    try:
        await session.write(b"\n")
        async for stream, data in session.output():
            assert stream == "stdout"
            said += data
            if said.endswith(b"30 90\r\n"):
                await session.resize(40, 100)
                await session.write(b"\n")
        assert (await session.wait()).code == 3
    finally:
        await session.close()
    assert b"30 90" in said
    assert b"40 100" in said


async def test_a_command_runs_as_the_service_and_hears_signals(harness: Harness) -> None:
    spec, started = await harness.start(user="app", working_dir="/tmp", env={"A": "b"}, more={"env": {"A": "b"}})
    exit_, output = await harness.exec(spec, started, "sh", "-c", "id -un; pwd; echo $A")
    assert exit_.success
    assert output["stdout"] == b"app\n/tmp\nb\n"
    session = await harness.executor.exec(spec.marker, started.handle, spec, ExecRequest(["sleep", "1000"]))
    await session.signal(signal.SIGTERM)
    assert (await asyncio.wait_for(session.wait(), 10)).code == 143
    await session.close()


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (["/no/such"], "cannot run /no/such: there is no such program in the container"),
        (["no-such"], "cannot run no-such: there is no such program in the container"),
        (["/etc/passwd"], "cannot run /etc/passwd: it is not executable"),
        ([], "no command"),
    ],
)
async def test_a_command_that_cannot_run_says_why(harness: Harness, argv: list[str], why: str) -> None:
    spec, started = await harness.start()
    with pytest.raises(ExecNotStarted) as error:
        await harness.executor.exec(spec.marker, started.handle, spec, ExecRequest(argv))
    assert why in error.value.message


async def test_a_program_may_end_as_if_it_had_not_been_found(harness: Harness) -> None:
    spec, started = await harness.start()
    for code in (126, 127):
        exit_, _ = await harness.exec(spec, started, "sh", "-c", f"exit {code}")
        assert exit_.code == code


async def test_nothing_runs_in_what_does_not_run(harness: Harness) -> None:
    spec, started = await harness.start()
    await harness.executor.stop(spec.marker, started.handle, signal=signal.SIGTERM, grace=5)
    for handle in (None, started.handle):
        with pytest.raises(ExecNotStarted):
            await harness.executor.exec(spec.marker, handle, spec, ExecRequest(["true"]))
    with pytest.raises(NotFound):
        await harness.executor.signal(spec.marker, started.handle, signal.SIGHUP)
    with pytest.raises(NotFound):
        await harness.executor.inspect(spec.marker, started.handle)
    with pytest.raises(UsageError, match="named by its name or id"):
        await harness.executor.adopt(spec, {})


async def test_particulars(harness: Harness) -> None:
    spec, started = await harness.start(ports=[80])
    seen = await harness.executor.inspect(spec.marker, started.handle)
    assert started.pid in seen.pids
    assert seen.memory_bytes
    assert seen.cpu_seconds is not None
    assert seen.listening == (f"127.0.0.1:{started.endpoints['80'].port}",)
    assert seen.details["image"] == IMAGE
    assert json.dumps(dict(seen.details))


async def test_a_signal_arrives(harness: Harness) -> None:
    spec, started = await harness.start(command=["sh", "-c", "trap 'exit 5' USR1; while :; do sleep 0.05; done"])
    await asyncio.sleep(0.3)
    await harness.executor.signal(spec.marker, started.handle, signal.SIGUSR1)
    assert (await harness.executor.wait(spec.marker, started.handle)).code == 5
