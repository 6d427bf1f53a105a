"""Real servers that put themselves into the background: started, checked, taken back, and seen to be gone."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from pathlib import Path

import pytest

from tests.e2e.conftest import Harness, alive, until

pytestmark = pytest.mark.e2e

REDIS = """
name: shop
services:
  server:
    target:
      type: process
      binary: redis-server
      args: [--port, "${self.port}", --daemonize, "yes", --pidfile, server.pid, --save, "", --dir, .]
      pid_file: server.pid
    ports: {redis: auto}
    health_check: {tcp: redis}
    stop: {command: "redis-cli -p ${self.port} shutdown nosave"}
"""
NGINX = """
name: shop
services:
  server:
    target: {type: process, binary: nginx, args: [-p, ., -c, nginx.conf, -e, error.log], pid_file: server.pid}
    ports: {http: PORT}
    health_check: {http: "/"}
    stop: {command: "nginx -p . -c nginx.conf -e error.log -s quit"}
"""
CONF = """
pid server.pid;
error_log error.log;
events {}
http {
  access_log access.log;
  client_body_temp_path t; proxy_temp_path t; fastcgi_temp_path t; uwsgi_temp_path t; scgi_temp_path t;
  server { listen 127.0.0.1:PORT; location / { return 200 "well\\n"; } }
}
"""


def program(name: str) -> None:
    if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None:
        pytest.skip(f"needs {name}: apt-get install {'nginx-light' if name == 'nginx' else name}")


@pytest.fixture(params=["redis-server", "nginx"])
def stack(request: pytest.FixtureRequest, harness: Harness) -> str:
    """The server's stack file, written."""
    program(request.param)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        free_port = probe.getsockname()[1]
    harness.env["PATH"] = f"{os.environ['PATH']}:/usr/sbin"
    harness.write("nginx.conf", CONF.replace("PORT", str(free_port)))
    text = REDIS if request.param == "redis-server" else NGINX.replace("PORT", str(free_port))
    harness.write("harness.yaml", text)
    return text


def test_a_server_in_the_background_is_a_service(harness: Harness, stack: str) -> None:
    harness.ok("start")
    row = harness.rows()["server"]
    pid = int((harness.folder / "server.pid").read_text())
    assert (row["pid"], row["health"]) == (pid, "healthy")
    keeper = harness.daemon()["keeper_pid"]
    harness.kill_daemon()
    os.kill(keeper, signal.SIGKILL)
    until(lambda: not alive(keeper), "the keeper to be gone")
    until(lambda: harness.rows()["server"]["health"] == "healthy", "it to be taken back")
    row = harness.rows()["server"]
    assert (row["pid"], row["epoch"], row["restarts"]) == (pid, 1, 0)
    children = [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    harness.ok("stop")
    assert not any(alive(one) for one in (pid, *children))
    assert harness.rows()["server"]["exit"]["code"] == 0
    harness.ok("start")
    again = harness.rows()["server"]["pid"]
    os.kill(again, signal.SIGKILL)
    until(lambda: harness.rows()["server"]["pid"] not in (again, None), "its next life")
    row = harness.rows()["server"]
    assert row["restarts"] == 1
    harness.ok("stop", "--kill")
    assert not alive(row["pid"])
