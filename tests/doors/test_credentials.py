"""The operations on tokens and certificates, over the wire."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from harness_core.client import fast
from harness_core.client.locate import parse_address

from .conftest import House, open_house
from .wire import http, request


async def ask(house: House, method: str, **params: Any) -> Any:
    _, _, body = await http(house, request(method, **params))
    return body.get("result") or body["error"]["data"]["code"]


async def test_a_new_token_comes_with_all_that_another_machine_needs(house: House) -> None:
    created = await ask(house, "token.create", name="laptop", role="logs", expires_in=3600)
    endpoint = parse_address(created["connection"])
    assert endpoint.token == created["token"]
    assert endpoint.pin == house.doors.pin
    answer = await asyncio.to_thread(fast.call, endpoint, "echo", {"value": 1})
    assert answer == {"value": 1, "caller": "laptop", "role": "LOGS"}
    rows = (await ask(house, "token.list"))["tokens"]
    assert [row["name"] for row in rows] == ["local", "laptop"]
    assert created["token"][13:] not in str(rows)


async def test_what_cannot_be_created(house: House) -> None:
    assert await ask(house, "token.create", name="x", role="emperor") == "usage"
    assert await ask(house, "token.create", name="../x") == "usage"
    assert await ask(house, "token.create", name="x", expires_in=1e12) == "usage"
    assert await ask(house, "token.create", name="local") == "conflict"
    assert await ask(house, "token.revoke", id="nobody") == "not-found"


async def test_a_token_that_cannot_be_saved_is_not_given_out(house: House) -> None:
    path = house.state_dir / "tokens.json"
    path.unlink()
    path.mkdir()
    assert await ask(house, "token.create", name="x") == "read-only"
    path.rmdir()
    assert (await ask(house, "token.create", name="x"))["token"]


async def test_the_connection_string_names_what_was_exposed(tmp_path: Path) -> None:
    async with open_house(tmp_path / "state", extra_names=["box.example"]) as house:
        created = await ask(house, "token.create", name="x")
        assert created["connection"].startswith(f"harness://box.example:{house.port}/#h1.")


async def test_the_certificate_is_told(house: House) -> None:
    status = await ask(house, "cert.status")
    assert status["not_after"] == house.doors.certificate_expires
    assert status["ca_path"] == str(house.state_dir / "tls" / "ca.pem")
