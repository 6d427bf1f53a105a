"""The engine of the tests: it runs, serves, and leaves nothing."""

from __future__ import annotations

from tests.engine import IMAGE, Engine


def test_containers_of_a_network_find_each_other_and_are_reached_from_here(engine: Engine) -> None:
    network = engine.call("POST", "/networks/create", {"Name": "n"})["Id"]
    engine.run("web", "httpd", "-f", "-p", "8080", "-h", "/etc", HostConfig={"NetworkMode": "n"})
    engine.run("asks", "sh", "-c", "wget -qO- http://web:8080/group", HostConfig={"NetworkMode": "n"})
    try:
        assert engine.call("POST", "/containers/asks/wait")["StatusCode"] == 0
        assert b"app:x:1000" in engine.call("GET", "/containers/asks/logs?stdout=1")
    finally:
        engine.clear()
    assert engine.request("GET", f"/networks/{network}")[0] == 404


def test_it_is_one_of_its_own(engine: Engine) -> None:
    info = engine.call("GET", "/info")
    assert info["DockerRootDir"] == f"{engine.root}/data"
    assert IMAGE in [tag for image in engine.call("GET", "/images/json") for tag in image["RepoTags"]]
