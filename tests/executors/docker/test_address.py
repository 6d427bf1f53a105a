"""The engine's address, found as the ``docker`` command finds it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from executors.docker.address import Address, BadAddress, find_address


def context(home: Path, name: str, host: str, **more: object) -> None:
    place = home / ".docker/contexts/meta" / hashlib.sha256(name.encode()).hexdigest()
    place.mkdir(parents=True)
    meta = {"Name": name, "Metadata": {}, "Endpoints": {"docker": {"Host": host, **more}}}
    (place / "meta.json").write_text(json.dumps(meta))


def test_without_anything_it_is_the_well_known_socket(tmp_path: Path) -> None:
    found = find_address({"HOME": str(tmp_path)})
    assert (found.url, found.source, found.local) == ("unix:///var/run/docker.sock", "default", True)


def test_the_variable_wins_over_the_context(tmp_path: Path) -> None:
    context(tmp_path, "lab", "unix:///lab.sock")
    home = {"HOME": str(tmp_path)}
    assert find_address({**home, "DOCKER_CONTEXT": "lab"}) == Address("unix:///lab.sock", "context lab")
    (tmp_path / ".docker/config.json").write_text('{"currentContext": "lab"}')
    assert find_address(home).socket == "/lab.sock"
    assert find_address({**home, "DOCKER_CONTEXT": "default"}).source == "default"
    assert find_address({**home, "DOCKER_HOST": "unix:///x.sock"}) == Address("unix:///x.sock", "DOCKER_HOST")


def test_a_configuration_of_nonsense_is_none(tmp_path: Path) -> None:
    (tmp_path / ".docker").mkdir()
    for text in ("", "[]", '{"currentContext": 7}'):
        (tmp_path / ".docker/config.json").write_text(text)
        assert find_address({"HOME": str(tmp_path)}).source == "default"


def test_an_engine_on_another_machine(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path), "DOCKER_HOST": "tcp://10.0.0.7"}
    with pytest.raises(BadAddress, match=r"whoever reaches that port is root there.*DOCKER_TLS_VERIFY=1"):
        find_address(env)
    plain = find_address({**env, "HARNESS_DOCKER_INSECURE": "1"})
    assert (plain.host, plain.port, plain.local, plain.tls()) == ("10.0.0.7", 2375, False, None)
    secure = find_address({**env, "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(tmp_path)})
    assert (secure.certificates, secure.port) == (str(tmp_path), 2376)
    with pytest.raises(BadAddress, match="cannot read the engine's certificates"):
        secure.tls()


def test_an_engine_of_this_machine_may_be_plain(tmp_path: Path) -> None:
    for host in ("127.0.0.1", "localhost", "[::1]"):
        assert find_address({"HOME": str(tmp_path), "DOCKER_HOST": f"tcp://{host}:99"}).local


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("ssh://me@there", "ssh -NL /tmp/engine.sock:/var/run/docker.sock me@there"),
        ("unix://", "write unix:///PATH or tcp://HOST:PORT"),
        ("there:2375", "write unix:///PATH or tcp://HOST:PORT"),
        ("npipe:////./pipe/docker", "write unix:///PATH or tcp://HOST:PORT"),
    ],
)
def test_what_cannot_be_used_is_told_with_a_way_out(tmp_path: Path, host: str, why: str) -> None:
    with pytest.raises(BadAddress) as error:
        find_address({"HOME": str(tmp_path), "DOCKER_HOST": host})
    assert why in str(error.value)


def test_contexts_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(BadAddress, match="'nowhere': there is none; see: docker context ls"):
        find_address({"HOME": str(tmp_path), "DOCKER_CONTEXT": "nowhere"})
    context(tmp_path, "bad", "unix:///x.sock")
    (meta,) = tmp_path.rglob("meta.json")
    meta.write_text("{}")
    with pytest.raises(BadAddress, match="its file is damaged"):
        find_address({"HOME": str(tmp_path), "DOCKER_CONTEXT": "bad"})
