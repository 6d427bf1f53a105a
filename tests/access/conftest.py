"""A daemon as it is really wired, and credentials for every role."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness_core.client import locate
from harness_core.client.api import Client
from harness_core.domain.protocol import Role
from tests.faults.lab import Lab

SERVICES = """
services:
  web: {target: {type: process, shell: 'echo SAID-BY-WEB; exec sleep 1000'}}
  broken: {target: {type: process, shell: 'echo SAID-BY-BROKEN; exit 3'}, restart: no}
tasks:
  once: {target: {type: process, shell: 'true'}}
"""


@dataclass(frozen=True)
class Guarded:
    """A running daemon, and a connection string for each role."""

    lab: Lab
    addresses: dict[Role, str]

    def client(self, role: Role) -> Client:
        endpoint = locate.parse_address(self.addresses[role])
        return Client(lambda: endpoint, timeout=15.0)


def connection_for(client: Client, role: Role) -> str:
    """A new token of this role, as the string that another machine is given."""
    params = {"name": f"the {role.name.lower()}", "role": role.name.lower(), "expires_in": 3600.0}
    answer: dict[str, Any] = client.call("token.create", params)
    return str(answer["connection"])


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    lab = Lab(tmp_path_factory.mktemp("guarded"))
    try:
        lab.stack(SERVICES)
        lab.boot()
        lab.start()
        client = lab.client
        yield Guarded(lab, {role: connection_for(client, role) for role in Role})
    finally:
        lab.close()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    one = Lab(tmp_path)
    try:
        yield one
    finally:
        one.close()
