"""The image of a container: there already, fetched from its registry, or built from a folder."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from executors.docker.command import relative_to_stack
from executors.docker.engine import Engine, EngineRefused
from executors.docker.options import BuildOptions, DockerOptions, Pull
from executors.docker.progress import Progress
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
            await _answering(engine, progress, tell, lambda client: _build(client, spec, options.build, name))
        elif wanted is Pull.NEVER:
            raise StartFailed(
                f"cannot start {spec.marker.key}: the image {name} is not here, and pull is never",
                hint=f"docker pull {name}",
                permanent=True,
            )
        else:
            progress = Progress(f"fetches the image {name}")
            await _answering(engine, progress, tell, lambda client: _pull(client, name, options.platform))
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
    engine: Engine,
    progress: Progress,
    tell: Callable[[str], None],
    work: Callable[[APIClient], Iterator[Mapping[str, Any]]],
) -> None:
    """Do long work for as long as the engine lives. Raises ``EngineLost`` when it does not any more."""

    def follow(client: APIClient) -> None:
        for step in work(client):
            progress.take(step)

    told = progress.sentence
    tell(told)
    task = asyncio.ensure_future(engine.call(follow, deadline=FETCH_DEADLINE, patient=True))
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


def _pull(client: APIClient, name: str, platform: str | None) -> Iterator[Mapping[str, Any]]:
    repository, tag = _split(name)
    steps: Iterator[Mapping[str, Any]] = client.pull(repository, tag=tag, stream=True, decode=True, platform=platform)
    return steps


def _build(client: APIClient, spec: StartSpec, options: BuildOptions | None, name: str) -> Iterator[Mapping[str, Any]]:
    assert options is not None, "asked for only with it"
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
