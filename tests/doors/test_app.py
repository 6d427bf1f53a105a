"""Every route says whom it lets in, and every operation has a handler, or there is no start."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from harness_core.domain.protocol import Role
from harness_core.doors.access import Entrances
from harness_core.doors.app import make_app
from harness_core.doors.doors import Doors
from harness_core.doors.limits import Limits

from .conftest import House, open_house, table_of
from .wire import http, request


async def page(_request: Request) -> Response:
    return JSONResponse({"page": True})


def test_a_route_without_a_role_is_no_start() -> None:
    entrances = Entrances()
    entrances.add(Route("/good", page), Role.VIEWER)
    entrances.routes.append(Route("/forgotten", page))
    with pytest.raises(ValueError, match="routes without a role: /forgotten"):
        make_app(entrances)


async def test_an_operation_without_a_handler_is_no_start(tmp_path: Path) -> None:
    table = table_of(lambda: None)  # type: ignore[arg-type, return-value] # no handler is called
    del table._handlers["echo"]
    with pytest.raises(ValueError, match="operations without a handler: echo"):
        await Doors(tmp_path, table).open()
    assert not (tmp_path / "token").exists()


async def test_every_route_is_closed_to_strangers_unless_it_is_open_on_purpose(tmp_path: Path) -> None:
    public = {"/healthz", "/.well-known/harness-ca"}
    async with open_house(tmp_path / "state", Limits(refusals=1000.0)) as house:
        for path in ("/ws", "/rpc", "/", "/nothing", "/healthz/x", "//rpc", "/%72pc", *public):
            for method in ("GET", "POST"):
                status, _, _ = await http(house, method=method, path=path, headers={"Authorization": None})
                assert (status != 401) == (path in public), (method, path, status)


async def test_other_doors_join_with_their_role(tmp_path: Path) -> None:
    routes = [(Route("/metrics", page), Role.VIEWER), (Mount("/files", routes=[Route("/a", page)]), Role.ADMIN)]
    async with open_house(tmp_path / "state", routes=routes) as house:
        viewer = {"Authorization": f"Bearer {house.doors.tokens.create('v', Role.VIEWER, 60, 'test')[1]}"}
        assert (await http(house, method="GET", path="/metrics"))[2] == {"page": True}
        assert (await http(house, method="GET", path="/metrics", headers=viewer))[0] == 200
        assert (await http(house, method="GET", path="/files/a"))[0] == 200
        status, _, body = await http(house, method="GET", path="/files/a", headers=viewer)
        assert status == 403
        assert "admin" in body["error"]["message"]


async def test_answers_carry_no_invitation(house: House) -> None:
    _, headers, _ = await http(house, request("echo"))
    assert headers["cache-control"] == "no-store"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in headers
