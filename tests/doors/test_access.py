"""Who is let in, over real TLS: every refusal typed, and nobody locked out who has a credential."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from harness_core.domain.protocol import Role
from harness_core.doors.limits import Limits

from .conftest import House, open_house
from .wire import ask, exchange, http, request, websocket


def mint(house: House, role: Role, life: float = 3600.0, name: str = "test") -> str:
    return house.doors.tokens.create(name, role, life, "test")[1]


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer hns_aaaaaaaa_" + "a" * 43,
        "Basic YTpi",
        "Bearer " + "x" * 8000,
        "bearer hns_short",
    ],
)
async def test_without_a_valid_token_nothing_is_served(house: House, header: str | None) -> None:
    status, headers, body = await http(house, request("echo"), headers={"Authorization": header})
    assert status == 401
    assert body["error"]["data"]["code"] == "not-allowed"
    assert headers["www-authenticate"].startswith("Bearer")
    assert house.token not in str(body)


async def test_a_token_cut_short_lengthened_or_with_another_secret_is_refused(house: House) -> None:
    token = house.token
    for wrong in (token[:-1], token + "A", token[:13] + token[13:].swapcase(), token.upper(), token + " x"):
        status, _, body = await http(house, request("echo"), headers={"Authorization": f"Bearer {wrong}"})
        assert status == 401, wrong
        assert body["error"]["message"].startswith("cannot let you in")


async def test_a_token_of_a_megabyte_is_refused_by_its_size(house: House) -> None:
    huge = f"POST /rpc HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {'x' * (1 << 20)}\r\n\r\n"
    answer = await exchange(house, huge.encode())
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400")


async def test_two_authorization_headers_are_none(house: House) -> None:
    bearer = f"Bearer {house.token}"
    head = f"GET /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {bearer}\r\nAuthorization: {bearer}\r\n\r\n"
    assert (await exchange(house, head.encode())).startswith(b"HTTP/1.1 401")


async def test_an_expired_token_is_told_so_only_to_whoever_has_its_secret(house: House) -> None:
    token = mint(house, Role.VIEWER, life=0.05)
    await asyncio.sleep(0.06)  # a wall clock cannot be waited for in any other way
    _, _, body = await http(house, request("echo"), headers={"Authorization": f"Bearer {token}"})
    assert "expired" in body["error"]["message"]
    _, _, body = await http(house, request("echo"), headers={"Authorization": f"Bearer {token[:-4]}AAAA"})
    assert "not valid" in body["error"]["message"]


async def test_a_role_too_low_is_named(house: House) -> None:
    viewer = {"Authorization": f"Bearer {mint(house, Role.VIEWER)}"}
    status, _, body = await http(house, request("change", value=1), headers=viewer)
    assert status == 200
    assert body["error"]["data"]["code"] == "not-allowed"
    assert "operator" in body["error"]["message"]
    assert "viewer" in body["error"]["message"]
    assert house.changes == []


@pytest.mark.parametrize("host", ["evil.example", "evil.example:443", "169.254.1.1", "localhost.evil.example", ""])
@pytest.mark.parametrize("path", ["/rpc", "/healthz", "/nothing", "/.well-known/harness-ca"])
async def test_a_foreign_host_is_refused_on_every_route(house: House, host: str, path: str) -> None:
    status, _, body = await http(house, request("echo"), path=path, headers={"Host": host})
    assert status == 421
    assert body["error"]["data"]["code"] == "not-allowed"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST:1"])
async def test_the_names_that_are_served_are_accepted(house: House, host: str) -> None:
    status, _, _ = await http(house, request("echo"), headers={"Host": host})
    assert status == 200


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:{port}", "https://127.0.0.1:1", ""]
)
@pytest.mark.parametrize("path", ["/rpc", "/ws", "/healthz"])
async def test_a_foreign_page_is_refused(house: House, origin: str, path: str) -> None:
    status, _, body = await http(house, request("echo"), path=path, headers={"Origin": origin.format(port=house.port)})
    assert status == 403
    assert "page" in body["error"]["message"]


async def test_our_own_page_is_accepted(house: House) -> None:
    origin = {"Origin": f"https://localhost:{house.port}"}
    assert (await http(house, request("echo"), headers=origin))[0] == 200


async def test_a_websocket_is_refused_with_a_reason(house: House) -> None:
    for options, status in (
        ({"token": "hns_aaaaaaaa_" + "a" * 43}, 401),
        ({"origin": "https://evil.example"}, 403),
        ({"subprotocols": None}, 400),
    ):
        with pytest.raises(InvalidStatus) as caught:
            async with websocket(house, **options):  # type: ignore[arg-type] # each is of its own kind
                pass
        assert caught.value.response.status_code == status
        assert b'"error"' in caught.value.response.body


async def test_unknown_paths_and_methods(house: House) -> None:
    assert (await http(house, path="/nothing"))[0] == 404
    assert (await http(house, path="/nothing", headers={"Authorization": None}))[0] == 401
    assert (await http(house, path="/rpc/", headers={"Authorization": None}))[0] == 401
    for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS"):
        assert (await http(house, method=method))[0] == 405, method
        assert (await http(house, method=method, headers={"Authorization": None}))[0] == 401, method


async def test_healthz_needs_no_token_and_tells_nothing(house: House) -> None:
    status, headers, body = await http(house, method="GET", path="/healthz", headers={"Authorization": None})
    assert (status, body) == (200, {"ok": True})
    assert "server" not in headers


async def test_a_revoked_token_loses_its_connections_within_a_second(house: House) -> None:
    token = mint(house, Role.LOGS)
    async with websocket(house, token) as socket:
        await ask(socket, request("count", items=0))
        await house.until(lambda: house.running == ["count"])
        status, _, body = await http(house, request("token.revoke", id=token.split("_")[1]))
        assert (status, body["result"]["ok"]) == (200, True)
        async with asyncio.timeout(1):
            await socket.wait_closed()
        assert socket.close_code == 1008
        assert "no longer valid" in (socket.close_reason or "")
    await house.until(lambda: house.cancelled == ["count"])
    _, _, body = await http(house, request("echo"), headers={"Authorization": f"Bearer {token}"})
    assert "revoked" in body["error"]["message"]


async def test_a_connection_ends_when_its_token_expires(house: House) -> None:
    async with websocket(house, mint(house, Role.VIEWER, life=0.3)) as socket:
        async with asyncio.timeout(2):
            await socket.wait_closed()
        assert socket.close_code == 1008


async def test_whoever_revokes_their_own_token_gets_the_answer(house: House) -> None:
    token = mint(house, Role.ADMIN)
    async with websocket(house, token) as socket:
        answer = await ask(socket, request("token.revoke", id="test"))
        assert answer["result"]["ok"] is True
        async with asyncio.timeout(1):
            await socket.wait_closed()


async def test_guessing_on_loopback_is_slowed_down_but_a_valid_token_always_passes(house: House) -> None:
    wrong = {"Authorization": "Bearer hns_aaaaaaaa_" + "b" * 43}
    statuses = [(await http(house, request("echo"), headers=wrong))[0] for _ in range(25)]
    assert statuses[:10] == [401] * 10
    assert 429 in statuses
    assert (await http(house, request("echo")))[0] == 200
    audit = (house.state_dir / "audit.log").read_text()
    await house.until(lambda: "refused" in audit)
    assert '"reason":"unknown"' in audit


async def test_requests_beyond_the_rate_are_refused_with_the_time_to_wait(tmp_path: Path) -> None:
    async with open_house(tmp_path / "state", Limits(local_requests=1.0, local_requests_burst=3.0)) as house:
        answers = [await http(house, request("echo")) for _ in range(4)]
        assert [status for status, _, _ in answers] == [200, 200, 200, 429]
        _, headers, body = answers[-1]
        assert int(headers["retry-after"]) >= 1
        assert 0 < body["error"]["data"]["detail"]["retry_after"] <= 1


async def test_connections_of_one_token_are_bounded(tmp_path: Path) -> None:
    async with open_house(tmp_path / "state", Limits(local_connections=2)) as house:
        async with websocket(house), websocket(house):
            with pytest.raises(InvalidStatus) as caught:
                async with websocket(house):
                    pass
            assert caught.value.response.status_code == 429
            other = {"Authorization": f"Bearer {mint(house, Role.VIEWER)}"}
            assert (await http(house, request("echo"), headers=other))[0] == 200
        assert await _soon(lambda: http(house, request("echo"))) == 200


async def test_guessing_from_elsewhere_is_penalised_by_address(house: House) -> None:
    """From addresses of a network, without the network: the chain itself is asked."""
    answers: list[int] = []

    async def guess(source: str, token: str) -> int:
        async def send(message: Any) -> None:
            if "status" in message:
                answers.append(message["status"])

        headers = [(b"host", b"localhost"), (b"authorization", f"Bearer {token}".encode())]
        scope = {"type": "http", "method": "POST", "path": "/rpc", "headers": headers, "client": (source, 1)}
        scope |= {"server": ("127.0.0.1", house.port), "state": {"arrival": _Nobody()}}
        await house.doors.access(scope, _nothing, send)
        return answers[-1]

    wrong = "hns_aaaaaaaa_" + "b" * 43
    assert [await guess("192.0.2.1", wrong) for _ in range(4)] == [401, 401, 401, 429]
    assert await guess("192.0.2.1", house.token) == 429
    assert await guess("192.0.2.2", wrong) == 401
    assert await guess("192.0.2.2", house.token) == 415


class _Nobody:
    """A connection that is none."""

    source = "192.0.2.2"

    def admit(self) -> None: ...

    def drop(self) -> None: ...


async def _nothing() -> Any:
    await asyncio.Event().wait()


async def _soon(attempt: Any) -> int:
    """The doors notice a leaving client a moment after the client has left."""
    async with asyncio.timeout(3):
        while (found := (await attempt())[0]) == 429:
            await asyncio.sleep(0.01)
    return int(found)
