"""JSON-RPC 2.0 as bytes: a message is decoded into a ``Call`` or refused with a typed error, and answers are encoded.

Pure. Nothing a peer sends makes anything here fail but with ``Malformed``, which carries the id where there was one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pydantic_core import PydanticSerializationError, from_json, to_json

from harness_core.domain.errors import HarnessError, InternalError, UsageError

__all__ = ["Call", "Malformed", "RequestId", "answer", "decode", "encode", "notification", "refusal"]

RequestId = str | int
_MAX_ID = 128


class Malformed(UsageError):
    """The message is no request at all."""

    def __init__(self, message: str, *, number: int = -32600, request_id: RequestId | None = None) -> None:
        super().__init__(f"cannot read the request: {message}")
        self._wire_number = number
        self.request_id = request_id

    def to_wire(self) -> dict[str, Any]:
        return {**super().to_wire(), "code": self._wire_number}


@dataclass(frozen=True, slots=True)
class Call:
    """A request, or a notification when ``id`` is ``None``. ``params`` is an object or absent."""

    id: RequestId | None
    method: str
    params: dict[str, Any] | None


def decode(message: str | bytes) -> Call:
    """One request. Raises ``Malformed`` for everything else: batches, other versions, odd ids, depth, NaN."""
    try:
        body = from_json(message, allow_inf_nan=False)
    except (ValueError, TypeError, RecursionError) as error:
        # a TypeError is text that is no Unicode
        raise Malformed(f"it is not JSON ({error})", number=-32700) from None
    if isinstance(body, list):
        raise Malformed("batches are not served; send the requests one by one")
    if not isinstance(body, dict):
        raise Malformed("it is not an object")
    request_id = _request_id(body)
    if body.get("jsonrpc") != "2.0":
        raise Malformed('"jsonrpc" must be "2.0"', request_id=request_id)
    method, params = body.get("method"), body.get("params")
    if not isinstance(method, str):
        raise Malformed('"method" must be a string', request_id=request_id)
    if params is not None and not isinstance(params, dict):
        raise Malformed('"params" must be an object', request_id=request_id)
    return Call(request_id, method, params)


def answer(request_id: RequestId | None, result: Any) -> bytes:
    """The answer to a request. Raises ``InternalError`` when the result is not JSON."""
    return encode({"jsonrpc": "2.0", "id": request_id, "result": result})


def refusal(request_id: RequestId | None, error: HarnessError) -> bytes:
    """The answer to a request that failed."""
    return encode({"jsonrpc": "2.0", "id": request_id, "error": error.to_wire()})


def notification(method: str, params: dict[str, Any]) -> bytes:
    return encode({"jsonrpc": "2.0", "method": method, "params": params})


def encode(message: dict[str, Any]) -> bytes:
    """JSON in UTF-8; text that is no valid Unicode (file names, arguments) goes escaped."""
    try:
        return to_json(message, inf_nan_mode="null")
    except (PydanticSerializationError, ValueError):
        pass
    try:
        return json.dumps(message, separators=(",", ":"), allow_nan=False).encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise InternalError(f"cannot answer: the result is not JSON ({error})") from error


def _request_id(body: dict[str, Any]) -> RequestId | None:
    if "id" not in body:
        return None
    found = body["id"]
    if isinstance(found, str) and len(found) <= _MAX_ID:
        return found
    # true and false are integers to Python, but no ids
    if isinstance(found, int) and not isinstance(found, bool) and -(1 << 63) <= found < 1 << 63:
        return found
    raise Malformed('"id" must be a short string or an integer')
