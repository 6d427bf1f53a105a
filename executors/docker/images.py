"""The image of a container: there already, fetched from its registry, or built from a folder."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from executors.docker.command import relative_to_stack
from executors.docker.engine import Engine, EngineLost, EngineRefused
from executors.docker.options import BuildOptions, DockerOptions, Pull
from executors.docker.progress import Progress
from executors.docker.transport import query
from harness_core.domain.executor import StartFailed, StartSpec

if TYPE_CHECKING:
    from docker import APIClient

__all__ = ["FETCH_DEADLINE", "ensure_image", "image_name"]

#: how long fetching or building an image may take
FETCH_DEADLINE = 1800.0
#: how often the engine is asked meanwhile whether it still lives, and told how far it is
_ASK = 1.0


def image_name(spec: StartSpec, options: DockerOptions) -> str:
    """What the image is called; one that is built without a name is called after its service."""
    return options.image or f"{spec.marker.stack}-{spec.marker.name}:harness"


async def ensure_image(engine: Engine, spec: StartSpec, options: DockerOptions, tell: Callable[[str], None]) -> str:
    """Have the image, and return its name. Raises ``StartFailed`` that says which image and why not.

    ``tell`` is called on the event loop with how far it is, once a second at most.
    """
    name, wanted = image_name(spec, options), options.pull
    if wanted is not Pull.ALWAYS and await _is_here(engine, name):
        return name
    try:
        if options.build is not None:
            progress = Progress(f"builds the image {name}")
            await _answering(engine, progress, tell, _make(engine, spec, options.build, name, progress))
        elif wanted is Pull.NEVER:
            raise StartFailed(
                f"cannot start {spec.marker.key}: the image {name} is not here, and pull is never",
                hint=f"docker pull {name}",
                permanent=True,
            )
        else:
            progress = Progress(f"fetches the image {name}")
            await _answering(engine, progress, tell, _pull(engine, name, options.platform, progress))
    except EngineRefused as refused:
        verb = "build" if options.build is not None else "pull"
        raise StartFailed(
            f"cannot start {spec.marker.key}: cannot {verb} the image {name}: {refused.message}",
            hint=""
            if verb == "build"
            else "is the name right, and the registry within reach? docker login for a private one",
            permanent=True,
        ) from None
    return name


async def _is_here(engine: Engine, name: str) -> bool:
    try:
        await engine.call(lambda client: client.inspect_image(name))  # type: ignore[no-untyped-call]
    except EngineRefused as refused:
        if refused.status == 404:
            return False
        raise
    return True


async def _answering(
    engine: Engine, progress: Progress, tell: Callable[[str], None], work: Coroutine[Any, Any, None]
) -> None:
    """Do long work for as long as the engine lives. Raises ``EngineLost`` when it does not any more."""
    told = progress.sentence
    tell(told)
    task = asyncio.create_task(work)
    try:
        while not task.done():
            await asyncio.wait([task], timeout=_ASK)
            if not task.done():
                await engine.ping()
                if progress.sentence != told:
                    told = progress.sentence
                    tell(told)
        task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _pull(engine: Engine, name: str, platform: str | None, progress: Progress) -> None:
    """Fetch it. A registry may stall for ever, so no thread waits for it; cancelled, the engine gives up, too."""
    repository, tag = _split(name)
    headers = await engine.call(lambda client: _credentials(client, repository))
    path = f"/images/create{query(fromImage=repository, tag=tag, platform=platform)}"
    exchange = await engine.open("POST", path, deadline=FETCH_DEADLINE, headers=headers)
    buffer = b""
    try:
        async with asyncio.timeout(FETCH_DEADLINE):
            while data := await exchange.read():
                *lines, buffer = (buffer + data).split(b"\n")
                for line in filter(bytes.strip, lines):
                    progress.take(json.loads(line))
    except (OSError, ValueError) as error:
        raise EngineLost(f"the engine at {engine.address.url} was lost while it fetched {name}: {error}") from None
    finally:
        exchange.close()
    if not progress.ended and not await _is_here(engine, name):
        raise EngineLost(f"the engine at {engine.address.url} hung up while it fetched {name}")


def _credentials(client: APIClient, repository: str) -> dict[str, str]:
    """What ``docker login`` left for a registry, as the engine wants it."""
    from docker import auth

    registry, _ = auth.resolve_repository_name(repository)
    header = auth.get_config_header(client, registry)
    return {} if header is None else {"X-Registry-Auth": header.decode()}


async def _make(engine: Engine, spec: StartSpec, options: BuildOptions, name: str, progress: Progress) -> None:
    def follow(client: APIClient) -> None:
        for step in _build(client, spec, options, name):
            progress.take(step)

    await engine.call(follow, deadline=FETCH_DEADLINE, patient=True)


def _build(client: APIClient, spec: StartSpec, options: BuildOptions, name: str) -> Iterator[Mapping[str, Any]]:
    folder = relative_to_stack(spec, options.context)
    if not (folder / options.dockerfile).is_file():
        raise EngineRefused(400, f"there is no {folder / options.dockerfile}")
    steps: Iterator[Mapping[str, Any]] = client.build(
        path=str(folder),
        dockerfile=options.dockerfile,
        buildargs=dict(options.args),
        target=options.target or "",
        tag=name,
        rm=True,
        forcerm=True,
        decode=True,
    )
    return steps


def _split(name: str) -> tuple[str, str | None]:
    """Repository and tag, or digest; without either all tags would be fetched."""
    if "@" in name:
        repository, _, digest = name.partition("@")
        return repository, digest
    repository, colon, tag = name.rpartition(":")
    return (repository, tag) if colon and "/" not in tag else (name, "latest")
