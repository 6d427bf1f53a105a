"""What may stand in a target, and what is said of what may not."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from executors.docker.options import DockerOptions, Volume, parse_volume
from executors.docker.ports import PortMapping


def options(**fields: Any) -> DockerOptions:
    return DockerOptions.model_validate({"type": "docker", "image": "busybox", **fields})


@pytest.mark.parametrize(
    ("text", "volume"),
    [
        ("./data:/data", Volume(source="./data", target="/data")),
        ("/etc/hosts:/x:ro", Volume(source="/etc/hosts", target="/x", modes=("ro",))),
        ("~/x:/x", Volume(source="~/x", target="/x")),
        ("pgdata:/var/lib", Volume(source="pgdata", target="/var/lib")),
        ("pgdata:/var/lib:rw,z", Volume(source="pgdata", target="/var/lib", modes=("rw", "z"))),
        ("/cache", Volume(source=None, target="/cache")),
    ],
)
def test_volumes(text: str, volume: Volume) -> None:
    assert parse_volume(text) == volume
    assert options(volumes=[text]).volumes == [text]


@pytest.mark.parametrize("text", ["data", "a:b", ":/x", "a b:/x", "x:/y:/z", "data/x:/y", "a:/b:rx"])
def test_what_is_no_volume_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a volume|neither the name of a volume nor a path"):
        parse_volume(text)


def test_ports_by_name_and_in_order() -> None:
    assert list(options(ports=[5432, "9000-9001", "53/udp"]).mappings()) == ["5432", "9000", "9001", "53-udp"]
    named = options(ports={"pg": 5432, "web": "8080:80"}).mappings()
    assert named == {"pg": PortMapping(5432), "web": PortMapping(80, published=8080)}
    with pytest.raises(ValueError, match="a name is for one port"):
        options(ports={"pg": "1-2"}).mappings()


def test_a_port_that_is_published_twice_is_published_twice() -> None:
    assert options(ports=["8080:80", "8081:80", "0.0.0.0:8080:80", 80, 80]).mappings() == {
        "80": PortMapping(80, published=8080),
        "80-8081": PortMapping(80, published=8081),
        "80-8080": PortMapping(80, published=8080, address="0.0.0.0"),
        "80-auto": PortMapping(80),
    }


def test_short_forms() -> None:
    assert options(build="./app").build.context == "./app"  # type: ignore[union-attr]
    assert options(gpus="all").gpus.count == "all"  # type: ignore[union-attr]
    assert options(gpus=2).gpus.count == 2  # type: ignore[union-attr]
    assert options(gpus=["GPU-1"]).gpus.devices == ["GPU-1"]  # type: ignore[union-attr]
    assert options(env={"A": 1, "B": True}).env == {"A": "1", "B": "true"}
    assert options(command=["sleep", 5]).command == ["sleep", "5"]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"image": None}, "needs an image, or a folder to build it from"),
        ({"imgae": "x"}, "Extra inputs are not permitted"),
        ({"pull": "sometimes"}, "'missing', 'always' or 'never'"),
        ({"ports": ["http"]}, "'http' is not a port"),
        ({"ports": [True]}, "a port is written as a number or as text"),
        ({"volumes": ["x"]}, "is not a volume"),
        ({"name": "a b"}, "cannot be the name of a container"),
        ({"network": "host", "ports": [80]}, "network: host publishes no ports"),
        ({"gpus": {"count": 1, "devices": ["0"]}}, "say either count or devices"),
        ({"gpus": 0}, "greater than 0"),
        ({"labels": {"harness.service": "x"}}, "are how harness finds its containers"),
        ({"tmpfs": ["run"]}, "'run' is no folder inside"),
        ({"command": "sh -c 'echo"}, "cannot be split into words: no closing quotation"),
        ({"limits": {"memory": "much"}}, "is not a size"),
        ({"success_exit_codes": [256]}, "less than or equal to 255"),
    ],
)
def test_mistakes_are_named(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        options(**fields)


def test_references_are_left_to_the_start() -> None:
    later = options(ports=["${PORT}:80"], volumes=["${DATA}"], name="${NAME}")
    assert later.ports == ["${PORT}:80"]
