"""The values that cross borders: errors and events on the wire, markers, batches, frames, the hook of plugins."""

from __future__ import annotations

import json

import pluggy
import pytest
from pydantic import BaseModel

from harness_core.domain import errors
from harness_core.domain.errors import Conflict, ExitCode, HarnessError, OperationFailed, error_from_wire
from harness_core.domain.events import Event, EventType
from harness_core.domain.executor import ExecutorPlugin, Marker, StartFailed
from harness_core.domain.hookspecs import PROJECT, HarnessHooks, hookimpl
from harness_core.domain.protocol import BINARY_HEADER, OPERATIONS, Role, decode_binary, encode_binary
from harness_core.domain.store import Batch

WIRE = [getattr(errors, name) for name in errors.__all__ if name not in ("ExitCode", "HarnessError", "error_from_wire")]


@pytest.mark.parametrize("kind", WIRE)
def test_an_error_arrives_as_what_it_was_sent_as(kind: type[HarnessError]) -> None:
    sent = kind("cannot do it: so there", hint="try again", data={"holders": ["pid 4"]})
    arrived = error_from_wire(json.loads(json.dumps(sent.to_wire())))
    assert type(arrived) is kind
    assert (arrived.message, arrived.hint, arrived.data) == (sent.message, sent.hint, sent.data)


@pytest.mark.parametrize(
    "body",
    [{"message": "no", "data": {"code": "from-the-future"}}, {"message": "no", "data": "text"}, {"message": "no"}],
)
def test_an_error_of_a_newer_daemon_is_a_failed_operation(body: dict[str, object]) -> None:
    assert type(error_from_wire(body)) is OperationFailed


def test_an_error_without_particulars_sends_none() -> None:
    assert "detail" not in Conflict("no").to_wire()["data"]


def test_an_error_without_a_message_says_that_there_was_none() -> None:
    assert str(error_from_wire({})) == "the daemon gave no message"


def test_numbers_and_codes_of_errors_are_unique_but_for_what_is_the_callers_fault() -> None:
    assert len({kind.code for kind in WIRE}) == len(WIRE)
    assert len({kind.number for kind in WIRE}) == len(WIRE)
    assert Conflict.exit_code is ExitCode.CONFLICT


def test_a_failed_start_says_whether_trying_again_is_of_use() -> None:
    error = StartFailed("no such file: ./api", hint="build it", permanent=True)
    assert error.permanent
    assert (error.message, error.hint) == ("no such file: ./api", "build it")


def test_an_event_comes_back_as_it_went() -> None:
    event = Event(9, 5.0, EventType.STATE, "s/a", 2, "because", "r1", {"from": "waiting"})
    assert Event.from_json(json.loads(json.dumps(event.to_json()))) == event
    assert Event.from_json({"seq": 1, "at": 2, "type": "daemon"}) == Event(1, 2.0, EventType.DAEMON)


def test_a_marker_names_service_and_life() -> None:
    marker = Marker("shop", "db", 3)
    assert (marker.key, str(marker)) == ("shop/db", "shop/db#3")


def test_a_batch_of_nothing_is_nothing() -> None:
    assert not Batch()
    assert Batch({("unit", "s/a"): None})
    assert Batch(events=[Event(1, 2.0, EventType.DAEMON)])


def test_a_binary_frame_carries_its_header_and_raw_bytes() -> None:
    header, body = decode_binary(encode_binary({"stream": "stdout"}, b"\x00\xff"))
    assert (header, bytes(body)) == ({"stream": "stdout"}, b"\x00\xff")


@pytest.mark.parametrize(
    ("frame", "why"),
    [(b"\x00", "too short"), (b"\x00\x00\x00\x09{}", "cut short"), (b"\x00\x00\x00\x02[]", "no header object")],
)
def test_a_frame_that_is_none_is_refused(frame: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        decode_binary(frame)


def test_a_frame_with_a_bottomless_header_is_refused() -> None:
    header = b"[" * 200_000
    with pytest.raises(ValueError, match="nested too deeply"):
        decode_binary(len(header).to_bytes(4, "big") + header)


def test_every_operation_stands_under_its_own_name_and_what_changes_nothing_streams_or_answers() -> None:
    for name, operation in OPERATIONS.items():
        assert operation.name == name
        assert operation.role in Role
        assert operation.streams is (operation.item is not None)


def test_a_plugin_is_handed_the_callable_with_which_it_registers() -> None:
    class Options(BaseModel):
        pass

    class Plugin:
        @hookimpl
        def harness_executors(self, register: object) -> None:
            assert callable(register)
            register(ExecutorPlugin("mine", Options, lambda context: pytest.fail(str(context))))

    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(HarnessHooks)
    manager.register(Plugin())
    registered: list[ExecutorPlugin] = []
    manager.hook.harness_executors(register=registered.append)
    assert [plugin.kind for plugin in registered] == ["mine"]


def test_a_header_that_is_nested_too_deeply_is_no_frame() -> None:
    deep = b"[" * 100_000
    with pytest.raises(ValueError, match="nested too deeply"):
        decode_binary(BINARY_HEADER.pack(len(deep)) + deep)
