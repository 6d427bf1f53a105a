from __future__ import annotations

import asyncio
import ssl
import time
from typing import Any

import pytest
import trustme

from .conftest import Look, Serve, answering, endpoints, hanging


@pytest.mark.parametrize("status", [200, 204, 301, 399])
async def test_two_hundreds_and_three_hundreds_are_success(serve: Serve, look: Look, status: int) -> None:
    port = await serve(answering(f"{status} X"))
    outcome = await look({"http": "/healthz"}, ports={"http": port})
    assert outcome.ok is True
    assert outcome.detail == f"GET http://127.0.0.1:{port}/healthz answered {status}"


@pytest.mark.parametrize("status", [400, 404, 500, 503])
async def test_others_are_failure_and_say_so(serve: Serve, look: Look, status: int) -> None:
    port = await serve(answering(f"{status} X"))
    outcome = await look({"http": "healthz"}, ports={"http": port})
    assert outcome.ok is False
    assert outcome.detail == f"GET http://127.0.0.1:{port}/healthz answered {status}"


@pytest.mark.parametrize(
    ("status", "accepted", "ok"),
    [
        (503, [503], True),
        (200, [503], False),
        (404, ["400-404"], True),
        (405, ["400-404"], False),
        (201, [200, " 201 - 299 "], True),
    ],
)
async def test_accepted_codes_and_ranges(serve: Serve, look: Look, status: int, accepted: list[Any], ok: bool) -> None:
    port = await serve(answering(f"{status} X"))
    assert (await look({"http": {"status": accepted}}, ports={"http": port})).ok is ok


async def test_a_redirect_is_not_followed(serve: Serve, look: Look) -> None:
    port = await serve(answering("302 Found\r\nLocation: http://127.0.0.1:1/elsewhere"))
    outcome = await look({"http": {"status": [200]}}, ports={"http": port})
    assert outcome.detail.endswith("answered 302")


async def test_headers_are_sent_and_the_own_ones_may_be_replaced(serve: Serve, look: Look) -> None:
    seen: list[bytes] = []

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    port = await serve(behave)
    check = {"http": {"path": "/a?b=c", "headers": {"Host": "shop.example", "X-Token": "t"}}}
    assert (await look(check, ports={"http": port})).ok
    assert seen[0].startswith(b"GET /a?b=c HTTP/1.1\r\n")
    assert b"shop.example" in seen[0]
    assert b"\r\nx-token: t\r\n" in seen[0].lower()


@pytest.mark.parametrize(("pattern", "ok"), [("ready", True), (r'"status":\s*"up"', True), ("down", False)])
async def test_the_body_is_searched(serve: Serve, look: Look, pattern: str, ok: bool) -> None:
    port = await serve(answering("200 OK", b'{"status":  "up", "state": "ready"}'))
    outcome = await look({"http": {"body": pattern}}, ports={"http": port})
    assert outcome.ok is ok
    assert ("does not match" in outcome.detail) is not ok


async def test_of_an_endless_body_only_the_first_64_kib_are_read(serve: Serve, look: Look) -> None:
    sent = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"1000\r\n" + b"x" * 4096 + b"\r\n")
            await writer.drain()
            sent += 4096

    port = await serve(endless)
    outcome = await look({"http": {"body": "never-there"}}, ports={"http": port})
    assert "does not match" in outcome.detail
    assert sent < 32 * 1024 * 1024


async def test_a_body_that_ends_with_the_connection_is_enough(serve: Serve, look: Look) -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.0 200 OK\r\n\r\nall fine")
        writer.write_eof()
        await reader.read()

    port = await serve(behave)
    assert (await look({"http": {"body": "fine$"}}, ports={"http": port})).ok


async def test_a_regular_expression_that_explodes_is_a_failure_not_a_standstill(serve: Serve, look: Look) -> None:
    port = await serve(answering("200 OK", b"a" * 60 + b"!"))
    outcome = await look({"http": {"body": "(a+)+$"}, "timeout": "5s"}, ports={"http": port})
    assert outcome.ok is False
    assert "takes too long" in outcome.detail


async def test_hanging_after_accept_ends_at_the_deadline(serve: Serve, look: Look) -> None:
    port = await serve(hanging)
    began = time.monotonic()
    outcome = await look({"http": "/", "timeout": "100ms"}, ports={"http": port})
    assert time.monotonic() - began < 1.0
    assert outcome.detail == f"GET http://127.0.0.1:{port}/ gave no answer within 0.1 s"


async def test_the_deadline_is_for_the_whole_answer(serve: Serve, look: Look) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1000:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.02)

    port = await serve(drip)
    outcome = await look({"http": "/", "timeout": "200ms"}, ports={"http": port})
    assert "gave no answer within 0.2 s" in outcome.detail


@pytest.mark.parametrize(
    "answer", [b"", b"SSH-2.0-OpenSSH_9\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"a" * 200_000, b"\x00\xff"]
)
async def test_what_is_not_http_is_a_failure_in_words(serve: Serve, look: Look, answer: bytes) -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    port = await serve(behave)
    outcome = await look({"http": "/"}, ports={"http": port})
    assert outcome.ok is False
    assert "did not answer with HTTP" in outcome.detail or "reset" in outcome.detail


async def test_a_refused_connection(look: Look, unused_tcp_port: int) -> None:
    outcome = await look({"http": "/healthz"}, ports={"http": unused_tcp_port})
    assert outcome.detail == f"GET http://127.0.0.1:{unused_tcp_port}/healthz refused"


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ({"http": "/"}, "the service has no port"),
        ({"http": {"port": "admin"}}, "no port 'admin'; known: none"),
        ({"http": "ftp://127.0.0.1/x"}, "is not an http or https address"),
        ({"http": "http://127.0.0.1:99999/"}, "Port out of range"),
        ({"http": {"path": "http://127.0.0.1:1/", "status": ["ok"]}}, "'ok' is not a status code"),
    ],
)
async def test_a_check_that_makes_no_sense_says_why(look: Look, check: dict[str, Any], words: str) -> None:
    outcome = await look(check)
    assert outcome.ok is False
    assert words in outcome.detail


async def test_a_header_that_would_break_the_request_is_refused(serve: Serve, look: Look) -> None:
    port = await serve(answering("200 OK"))
    outcome = await look({"http": {"headers": {"X": "a\r\nEvil: b"}}}, ports={"http": port})
    assert outcome.ok is False
    assert "cannot be asked" in outcome.detail


async def test_a_certificate_must_be_trusted_unless_told_otherwise(serve: Serve, look: Look) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(server)
    port = await serve(answering("200 OK"), ssl=server)
    where: dict[str, Any] = {"endpoints": endpoints("https", web=port)}
    refused = await look({"http": "/"}, **where)
    assert refused.ok is False
    assert "certificate not trusted" in refused.detail
    assert (await look({"http": {"verify_tls": False}}, **where)).ok


async def test_tls_spoken_to_something_plain_is_a_failure(serve: Serve, look: Look) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"no TLS here\r\n")
        await writer.drain()

    port = await serve(plain)
    outcome = await look({"http": f"https://127.0.0.1:{port}/"})
    assert outcome.ok is False
    assert "TLS failed" in outcome.detail
