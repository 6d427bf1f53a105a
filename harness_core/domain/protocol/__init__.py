"""The language between a daemon and those who talk to it: every operation, its request, its answer, its role.

Requests are dataclasses and answers are ``TypedDict``s, so that a command line can speak it without importing a
validation library; the daemon's doors validate both with the same types. ``OPERATIONS`` is the one table from which
WebSocket, HTTP, and later REST and MCP are fed.

The wire is JSON-RPC 2.0 over the WebSocket subprotocol ``harness.v1``, or one POST of the same request to ``/rpc``:

    → {"jsonrpc":"2.0","id":7,"method":"status","params":{"names":["db"]}}
    ← {"jsonrpc":"2.0","id":7,"result":{…}}                       or "error": {"code","message","data":{"code","hint"}}

A streaming operation (WebSocket only) answers first with ``{"subscription": S}``, then sends notifications

    ← {"jsonrpc":"2.0","method":"stream.item","params":{"subscription":S,"seq":1,"item":{…}}}
    ← {"jsonrpc":"2.0","method":"stream.end","params":{"subscription":S,"result":{…}}}     or "error": {…}

and may be ended by ``{"method":"stream.cancel","params":{"subscription":S}}``, after which the end carries
``"cancelled":true``. ``exec`` takes its input the same way: ``{"method":"stream.send","params":{"subscription":S,
"item":{"stdin":"<base64>"} | {"eof":true} | {"resize":[rows,columns]} | {"signal":2}}}``. Sent with an id, it is
answered when the operation has taken the item: whoever sends much waits for that. Output bytes (``logs``, ``exec``)
come as binary frames so that nothing is escaped or copied: 4 bytes big-endian length, that many bytes of JSON header,
then the raw bytes (``BINARY_HEADER``). Unknown fields are ignored by whoever receives them.
"""

from harness_core.domain.frames import *
from harness_core.domain.protocol.answers import *
from harness_core.domain.protocol.operations import OPERATIONS as OPERATIONS
from harness_core.domain.protocol.operations import Operation as Operation
from harness_core.domain.protocol.operations import Role as Role
from harness_core.domain.protocol.requests import *
