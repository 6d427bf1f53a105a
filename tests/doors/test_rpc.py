"""Decoding: whatever comes, a call or a typed refusal."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness_core.domain.errors import InternalError, error_from_wire
from harness_core.doors import rpc
from harness_core.doors.rpc import Call, Malformed

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=12,
)


@given(st.binary() | st.text())
def test_bytes_of_any_kind(message: bytes | str) -> None:
    check(message)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(("jsonrpc", "id", "method", "params", "more"), JSON)))
def test_objects_of_any_kind(message: dict[str, Any]) -> None:
    check(json.dumps(message))


@given(st.sampled_from(["2.0"]), st.text(max_size=100) | st.integers(-(1 << 63), (1 << 63) - 1), st.text())
def test_good_requests(version: str, request_id: str | int, method: str) -> None:
    message = {"jsonrpc": version, "id": request_id, "method": method, "params": {"a": 1}, "unknown": [1]}
    try:
        assert rpc.decode(json.dumps(message)) == Call(request_id, method, {"a": 1})
    except Malformed:
        # only text that is no Unicode is refused
        with pytest.raises(UnicodeEncodeError):
            (method + str(request_id)).encode()


def check(message: bytes | str) -> None:
    try:
        assert isinstance(rpc.decode(message), Call)
    except Malformed as error:
        wire = json.loads(rpc.refusal(error.request_id, error))
        assert wire["error"]["code"] in (-32700, -32600)
        assert error_from_wire(wire["error"]).code == "usage"


@given(JSON)
def test_whatever_is_answered_can_be_read(value: Any) -> None:
    answer = json.loads(rpc.answer(1, value))
    assert (answer["jsonrpc"], answer["id"]) == ("2.0", 1)


@pytest.mark.parametrize("value", [object(), {"a": {1, object()}}, {"x": "\udc80", "y": object()}])
def test_what_is_no_json_is_our_fault(value: Any) -> None:
    with pytest.raises(InternalError, match="not JSON"):
        rpc.answer(1, value)
