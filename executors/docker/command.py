"""From options to what the engine is asked to create: pure, so that tests need no engine."""

from __future__ import annotations

import json
import os.path
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from executors.docker.options import DeviceRequest, DockerOptions, Volume, parse_volume
from executors.docker.ports import PortMapping
from harness_core.domain.executor import Marker, StartSpec
from harness_core.domain.spec import LogsSpec

__all__ = [
    "HOST_NAME",
    "INSIDE_OUTPUT",
    "LABELS",
    "Plan",
    "container_name",
    "create_payload",
    "environment",
    "identity",
    "network_key",
    "network_name",
    "volumes_of",
]

#: by what name containers reach the machine of the engine
HOST_NAME = "host.docker.internal"
#: where a task in a container writes its outputs
INSIDE_OUTPUT = "/run/harness-output"
_CONSISTENCY = ("cached", "delegated", "consistent")


class LABELS:
    """The names of the labels that every container and network of ours carries from birth."""

    INSTANCE = "harness.instance"
    STACK = "harness.stack"
    SERVICE = "harness.service"
    EPOCH = "harness.epoch"
    PLAN = "harness.plan"


@dataclass(frozen=True, slots=True)
class Plan:
    """What has to be known of a container beyond what the engine tells of it; it carries it as a label."""

    #: by port name: the container's own port (``5432/tcp``) and the scheme of its URL
    ports: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    #: the name that others of its network find it by, and what that network is called in addresses; empty: none
    alias: str = ""
    network: str = ""
    logs: LogsSpec = field(default_factory=LogsSpec)

    def to_label(self) -> str:
        ports = {name: list(value) for name, value in self.ports.items()}
        logs = self.logs.model_dump(mode="json")
        return json.dumps({"ports": ports, "alias": self.alias, "network": self.network, "logs": logs})

    @classmethod
    def from_label(cls, text: str) -> Plan:
        """Raises ``ValueError`` for a label that somebody else wrote."""
        try:
            value = json.loads(text)
            ports = {str(name): (str(key), str(scheme)) for name, (key, scheme) in value["ports"].items()}
            return cls(ports, str(value["alias"]), str(value["network"]), LogsSpec.model_validate(value["logs"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"a damaged label: {error}") from None


# ── names ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def container_name(instance: str, marker: Marker, options: DockerOptions) -> str:
    """One name for all lives of a service, so that the engine itself refuses a second container."""
    return options.name or f"{marker.stack}-{marker.name}-{_short(instance)}"


def network_name(instance: str, stack: str) -> str:
    return f"{stack}-{_short(instance)}"


def network_key(network: str | None, stack: str) -> str:
    """What a unit's network is called in addresses: two with the same one reach each other by name. Empty: none do."""
    if network is None:
        return f"docker/{stack}"
    return "" if network in ("host", "none", "bridge", "default") else f"docker/={network}"


def identity(instance: str, marker: Marker) -> dict[str, str]:
    """The labels by which a container of ours is found again."""
    return {
        LABELS.INSTANCE: instance,
        LABELS.STACK: marker.stack,
        LABELS.SERVICE: marker.name,
        LABELS.EPOCH: str(marker.epoch),
    }


def _short(instance: str) -> str:
    # the whole one is in the labels; names stay readable. The last part of a test's is what tells it apart
    return "".join(letter for letter in instance if letter.isalnum())[-8:] or "harness"


# ── the container ────────────────────────────────────────────────────────────────────────────────────────────────────


def environment(spec: StartSpec, options: DockerOptions) -> dict[str, str]:
    """What is set inside. What only the caller's session has, its PATH and HOME, means nothing there."""
    own = {name: value for name, value in spec.env.items() if name not in spec.inherited}
    whole = {**own, **options.env}
    if "HARNESS_OUTPUT" in whole:
        whole["HARNESS_OUTPUT"] = INSIDE_OUTPUT
    return whole


def create_payload(
    spec: StartSpec,
    options: DockerOptions,
    *,
    image: str,
    ports: Mapping[str, PortMapping],
    network: str,
    host_address: str,
    plan: Plan,
    labels: Mapping[str, str],
) -> dict[str, Any]:
    """The body of ``POST /containers/create``. ``ports`` are published as they say; ``network`` is a name."""
    aliases = [plan.alias, *options.aliases] if plan.alias else []
    extra = {**({HOST_NAME: host_address} if host_address else {}), **options.extra_hosts}
    payload: dict[str, Any] = {
        "Image": image,
        "Env": [f"{name}={value}" for name, value in environment(spec, options).items()],
        "Labels": {**spec.labels, **options.labels, LABELS.PLAN: plan.to_label(), **labels},
        "ExposedPorts": {mapping.key: {} for mapping in ports.values()},
        "HostConfig": {
            "NetworkMode": network,
            "PortBindings": _bindings(ports),
            "RestartPolicy": {"Name": "no"},
            "LogConfig": _log_config(spec.logs),
            "ExtraHosts": [f"{name}:{address}" for name, address in extra.items()],
            **_mounts(spec, options),
            **_limits(spec, options),
            **_rights(options),
        },
    }
    if aliases:
        payload["NetworkingConfig"] = {"EndpointsConfig": {network: {"Aliases": aliases}}}
    given = {
        "Cmd": _words(options.command),
        "Entrypoint": _words(options.entrypoint),
        "WorkingDir": options.working_dir,
        "User": options.user or spec.user,
        "Hostname": options.hostname,
    }
    return payload | {name: value for name, value in given.items() if value is not None}


def volumes_of(spec: StartSpec, options: DockerOptions) -> list[Volume]:
    """Its volumes; paths of this machine are absolute."""
    home = spec.env.get("HOME", "")
    found = []
    for text in options.volumes:
        volume = parse_volume(text)
        if volume.is_bind and volume.source is not None:
            source = home + volume.source[1:] if home and volume.source.startswith("~") else volume.source
            volume = volume.model_copy(update={"source": os.path.normpath(spec.base_dir / source)})
        found.append(volume)
    if "HARNESS_OUTPUT" in spec.env:
        found.append(Volume(source=spec.env["HARNESS_OUTPUT"], target=INSIDE_OUTPUT))
    return found


def _words(value: str | list[str] | None) -> list[str] | None:
    return shlex.split(value) if isinstance(value, str) else value


def _bindings(ports: Mapping[str, PortMapping]) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for one in ports.values():
        binding = {"HostIp": one.address, "HostPort": "" if one.published is None else str(one.published)}
        found.setdefault(one.key, []).append(binding)
    return found


def _log_config(logs: LogsSpec) -> dict[str, Any]:
    """The engine keeps what we have not read yet: at least as much as we would, and in a format that keeps bytes."""
    size = max(logs.max_size, 16 << 20)
    return {
        "Type": "local",
        "Config": {"max-size": str(size), "max-file": str(min(logs.max_files, 10)), "compress": "false"},
    }


def _mounts(spec: StartSpec, options: DockerOptions) -> dict[str, Any]:
    mounts, binds = [], []
    for volume in volumes_of(spec, options):
        if volume.relabelled and volume.source:
            # the newer form of a mount cannot say it
            binds.append(f"{volume.source}:{volume.target}:{','.join(volume.modes)}")
            continue
        mount: dict[str, Any] = {"Target": volume.target, "ReadOnly": volume.read_only}
        if volume.is_bind:
            mount |= {"Type": "bind", "Source": volume.source}
        else:
            mount |= {"Type": "volume", **({"Source": volume.source} if volume.source else {})}
            if "nocopy" in volume.modes:
                mount["VolumeOptions"] = {"NoCopy": True}
        if asked := [mode for mode in volume.modes if mode in _CONSISTENCY]:
            mount["Consistency"] = asked[-1]
        mounts.append(mount)
    tmpfs = {path: rest for path, _, rest in (text.partition(":") for text in options.tmpfs)}
    return {"Mounts": mounts, "Binds": binds, "Tmpfs": tmpfs}


def _limits(spec: StartSpec, options: DockerOptions) -> dict[str, Any]:
    memory = options.limits.memory or spec.limits.memory
    cpu = options.limits.cpu or spec.limits.cpu
    limits: dict[str, Any] = {}
    if memory:
        limits |= {"Memory": memory, "MemorySwap": memory}  # swap besides would make twice of it
    if cpu:
        limits["NanoCpus"] = round(cpu * 1e9)
    if options.limits.pids:
        limits["PidsLimit"] = options.limits.pids
    if options.limits.shm:
        limits["ShmSize"] = options.limits.shm
    if spec.limits.nofile:
        limits["Ulimits"] = [{"Name": "nofile", "Soft": spec.limits.nofile, "Hard": spec.limits.nofile}]
    return limits


def _rights(options: DockerOptions) -> dict[str, Any]:
    rights: dict[str, Any] = {"Init": options.init, "ReadonlyRootfs": options.read_only}
    rights |= {"CapAdd": options.cap_add, "CapDrop": options.cap_drop, "SecurityOpt": options.security_opt}
    if options.gpus is not None:
        rights["DeviceRequests"] = [_device_request(options.gpus)]
    if options.devices:
        rights["Devices"] = [_device(text) for text in options.devices]
    return rights


def _device_request(asked: DeviceRequest) -> dict[str, Any]:
    which: dict[str, Any] = {"DeviceIDs": asked.devices} if asked.devices else {}
    if asked.count is not None:
        which = {"Count": -1 if asked.count == "all" else asked.count}
    return {"Driver": asked.driver, "Capabilities": [asked.capabilities], **which}


def _device(text: str) -> dict[str, str]:
    source, _, rest = text.partition(":")
    inside, _, rights = rest.partition(":")
    return {"PathOnHost": source, "PathInContainer": inside or source, "CgroupPermissions": rights or "rwm"}


def relative_to_stack(spec: StartSpec, path: str) -> Path:
    """A path of the options, against the stack file's folder."""
    return Path(os.path.normpath(spec.base_dir / path))
