"""An engine that this user may not use: start and doctor say so, and what to do about it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Harness, until
from tests.engine import IMAGE, Engine

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user: run the tests as root"),
]

STACK = f"""
name: shop
services:
  web:
    target: {{type: docker, image: "{IMAGE}", pull: never, command: [sleep, "1000"], init: true}}
    restart: {{delay: 1s}}
  other: {{target: {{type: process, shell: exec sleep 1000}}}}
"""
NOBODY = 65534


class Nobody(Harness):
    """Everything is done as a user without any rights but to read this checkout, wherever it lies."""

    def command(self, *args: str) -> list[str]:
        drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        # to read and to enter; connecting to a socket is writing to it
        drop += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
        return [*drop, *super().command(*args)]


@pytest.fixture
def nobody(engine: Engine) -> Iterator[Nobody]:
    place = Path(tempfile.mkdtemp(prefix="harness-nobody-"))  # pytest's own folder is closed to other users
    (place / "project").mkdir()
    for folder in (place, place / "project"):
        os.chown(folder, NOBODY, NOBODY)
    one = Nobody(place / "project", place / "state", env={"DOCKER_HOST": engine.host, "HOME": str(place)})
    one.write("harness.yaml", STACK)
    yield one
    one.close()
    shutil.rmtree(place)


@pytest.mark.parametrize("mode", [0o660, 0o000])
def test_start_and_doctor_say_so_and_the_rest_goes_on(nobody: Nobody, engine: Engine, mode: int) -> None:
    engine.socket.chmod(mode)
    try:
        nobody.ok("start", "--no-wait")
        until(lambda: nobody.rows()["web"]["state"] == "restarting", "it to be tried again")
        reason = nobody.rows()["web"]["reason"]
        assert f"the Docker engine at {engine.host} cannot be reached: not permitted" in reason
        assert "sudo usermod -aG docker" in reason
        assert nobody.rows()["other"]["state"] == "ready"
        checks = {check["name"]: check for check in nobody.ok("doctor", "-o", "json").json["checks"]}
        assert checks["docker engine"]["status"] == "warning"
        assert "is your user in the group docker?" in checks["docker engine"]["detail"]
        assert "sudo usermod -aG docker" in checks["docker engine"]["hint"]
        engine.socket.chmod(0o666)
        until(lambda: nobody.rows()["web"]["phase"] in ("running", "completed"), "it to run once that is allowed")
        nobody.ok("stop", "--all", "-y")
        assert engine.containers() == []
    finally:
        engine.socket.chmod(0o660)
