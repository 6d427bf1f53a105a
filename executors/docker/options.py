"""The target of a container: what a person writes under ``target:`` with ``type: docker``."""

from __future__ import annotations

import re
import shlex
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from executors.docker.ports import PortMapping, parse_port
from harness_core.domain.quantities import Model, Size
from harness_core.domain.references import holds_reference

__all__ = ["BuildOptions", "DeviceRequest", "DockerOptions", "LimitOptions", "Pull", "Volume", "parse_volume"]

_VOLUME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_VOLUME_MODES = {"ro", "rw", "z", "Z", "nocopy", "cached", "delegated", "consistent"}
_OURS = "harness."
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")


class Pull(StrEnum):
    """When the image is fetched from its registry."""

    MISSING = "missing"
    ALWAYS = "always"
    NEVER = "never"


def _text(value: Any) -> Any:
    # YAML reads 8080, 1.5 and true as other than words; where a program gets words, those were meant
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, (int, float)) else value


def _port(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise ValueError("a port is written as a number or as text, such as 5432 or '8080:80'")
    if not (isinstance(value, str) and holds_reference(value)):
        parse_port(value)
    return value


def _volume(value: str) -> str:
    if not holds_reference(value):
        parse_volume(value)
    return value


def _tmpfs(value: str) -> str:
    if not holds_reference(value) and not value.startswith("/"):
        raise ValueError(f"{value!r} is no folder inside; write /run or /run:size=64m,mode=1777")
    return value


def _command(value: Any) -> Any:
    if isinstance(value, list):
        return [_text(part) for part in value]
    if isinstance(value, str):
        try:
            shlex.split(value)
        except ValueError as error:
            raise ValueError(f"cannot be split into words: {str(error).lower()}") from None
    return value


def _label(name: str) -> str:
    if name.startswith(_OURS):
        raise ValueError(f"{name!r}: labels that begin with '{_OURS}' are how harness finds its containers")
    return name


def _container_name(value: str) -> str:
    if not holds_reference(value) and not _NAME.fullmatch(value):
        raise ValueError(f"{value!r} cannot be the name of a container: use letters, digits, '.', '_' and '-'")
    return value


Text = Annotated[str, BeforeValidator(_text, json_schema_input_type=str | float | bool)]
Port = Annotated[int | str, BeforeValidator(_port, json_schema_input_type=int | str)]
Words = Annotated[str | list[str], BeforeValidator(_command, json_schema_input_type=str | list[str | float])]


class Volume(BaseModel):
    """One thing mounted into a container."""

    model_config = ConfigDict(frozen=True)

    #: a path of this machine, the name of a volume, or ``None`` for a volume without a name
    source: str | None
    target: str
    #: what stands behind the last colon, in the order written
    modes: tuple[str, ...] = ()

    @property
    def read_only(self) -> bool:
        return "ro" in self.modes

    @property
    def relabelled(self) -> bool:
        """Whether it gets the label of SELinux that lets containers see it."""
        return "z" in self.modes or "Z" in self.modes

    @property
    def is_bind(self) -> bool:
        return self.source is not None and not _VOLUME.fullmatch(self.source)


def parse_volume(text: str) -> Volume:
    """Read ``SOURCE:TARGET[:ro]`` or ``TARGET``. Raises ``ValueError`` that says what is wrong."""
    parts = text.split(":")
    modes: tuple[str, ...] = ()
    if len(parts) > 1 and set(parts[-1].split(",")) <= _VOLUME_MODES:
        modes = tuple(parts.pop().split(","))
    source, target = (None, parts[0]) if len(parts) == 1 else (parts[0], parts[-1])
    if len(parts) > 2 or not target.startswith("/") or source == "":
        raise ValueError(f"{text!r} is not a volume; write './data:/data', 'name:/data' or '/etc/x:/etc/x:ro'")
    if source is not None and not source.startswith(("/", ".", "~")) and not _VOLUME.fullmatch(source):
        raise ValueError(f"{source!r} is neither the name of a volume nor a path; a path begins with './' or '/'")
    return Volume(source=source, target=target, modes=modes)


class BuildOptions(Model):
    """How the image is made from a folder with a Dockerfile."""

    context: str = "."
    """The folder, relative to the stack file."""
    dockerfile: str = "Dockerfile"
    """The file that says how, relative to the folder."""
    args: dict[str, Text] = Field(default_factory=dict)
    """Values for its `ARG` lines."""
    target: str | None = None
    """The stage to stop at."""


class LimitOptions(Model):
    """What the container may use; `memory` and `cpu` of the service's own `limits` mean the same."""

    memory: Size | None = None
    """Bytes of memory; above it the kernel ends something in the container."""
    cpu: float | None = Field(default=None, gt=0)
    """Processors, such as 0.5."""
    pids: int | None = Field(default=None, gt=0)
    """Processes and threads."""
    shm: Size | None = None
    """Bytes of shared memory, `/dev/shm`."""


class DeviceRequest(Model):
    """GPUs, handed to the engine as they are asked for."""

    count: Annotated[int, Field(gt=0)] | Literal["all"] | None = None
    """How many, or all of them."""
    devices: list[Text] = Field(default_factory=list)
    """Which, by index or UUID, instead of `count`."""
    driver: str = ""
    """The engine's driver; left to the engine when empty."""
    capabilities: list[str] = Field(default_factory=lambda: ["gpu"])
    """What the driver must be able to do."""

    @model_validator(mode="after")
    def _one_way(self) -> DeviceRequest:
        if (self.count is None) == (not self.devices):
            raise ValueError("say either count or devices")
        return self


def _gpus(value: Any) -> Any:
    if value == "all" or (isinstance(value, int) and not isinstance(value, bool)):
        return {"count": value}
    return {"devices": value} if isinstance(value, list) else value


class DockerOptions(Model):
    """A container of the Docker engine."""

    type: Literal["docker"] = "docker"
    image: str | None = Field(default=None, min_length=1)
    """What it runs, such as `postgres:16`; with `build`, the name that the built image gets."""
    build: Annotated[
        BuildOptions | None,
        BeforeValidator(lambda value: {"context": value} if isinstance(value, str) else value, str | BuildOptions),
    ] = None
    """Make the image from a folder: its path, or `{context, dockerfile, args, target}`."""
    pull: Pull = Pull.MISSING
    """When the image is fetched: `missing`, `always` or `never`."""
    platform: str | None = None
    """Of an image that has several, such as `linux/arm64`."""
    command: Words | None = None
    """Instead of the image's own command: words, or one line that is split as a shell would."""
    entrypoint: Words | None = None
    """Instead of the image's own entry point."""
    env: dict[str, Text] = Field(default_factory=dict)
    """Environment variables. Nothing of the caller's session is passed on."""
    ports: list[Port] | dict[str, Port] = Field(default_factory=list)
    """What it listens on: `5432` (published on a free port), `"8080:80"`, ranges; a map gives names."""
    volumes: list[Annotated[str, AfterValidator(_volume)]] = Field(default_factory=list)
    """`./folder:/inside`, `name:/inside`, with `:ro` for reading only."""
    tmpfs: list[Annotated[str, AfterValidator(_tmpfs)]] = Field(default_factory=list)
    """Folders that are kept in memory, such as `/run` or `/run:size=64m,mode=1777`."""
    user: Text | None = None
    """Whom it runs as inside, such as `1000:1000`."""
    working_dir: str | None = Field(default=None, min_length=1)
    """The folder inside in which it runs."""
    hostname: str | None = None
    """What it calls itself; default: the engine chooses."""
    network: str | None = Field(default=None, min_length=1)
    """Another network than the stack's own: its name, `host`, `bridge` or `none`."""
    aliases: list[str] = Field(default_factory=list)
    """More names under which others of its network find it."""
    name: Annotated[str, AfterValidator(_container_name)] | None = None
    """The container's name; default: stack, service and a mark of this daemon."""
    labels: dict[Annotated[str, AfterValidator(_label)], Text] = Field(default_factory=dict)
    """Labels of the container."""
    limits: LimitOptions = Field(default_factory=LimitOptions)
    """What it may use."""
    gpus: Annotated[DeviceRequest | None, BeforeValidator(_gpus, Literal["all"] | int | list[str] | DeviceRequest)] = (
        None
    )
    """GPUs, only when asked for: `all`, a number, a list of indices or UUIDs."""
    devices: list[str] = Field(default_factory=list)
    """Device files, such as `/dev/fuse` or `/dev/a:/dev/b:rwm`."""
    init: bool = False
    """Put a small init before the program, which passes signals on and reaps what is left behind."""
    read_only: bool = False
    """The file system of the image cannot be written to."""
    cap_add: list[str] = Field(default_factory=list)
    """Linux capabilities besides the engine's default."""
    cap_drop: list[str] = Field(default_factory=list)
    """Linux capabilities to be without; `ALL` for all."""
    security_opt: list[str] = Field(default_factory=list)
    """Passed to the engine, such as `no-new-privileges`."""
    extra_hosts: dict[str, str] = Field(default_factory=dict)
    """More names and their addresses."""
    success_exit_codes: list[Annotated[int, Field(ge=0, le=255)]] = Field(default_factory=lambda: [0])
    """Exit codes that count as success."""

    @model_validator(mode="after")
    def _whole(self) -> DockerOptions:
        if self.image is None and self.build is None:
            raise ValueError("a container needs an image, or a folder to build it from")
        if self.network in ("host", "none") and (self.ports or self.aliases):
            raise ValueError(
                f"network: {self.network} publishes no ports and knows no names: take ports and aliases out"
            )
        return self

    def mappings(self) -> dict[str, PortMapping]:
        """Its ports by name, in the order written. Raises ``ValueError`` for what a reference made no port of."""
        found: dict[str, PortMapping] = {}
        if isinstance(self.ports, dict):
            for name, value in self.ports.items():
                one, *more = parse_port(value)
                if more:
                    raise ValueError(f"{name}: a name is for one port; write ranges as a list")
                found[name] = one
        else:
            for one in (one for value in self.ports for one in parse_port(value)):
                # one port may be published several times, and each time counts
                again = found.get(one.name, one) != one
                found[f"{one.name}-{one.published or 'auto'}" if again else one.name] = one
        return found
