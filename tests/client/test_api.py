"""Every operation is a method whose keyword arguments are its request's fields with their defaults."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
from typing import Any

import pytest

from harness_core.client.api import Client
from harness_core.client.locate import Endpoint
from harness_core.domain.protocol import OPERATIONS, StackSource
from tests.doors.conftest import House

SOURCE = StackSource(text="name: x", filename="x.yaml", base_dir="/x", env={"A": "b"})
NEEDED: dict[str, Any] = {"source": SOURCE, "name": "n", "names": ["n"], "stack": "s", "id": "i", "argv": ["true"]}


class Recorder(Client):
    """A client that keeps what it would send."""

    def __init__(self) -> None:
        super().__init__(lambda: Endpoint("localhost", 1, ""))
        self.sent: list[tuple[str, str, dict[str, Any]]] = []

    def call(self, method: str, params: Any = None) -> Any:
        self.sent.append(("call", method, dict(params or {})))

    def stream(self, method: str, params: Any = None) -> Any:
        self.sent.append(("stream", method, dict(params or {})))


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_method_of_an_operation(name: str) -> None:
    operation, client = OPERATIONS[name], Recorder()
    method = getattr(client, name.replace(".", "_"))
    fields = {field.name: field for field in dataclasses.fields(operation.request)}
    assert set(inspect.signature(method).parameters) == set(fields)
    needed = [
        key for key, parameter in inspect.signature(method).parameters.items() if parameter.default is parameter.empty
    ]
    assert needed == [key for key, field in fields.items() if _is_needed(field)]
    method(**{key: NEEDED[key] for key in needed})
    ((kind, sent, params),) = client.sent
    assert (kind, sent) == ("stream" if operation.streams else "call", name)
    given = {key: NEEDED[key] for key in needed}
    assert params == dataclasses.asdict(operation.request(**given))


def _is_needed(field: Any) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


async def test_over_the_wire(house: House) -> None:
    client = Client(lambda: house.endpoint)
    status = await asyncio.to_thread(client.cert_status)
    assert status["pin"] == house.doors.pin
    created = await asyncio.to_thread(lambda: client.token_create(name="laptop", role="logs"))
    assert created["token"].startswith("hns_")
