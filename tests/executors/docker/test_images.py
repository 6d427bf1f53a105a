"""Images that are fetched: how far it is can be seen, and what goes wrong is named."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from executors.docker.engine import EngineRefused
from executors.docker.progress import Progress
from harness_core.domain.executor import Gone, StartFailed
from tests.engine import busybox
from tests.executors.docker.conftest import Harness
from tests.registry import Registry


@pytest.fixture
def registry() -> Iterator[Registry]:
    # a file of its own: the engine fetches no layer that it has
    one = Registry(busybox({"srv/noise": os.urandom(1 << 20)}))
    try:
        yield one
    finally:
        one.close()


async def test_an_image_on_its_way_shows_how_far_it_is(harness: Harness, registry: Registry) -> None:
    spec = harness.spec(image=registry.image, pull="missing")
    start = asyncio.create_task(harness.executor.start(spec))
    await harness.reaches(lambda: any("1 layers" in one for one in harness.told))
    assert harness.told[0] == f"fetches the image {registry.image}"
    await harness.reaches(lambda: re.search(r": 0 of 1 layers, (0\.[1-9]|[1-9]\.\d) of \d\.\d MB$", harness.told[-1]))
    told = len(harness.told)
    await asyncio.sleep(1.5)
    assert len(harness.told) <= told + 2, "at most once a second"
    registry.go_on.set()
    started = await asyncio.wait_for(start, 30)
    assert harness.inspect(started)["State"]["Running"]
    told = len(harness.told)
    again = harness.spec(name="other", image=registry.image, pull="missing")
    await harness.executor.start(again)
    assert len(harness.told) == told, "nothing is fetched that is here"


async def test_a_registry_that_hangs_up_is_named_and_leaves_nothing(harness: Harness, registry: Registry) -> None:
    registry.cut = True
    spec = harness.spec(image=registry.image, pull="missing")
    with pytest.raises(StartFailed, match=f"cannot pull the image {registry.image}: ") as failed:
        await harness.executor.start(spec)
    assert failed.value.permanent
    assert harness.engine.containers() == []
    assert await harness.executor.recover(spec.marker, None) == Gone()


async def test_what_docker_login_left_is_used(
    harness: Harness, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    registry.login = "me:secret"
    registry.go_on.set()
    with pytest.raises(StartFailed, match=r"cannot pull the image .*no basic auth credentials") as failed:
        await harness.start(image=registry.image, pull="missing")
    assert "docker login for a private one" in failed.value.hint
    login = {"auth": base64.b64encode(registry.login.encode()).decode()}
    (tmp_path / "config.json").write_text(json.dumps({"auths": {registry.host: login}}))
    _, started = await harness.start(image=registry.image, pull="missing")
    assert harness.inspect(started)["State"]["Running"]


async def test_an_image_that_its_registry_has_not(harness: Harness, registry: Registry) -> None:
    image = registry.image.replace("some", "other")
    with pytest.raises(StartFailed, match=f"cannot pull the image {image}: .*manifest unknown") as failed:
        await harness.start(image=image, pull="missing")
    assert failed.value.permanent
    assert "is the name right" in failed.value.hint
    assert harness.engine.containers() == []


async def test_a_build_shows_its_steps(harness: Harness) -> None:
    (harness.base / "Dockerfile").write_text("FROM harness-test/busybox:1\nRUN sleep 3\nRUN true\n")
    _, started = await harness.start(image=None, pull="missing", build=".")
    assert harness.told[0] == "builds the image shop-web:harness"
    assert "builds the image shop-web:harness: step 2 of 3" in harness.told
    harness.engine.remove(started.container_id or "")
    harness.engine.call("DELETE", "/images/shop-web:harness?force=1")


def test_layers_are_counted_and_bytes_are_added_up() -> None:
    progress = Progress("fetches x")
    for step, said in [
        ({"status": "Pulling from some/image", "id": "1"}, "fetches x"),
        ({"status": "Pulling fs layer", "progressDetail": {}, "id": "a"}, "fetches x: 0 of 1 layers"),
        ({"status": "Already exists", "progressDetail": {}, "id": "b"}, "fetches x: 1 of 2 layers"),
        (
            {"status": "Downloading", "progressDetail": {"current": 1_500_000, "total": 4_000_000}, "id": "a"},
            "fetches x: 1 of 2 layers, 1.5 of 4.0 MB",
        ),
        ({"status": "Extracting", "progressDetail": {"current": 1, "total": 9}, "id": "a"}, "4.0 of 4.0 MB"),
        ({"status": "Pull complete", "progressDetail": {}, "id": "a"}, "fetches x: 2 of 2 layers, 4.0 of 4.0 MB"),
        ({"status": "Digest: sha256:1"}, "fetches x: 2 of 2 layers, 4.0 of 4.0 MB"),
        ({"stream": "Step 3/7 : RUN true"}, "fetches x: step 3 of 7"),
    ]:
        progress.take(step)
        assert progress.sentence.endswith(said)
    with pytest.raises(EngineRefused, match="no space left"):
        progress.take({"error": "no space left\n"})
