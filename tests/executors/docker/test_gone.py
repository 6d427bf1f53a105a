"""What a container needs is taken away by somebody else: the stack's network, a network or a volume of the user's."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest

from harness_core.domain.executor import Gone, Running, StartFailed, StartSpec
from harness_core.domain.states import Started
from tests.executors.docker.conftest import Harness


def networks(harness: Harness) -> set[str]:
    return {row["Name"] for row in harness.engine.call("GET", "/networks")} - {"host", "none"}


async def stop(harness: Harness, spec: StartSpec, started: Started) -> None:
    report = await harness.executor.stop(spec.marker, started.handle, signal=signal.SIGTERM, grace=5)
    assert report.leftovers == ()


async def test_the_stacks_network_is_made_anew_for_the_next_life(harness: Harness) -> None:
    await harness.run("true")
    harness.engine.call("DELETE", "/networks/shop-89abcdef")
    _, started = await harness.start(epoch=2)
    assert set(harness.inspect(started)["NetworkSettings"]["Networks"]) == {"shop-89abcdef"}


async def test_the_stacks_network_goes_while_a_container_runs(harness: Harness) -> None:
    """It goes on without, and is not taken for dead; once started again it has one, and so have its neighbours."""
    spec, started = await harness.start()
    harness.engine.call(
        "POST", "/networks/shop-89abcdef/disconnect", {"Container": started.container_id, "Force": True}
    )
    harness.engine.call("DELETE", "/networks/shop-89abcdef")
    assert isinstance(await harness.executor.recover(spec.marker, started.handle), Running)
    neighbour, beside = await harness.start(name="beside")
    await stop(harness, spec, started)
    again, started = await harness.start(epoch=2)
    assert set(harness.inspect(started)["NetworkSettings"]["Networks"]) == {"shop-89abcdef"}
    await stop(harness, again, started)
    await stop(harness, neighbour, beside)
    assert networks(harness) == set()


async def test_a_network_of_the_users_that_is_gone_is_named(harness: Harness) -> None:
    harness.engine.call("POST", "/networks/create", {"Name": "mine"})
    spec, started = await harness.start(network="mine")
    await stop(harness, spec, started)
    harness.engine.call("DELETE", "/networks/mine")
    with pytest.raises(StartFailed, match="there is no network mine") as failed:
        await harness.start(epoch=2, network="mine")
    assert failed.value.permanent
    assert failed.value.hint == "docker network create mine"
    assert harness.engine.containers() == []
    assert await harness.executor.recover(harness.spec(epoch=2).marker, None) == Gone()


async def test_a_named_volume_that_was_removed_is_empty_in_the_next_life(harness: Harness) -> None:
    show = "cat /data/word 2>/dev/null; echo kept >/data/word"
    for epoch, removed in ((1, False), (2, True), (3, False)):
        spec = harness.spec(epoch=epoch, command=["sh", "-c", show], volumes=["stuff:/data"])
        started = await harness.executor.start(spec)
        assert (await harness.executor.wait(spec.marker, started.handle)).success
        await stop(harness, spec, started)
        if removed:
            harness.engine.call("DELETE", "/volumes/stuff")
    assert harness.output(spec) == b"kept\n", "the second life found what the first had left, the third found nothing"


async def test_a_volume_whose_files_are_gone_is_named(harness: Harness) -> None:
    """As when its disk is not mounted: the engine still knows the volume."""
    spec, started = await harness.start(volumes=["stuff:/data"])
    await stop(harness, spec, started)
    shutil.rmtree(Path(harness.engine.call("GET", "/volumes/stuff")["Mountpoint"]).parent)
    with pytest.raises(StartFailed, match=r"the volume stuff has lost its folder /.*/stuff/_data") as failed:
        await harness.start(epoch=2, volumes=["stuff:/data"])
    assert failed.value.permanent
    assert harness.engine.containers() == []


async def test_a_folder_that_is_gone_is_named(harness: Harness) -> None:
    (harness.base / "in").mkdir()
    spec, started = await harness.start(volumes=["./in:/in"])
    await stop(harness, spec, started)
    (harness.base / "in").rmdir()
    with pytest.raises(StartFailed, match=f"there is no {harness.base}/in to mount") as failed:
        await harness.start(epoch=2, volumes=["./in:/in"])
    assert failed.value.permanent
    assert harness.engine.containers() == []
