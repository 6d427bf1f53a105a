from __future__ import annotations

import socket

from .conftest import Look, Serve, hanging


async def test_something_that_accepts(serve: Serve, look: Look) -> None:
    port = await serve(hanging)
    outcome = await look({"tcp": True}, ports={"db": port})
    assert (outcome.ok, outcome.detail) == (True, f"connect to 127.0.0.1:{port} accepted")


async def test_a_port_by_name_by_number_and_on_another_host(serve: Serve, look: Look) -> None:
    port = await serve(hanging)
    assert (await look({"tcp": "db"}, ports={"web": 1, "db": port})).ok
    assert (await look({"tcp": port})).ok
    assert (await look({"tcp": {"host": "127.0.0.1", "port": str(port)}}, host="203.0.113.1")).ok


async def test_nothing_there(look: Look, unused_tcp_port: int) -> None:
    outcome = await look({"tcp": unused_tcp_port})
    assert (outcome.ok, outcome.detail) == (False, f"connect to 127.0.0.1:{unused_tcp_port} refused")


async def test_nothing_there_under_a_name_with_several_addresses(look: Look, unused_tcp_port: int) -> None:
    outcome = await look({"tcp": {"host": "localhost", "port": unused_tcp_port}})
    assert outcome.detail == f"connect to localhost:{unused_tcp_port} refused"


async def test_a_name_that_nobody_knows(look: Look) -> None:
    outcome = await look({"tcp": {"host": "no such host", "port": 1}})
    assert outcome.ok is False
    assert outcome.detail.startswith("connect to no such host:1: ")


async def test_a_port_that_takes_nobody_in_ends_at_the_deadline(look: Look) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port))
        outcome = await look({"tcp": port, "timeout": "50ms"})
        for client in waiting:
            client.close()
    assert outcome.detail == f"connect to 127.0.0.1:{port} gave no answer within 0.05 s"


async def test_an_unknown_port_names_the_known_ones(look: Look) -> None:
    outcome = await look({"tcp": "dbx"}, ports={"db": 1, "web": 2})
    assert outcome.detail == "cannot check: the service has no port 'dbx'; known: db, web"
