"""What the engine is asked for: pure, so every key is looked at without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from executors.docker.command import (
    INSIDE_OUTPUT,
    LABELS,
    Plan,
    container_name,
    create_payload,
    environment,
    identity,
    network_key,
    network_name,
    volumes_of,
)
from executors.docker.options import DockerOptions
from executors.docker.ports import PortMapping
from harness_core.domain.executor import Marker, StartSpec
from harness_core.domain.spec import LimitsSpec, LogsSpec

MARKER = Marker("shop", "web", 3)


def payload(
    spec: dict[str, Any] | None = None, network: str = "net", alias: str = "web", **target: Any
) -> dict[str, Any]:
    options = DockerOptions.model_validate({"image": "busybox", **target})
    given: dict[str, Any] = {"env": {}, "base_dir": Path("/stack")} | (spec or {})
    return create_payload(
        StartSpec(MARKER, options, **given),
        options,
        image="busybox",
        ports=options.mappings(),
        network=network,
        host_address="10.0.0.1",
        plan=Plan({}, alias, "docker/shop"),
        labels=identity("0123456789abcdef", MARKER),
    )


def test_nothing_is_asked_for_that_was_not_written() -> None:
    asked = payload()
    assert set(asked) == {"Image", "Env", "Labels", "ExposedPorts", "HostConfig", "NetworkingConfig"}
    host = asked["HostConfig"]
    assert not {"DeviceRequests", "Devices", "Memory", "NanoCpus", "PidsLimit", "Ulimits", "Privileged"} & set(host)
    assert host["RestartPolicy"] == {"Name": "no"}
    assert host["ExtraHosts"] == ["host.docker.internal:10.0.0.1"]


@pytest.mark.parametrize(
    ("gpus", "request_"),
    [
        ("all", {"Driver": "", "Capabilities": [["gpu"]], "Count": -1}),
        (2, {"Driver": "", "Capabilities": [["gpu"]], "Count": 2}),
        (["0", "GPU-1"], {"Driver": "", "Capabilities": [["gpu"]], "DeviceIDs": ["0", "GPU-1"]}),
        (
            {"count": 1, "driver": "nvidia", "capabilities": ["gpu", "utility"]},
            {"Driver": "nvidia", "Capabilities": [["gpu", "utility"]], "Count": 1},
        ),
    ],
)
def test_gpus_are_handed_on_as_they_were_asked_for(gpus: Any, request_: dict[str, Any]) -> None:
    assert payload(gpus=gpus)["HostConfig"]["DeviceRequests"] == [request_]


def test_words_are_split_as_a_shell_would() -> None:
    asked = payload(command="echo 'two words' x", entrypoint="/bin/sh -c")
    assert (asked["Cmd"], asked["Entrypoint"]) == (["echo", "two words", "x"], ["/bin/sh", "-c"])
    assert payload(command=["echo 'as it is'"])["Cmd"] == ["echo 'as it is'"]
    assert payload(entrypoint=[])["Entrypoint"] == []


def test_ports_are_published_where_they_say() -> None:
    asked = payload(ports=["8080:80", "0.0.0.0:53:53/udp", 9000])
    assert asked["ExposedPorts"] == {"80/tcp": {}, "53/udp": {}, "9000/tcp": {}}
    assert asked["HostConfig"]["PortBindings"] == {
        "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}],
        "53/udp": [{"HostIp": "0.0.0.0", "HostPort": "53"}],
        "9000/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}],
    }


def test_paths_of_volumes_are_absolute_and_the_home_is_the_callers() -> None:
    options = DockerOptions(image="x", volumes=["./a:/a", "../b:/b:ro", "~/c:/c", "name:/d", "/e"])
    spec = StartSpec(MARKER, options, env={"HOME": "/home/me"}, base_dir=Path("/stack/x"))
    assert [volume.source for volume in volumes_of(spec, options)] == [
        "/stack/x/a",
        "/stack/b",
        "/home/me/c",
        "name",
        None,
    ]


def test_what_stands_behind_a_volume_is_asked_for() -> None:
    asked = payload(volumes=["./a:/a:ro,z", "data:/b:nocopy", "./c:/c:cached", "data:/d:Z"], tmpfs=["/t:size=1m", "/u"])
    host = asked["HostConfig"]
    assert host["Binds"] == ["/stack/a:/a:ro,z", "data:/d:Z"]
    assert host["Mounts"] == [
        {"Target": "/b", "ReadOnly": False, "Type": "volume", "Source": "data", "VolumeOptions": {"NoCopy": True}},
        {"Target": "/c", "ReadOnly": False, "Type": "bind", "Source": "/stack/c", "Consistency": "cached"},
    ]
    assert host["Tmpfs"] == {"/t": "size=1m", "/u": ""}


def test_a_task_writes_its_outputs_through_a_mount() -> None:
    asked = payload({"env": {"HARNESS_OUTPUT": "/state/outputs/3.env"}})
    assert f"HARNESS_OUTPUT={INSIDE_OUTPUT}" in asked["Env"]
    assert asked["HostConfig"]["Mounts"] == [
        {"Target": INSIDE_OUTPUT, "ReadOnly": False, "Type": "bind", "Source": "/state/outputs/3.env"}
    ]


def test_the_callers_own_variables_stay_outside() -> None:
    options = DockerOptions(image="x", env={"PATH": "/mine"})
    env = {"PATH": "/mine", "HOME": "/home/me", "LANG": "C", "KEPT": "1"}
    spec = StartSpec(MARKER, options, env=env, base_dir=Path("/"), inherited=frozenset({"PATH", "HOME", "LANG"}))
    assert environment(spec, options) == {"PATH": "/mine", "KEPT": "1"}


def test_limits_of_the_service_count_where_the_target_has_none() -> None:
    limits = LimitsSpec(memory=1 << 20, cpu=2, nofile=64)
    host = payload({"limits": limits}, limits={"cpu": 0.25})["HostConfig"]
    assert (host["Memory"], host["NanoCpus"]) == (1 << 20, 250_000_000)


def test_what_the_engine_keeps_of_the_output_follows_what_we_keep() -> None:
    config = payload({"logs": LogsSpec(max_size=64 << 20, max_files=3)})["HostConfig"]["LogConfig"]
    assert config["Type"] == "local"
    assert (config["Config"]["max-size"], config["Config"]["max-file"]) == (str(64 << 20), "3")
    small = payload({"logs": LogsSpec(max_size=1 << 16, max_files=2)})["HostConfig"]["LogConfig"]["Config"]
    assert (small["max-size"], small["max-file"]) == (str(16 << 20), "2")


def test_labels_of_ours_win() -> None:
    labels = payload({"labels": {LABELS.EPOCH: "9", "mine": "1"}})["Labels"]
    assert (labels[LABELS.EPOCH], labels["mine"]) == ("3", "1")


def test_names() -> None:
    assert container_name("0123456789abcdef", MARKER, DockerOptions(image="x")) == "shop-web-89abcdef"
    assert container_name("0123456789abcdef", MARKER, DockerOptions(image="x", name="mine")) == "mine"
    assert network_name("0123456789abcdef", "shop") == "shop-89abcdef"
    assert [network_key(name, "shop") for name in (None, "lab", "host", "none", "bridge")] == [
        "docker/shop",
        "docker/=lab",
        "",
        "",
        "",
    ]


def test_a_plan_survives_as_a_label() -> None:
    plan = Plan({"pg": ("5432/tcp", "postgres")}, "db", "docker/shop", LogsSpec(max_size=1 << 20))
    assert Plan.from_label(plan.to_label()) == plan
    for text in ("", "[]", "{}", '{"ports": {"a": 1}}'):
        with pytest.raises(ValueError):  # noqa: PT011 - several, all of which mean the same
            Plan.from_label(text)


def test_an_alias_is_for_a_network_of_names() -> None:
    assert "NetworkingConfig" not in payload(network="bridge", alias="")
    aliases = payload(aliases=["www"])["NetworkingConfig"]["EndpointsConfig"]["net"]["Aliases"]
    assert aliases == ["web", "www"]


def test_a_mapping_is_what_it_says() -> None:
    assert DockerOptions(image="x", ports={"a": 80}).mappings() == {"a": PortMapping(80)}
