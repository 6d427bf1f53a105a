"""The WebSocket: what comes in malformed, many requests at once, streams, and peers that misbehave or leave."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import struct
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from harness_core.client import trust
from harness_core.domain.protocol import decode_binary
from harness_core.doors.limits import Limits

from .conftest import House, open_house
from .wire import ask, request, tls, websocket

MALFORMED: list[tuple[Any, int]] = [
    ("", -32700),
    ("{", -32700),
    ("nonsense", -32700),
    ('{"jsonrpc":"2.0","id":1,"method":"echo","params":{"value":NaN}}', -32700),
    ('{"jsonrpc":"2.0","id":1,"method":"echo","params":{"value":Infinity}}', -32700),
    ('{"jsonrpc":"2.0","id":1,"method":"echo","params":{"value":"\\ud800"}}', -32700),
    ("[" * 100_000, -32700),
    ('{"a":' * 5_000 + "1" + "}" * 5_000, -32700),
    ('{"jsonrpc":"2.0","id":1,"method":"echo","params":{"value":' + "9" * 5_000 + "}}", -32700),
    ("[]", -32600),
    ('[{"jsonrpc":"2.0","id":1,"method":"echo"}]', -32600),
    ("1", -32600),
    ("null", -32600),
    ('"text"', -32600),
    ({"id": 1, "method": "echo"}, -32600),
    ({"jsonrpc": "1.0", "id": 1, "method": "echo"}, -32600),
    ({"jsonrpc": "2.0", "id": 1}, -32600),
    ({"jsonrpc": "2.0", "id": 1, "method": 5}, -32600),
    ({"jsonrpc": "2.0", "id": 1, "method": "echo", "params": [1]}, -32600),
    ({"jsonrpc": "2.0", "id": 1, "method": "echo", "params": "x"}, -32600),
    ({"jsonrpc": "2.0", "id": True, "method": "echo"}, -32600),
    ({"jsonrpc": "2.0", "id": 1.5, "method": "echo"}, -32600),
    ({"jsonrpc": "2.0", "id": {"a": 1}, "method": "echo"}, -32600),
    ({"jsonrpc": "2.0", "id": "x" * 1000, "method": "echo"}, -32600),
    ({"jsonrpc": "2.0", "id": 1 << 70, "method": "echo"}, -32600),
    ({"jsonrpc": "2.0", "method": "echo"}, -32600),
    (b"\x00\x01", -32600),
    ({"jsonrpc": "2.0", "id": 1, "method": "nothing"}, -32005),
    ({"jsonrpc": "2.0", "id": 1, "method": "__class__.__init__"}, -32005),
    ({"jsonrpc": "2.0", "id": 1, "method": "stream.nothing"}, -32005),
    ({"jsonrpc": "2.0", "id": 1, "method": "stream.send", "params": {"subscription": 9, "item": {}}}, -32005),
    ({"jsonrpc": "2.0", "id": 1, "method": "stream.send", "params": {"subscription": 9, "item": 1}}, -32602),
    ({"jsonrpc": "2.0", "id": 1, "method": "count", "params": {"items": "many"}}, -32602),
]


async def test_every_kind_of_nonsense_gets_a_typed_error_and_the_connection_survives(house: House) -> None:
    async with websocket(house) as client:
        for number, (message, code) in enumerate(MALFORMED):
            answer = await ask(client, message)
            assert answer["error"]["code"] == code, (number, answer)
            assert answer["error"]["data"]["code"]
            assert "Traceback" not in str(answer)
        assert (await ask(client, request("echo", value=1)))["result"]["value"] == 1


async def test_a_wide_object_and_duplicate_keys_are_harmless(house: House) -> None:
    wide = json.dumps({str(number): 1 for number in range(60_000)})
    async with websocket(house) as client:
        text = '{"jsonrpc":"2.0","id":1,"method":"nothing","method":"echo","params":{"value":' + wide + "}}"
        assert len((await ask(client, text))["result"]["value"]) == 60_000


async def test_fifty_requests_in_flight_are_answered_as_they_are_done(house: House) -> None:
    async with websocket(house) as client:
        for number in range(50):
            await client.send(json.dumps(request("gate", number, value=number)))
        await house.until(lambda: len(house.running) == 50)
        assert (await ask(client, request("echo", "quick", value=1)))["id"] == "quick"
        house.gate.set()
        answers = [json.loads(await client.recv()) for _ in range(50)]
    assert sorted(answer["result"]["value"] for answer in answers) == list(range(50))


async def test_more_requests_at_once_than_allowed_are_refused_not_queued(tmp_path: Path) -> None:
    async with open_house(tmp_path / "state", Limits(in_flight=3)) as house, websocket(house) as client:
        for number in range(4):
            await client.send(json.dumps(request("gate", number, value=number)))
        answer = json.loads(await client.recv())
        assert (answer["id"], answer["error"]["data"]["code"]) == (3, "overloaded")
        house.gate.set()
        assert len([await client.recv() for _ in range(3)]) == 3


async def test_requests_on_a_websocket_count_against_the_rate(tmp_path: Path) -> None:
    limits = Limits(local_requests=1.0, local_requests_burst=3.0)
    async with open_house(tmp_path / "state", limits) as house, websocket(house) as client:
        answers = [await ask(client, request("echo")) for _ in range(3)]
    assert ["error" in answer for answer in answers] == [False, False, True]
    assert answers[2]["error"]["data"]["code"] == "overloaded"


async def test_an_id_in_use_cannot_be_used_again(house: House) -> None:
    async with websocket(house) as client:
        await client.send(json.dumps(request("gate", 1)))
        answer = await ask(client, request("gate", 1))
        assert "still in use" in answer["error"]["message"]
        house.gate.set()
        assert "result" in json.loads(await client.recv())


@pytest.mark.parametrize("how", ["raise", "exit", "cancel", "unserializable"])
async def test_a_defect_is_told_by_its_id_and_its_traceback_only_logged(
    house: House, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "harness.doors"):
        async with websocket(house) as client:
            error = (await ask(client, request("break", value=how)))["error"]
            assert (await ask(client, request("echo", value=1)))["result"]["value"] == 1
    assert error["code"] == -32603
    assert "secret detail" not in json.dumps(error)
    if how != "unserializable":
        assert error["data"]["detail"]["request"] in caplog.text
        assert error["data"]["detail"]["request"] in error["data"]["hint"]


async def test_text_that_is_no_unicode_goes_escaped(house: House) -> None:
    async with websocket(house) as client:
        assert (await ask(client, request("break", value="surrogate")))["result"] == {"value": "\udc80"}


async def test_a_stream_is_numbered_and_ends_with_its_result(house: House) -> None:
    async with websocket(house) as client:
        assert await ask(client, request("count", 7, items=2)) == {
            "jsonrpc": "2.0",
            "id": 7,
            "result": {"subscription": 1},
        }
        messages = [json.loads(await client.recv()) for _ in range(3)]
    assert [m["params"].get("seq") for m in messages] == [1, 2, None]
    assert messages[2]["method"] == "stream.end"
    assert messages[2]["params"] == {"subscription": 1, "result": {"value": 2}}


async def test_bytes_come_as_binary_frames(house: House) -> None:
    async with websocket(house) as client:
        await ask(client, request("flood", items=1, size=10))
        frame = await client.recv()
        assert isinstance(frame, bytes)
        header, payload = decode_binary(frame)
    assert header == {"subscription": 1, "seq": 1, "number": 0}
    assert bytes(payload) == b"\x00" * 10


async def test_a_cancelled_stream_ends_and_says_so(house: House) -> None:
    async with websocket(house) as client:
        await ask(client, request("count", items=0))
        await house.until(lambda: house.running == ["count"])
        end = await ask(client, {"jsonrpc": "2.0", "method": "stream.cancel", "params": {"subscription": 1}})
        assert end["params"] == {"subscription": 1, "result": None, "cancelled": True}
        assert house.cancelled == ["count"]
        # to cancel what has ended is no error: both ends may decide at once
        await client.send(json.dumps({"jsonrpc": "2.0", "method": "stream.cancel", "params": {"subscription": 1}}))
        assert "result" in await ask(client, request("echo"))


async def test_what_is_sent_into_a_stream_arrives_in_order_and_is_acknowledged(house: House) -> None:
    async with websocket(house) as client:
        await ask(client, request("chat", 1))
        for number in range(3):
            params = {"subscription": 1, "item": {"value": number}}
            await client.send(
                json.dumps({"jsonrpc": "2.0", "id": 10 + number, "method": "stream.send", "params": params})
            )
        end = {"jsonrpc": "2.0", "method": "stream.send", "params": {"subscription": 1, "item": {"end": True}}}
        await client.send(json.dumps(end))
        messages = [json.loads(await client.recv()) for _ in range(7)]
    assert [m["id"] for m in messages if "id" in m] == [10, 11, 12]
    assert [m["params"]["item"]["value"] for m in messages if m.get("method") == "stream.item"] == [0, 1, 2]
    assert messages[-1]["params"]["result"] == {"value": 3}


async def test_a_handler_that_takes_nothing_bounds_what_is_sent_to_it(tmp_path: Path) -> None:
    async with open_house(tmp_path / "state", Limits(incoming=4)) as house, websocket(house) as client:
        await ask(client, request("chat", 1))
        for number in range(8):
            params = {"subscription": 1, "item": {"wait": True}}
            await client.send(json.dumps({"jsonrpc": "2.0", "id": number, "method": "stream.send", "params": params}))
        refused = []
        while len(refused) < 2:
            message = json.loads(await client.recv())
            if "error" in message:
                refused.append(message["error"]["data"]["code"])
        assert refused == ["overloaded"] * 2
        house.gate.set()


async def test_streams_of_one_connection_are_bounded(tmp_path: Path) -> None:
    async with open_house(tmp_path / "state", Limits(subscriptions=2)) as house, websocket(house) as client:
        answers = [await ask(client, request("count", number, items=0)) for number in range(3)]
        assert [("error" in answer) for answer in answers] == [False, False, True]


@pytest.mark.parametrize("how", ["close", "abort"])
async def test_whoever_leaves_has_their_handlers_cancelled(house: House, how: str) -> None:
    async with websocket(house) as client:
        await ask(client, request("count", 1, items=0))
        await client.send(json.dumps(request("gate", 2, value="g")))
        await house.until(lambda: len(house.running) == 2)
        if how == "abort":
            client.transport.abort()
        else:
            await client.close()
    await house.until(lambda: sorted(house.cancelled) == ["count", "gate g"])
    await house.until(lambda: house.doors.connections == 0)


async def test_a_reader_that_takes_nothing_is_dropped_and_others_are_served(tmp_path: Path) -> None:
    async with open_house(tmp_path / "state", Limits(write_deadline=0.5)) as house, websocket(house) as healthy:
        with stuck(house) as sock:
            await asyncio.to_thread(sock.send_text, request("flood", items=1_000_000, size=60_000))
            await house.until(lambda: house.running == ["flood"])
            for _ in range(10):
                assert "result" in await ask(healthy, request("echo"))
            await house.until(lambda: house.cancelled == ["flood"], within=5)
            await house.until(lambda: house.doors.connections == 1)


async def test_a_message_too_large_ends_only_that_connection(house: House) -> None:
    async with websocket(house, max_size=None) as bad, websocket(house) as good:
        await bad.send("x" * ((1 << 20) + 1))
        with pytest.raises(ConnectionClosed):
            await bad.recv()
        assert bad.close_code == 1009
        assert "result" in await ask(good, request("echo"))


async def test_a_flood_of_fragments_is_cut_off(house: House) -> None:
    async with websocket(house) as client:
        client.transport.write(frame(Opcode.TEXT, b"{", fin=False))
        client.transport.write(frame(Opcode.CONT, b"", fin=False) * 1100)
        async with asyncio.timeout(5):
            await client.wait_closed()
        assert client.close_code == 1008


async def test_a_message_that_never_ends_is_cut_off(tmp_path: Path) -> None:
    async with open_house(tmp_path / "state", Limits(message_time=0.2)) as house, websocket(house) as client:
        client.transport.write(frame(Opcode.TEXT, b"{", fin=False))
        async with asyncio.timeout(5):
            await client.wait_closed()
        assert client.close_code == 1008


async def test_a_flood_of_pings_is_read_slowly_and_harms_nobody(house: House) -> None:
    async with websocket(house) as noisy, websocket(house) as good:
        for _ in range(20):
            noisy.transport.write(frame(Opcode.PING, b"") * 500)
        loop = asyncio.get_running_loop()
        began = loop.time()
        for _ in range(10):
            assert "result" in await ask(good, request("echo"))
        assert loop.time() - began < 1.0


async def test_quick_messages_wait_instead_of_being_lost(tmp_path: Path) -> None:
    limits = Limits(frames=200.0, frames_burst=20.0)
    async with open_house(tmp_path / "state", limits) as house, websocket(house) as client:
        for number in range(60):
            await client.send(json.dumps(request("echo", number)))
        assert [json.loads(await client.recv())["id"] for _ in range(60)] == list(range(60))


async def test_half_a_handshake_and_garbage_after_it(house: House) -> None:
    async with websocket(house) as client:
        client.transport.write(os.urandom(4096))
        async with asyncio.timeout(5):
            await client.wait_closed()
    async with tls(house) as (reader, writer):
        writer.write(b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 4")


def frame(opcode: Opcode, data: bytes, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=True)


class stuck:
    """A WebSocket over a blocking socket that is never read after the handshake."""

    def __init__(self, house: House) -> None:
        self._house = house

    def __enter__(self) -> stuck:
        plain = socket.create_connection(("127.0.0.1", self._house.port))
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._context = trust.tls_context(self._house.endpoint)
        self._plain: Any = plain
        return self

    def send_text(self, message: Any) -> None:
        self._plain = self._context.wrap_socket(self._plain, server_hostname="127.0.0.1")
        head = (
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{self._house.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Protocol: harness.v1\r\nAuthorization: Bearer {self._house.token}\r\n\r\n"
        )
        self._plain.sendall(head.encode())
        assert b" 101 " in self._plain.recv(4096)
        self._plain.sendall(frame(Opcode.TEXT, json.dumps(message).encode()))

    def __exit__(self, *_: object) -> None:
        self._plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._plain.close()
