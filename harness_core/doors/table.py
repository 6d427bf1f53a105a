"""The operations table bound to its handlers: what every door calls, and the only place where a role is checked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import TypeAdapter, ValidationError

from harness_core.domain.errors import NotAllowed, NotFound, UsageError
from harness_core.domain.protocol import OPERATIONS, Operation, Role

__all__ = ["Caller", "Handler", "Prepared", "Stream", "Table"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: established by the door before the table is reached."""

    #: the token's name, for the audit and the journal
    name: str
    role: Role
    #: where the request came from, for people
    peer: str = ""
    #: unique id of this request; goes into every event that it causes
    request: str = ""


class Stream(Protocol):
    """The way back to a caller who listens. Sending waits until the peer can take it; a peer that takes nothing for
    8 s is dropped, which cancels the handler."""

    async def send(self, item: Mapping[str, Any]) -> None: ...

    async def send_bytes(self, header: dict[str, Any], payload: bytes | memoryview) -> None: ...

    def incoming(self) -> AsyncIterator[Mapping[str, Any]]:
        """What the caller sends while the stream is open."""
        ...


#: ``handler(request, caller)`` for a unary operation, ``handler(request, caller, stream)`` for a streaming one;
#: returns the answer as a JSON-able mapping. Cancelled when the caller leaves.
Handler = Callable[..., Awaitable[Any]]


class Table:
    """Binds each declared operation to exactly one handler and calls it with a validated request."""

    def __init__(self, operations: Mapping[str, Operation] = OPERATIONS) -> None:
        self.operations = dict(operations)
        self._handlers: dict[str, Handler] = {}
        self._adapters: dict[str, TypeAdapter[Any]] = {}

    def bind(self, name: str, handler: Handler) -> None:
        """Give an operation its handler. Raises ``ValueError`` for an unknown name or a second handler."""
        if name not in self.operations:
            raise ValueError(f"no operation is called {name!r}")
        if name in self._handlers:
            raise ValueError(f"{name!r} has a handler already")
        self._handlers[name] = handler
        self._adapters[name] = TypeAdapter(self.operations[name].request)

    def check(self) -> None:
        """Raise ``ValueError`` unless every operation has a handler and a role; called before listening."""
        if missing := sorted(set(self.operations) - set(self._handlers)):
            raise ValueError(f"operations without a handler: {', '.join(missing)}")
        roles: dict[str, Any] = {name: op.role for name, op in self.operations.items()}
        if roleless := sorted(name for name, role in roles.items() if not isinstance(role, Role)):
            raise ValueError(f"operations without a role: {', '.join(roleless)}")

    def find(self, name: str, caller: Caller) -> Operation:
        """The operation, if the caller may use it. Raises ``NotFound`` or ``NotAllowed``."""
        operation = self.operations.get(name)
        if operation is None:
            raise NotFound(f"no operation is called {name!r}", hint="the daemon may be older than this client")
        if caller.role < operation.role:
            raise NotAllowed(
                f"cannot {operation.name}: it needs the role {operation.role.name.lower()}, "
                f"and this token has {caller.role.name.lower()}",
                hint="ask for a token with that role: harness token create --role …",
            )
        return operation

    def prepare(self, name: str, params: Any, caller: Caller) -> Prepared:
        """Check the role and validate the request. Raises ``NotFound``, ``NotAllowed`` or ``UsageError``."""
        operation = self.find(name, caller)
        try:
            request = self._adapters[name].validate_python({} if params is None else params)
        except ValidationError as error:
            found = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'params'}: {e['msg']}" for e in error.errors()[:5])
            raise UsageError(f"cannot {name}: {found}") from None
        return Prepared(operation, request, caller, self._handlers[name])

    async def call(self, name: str, params: Any, caller: Caller, stream: Stream | None = None) -> Any:
        """``prepare`` and ``run`` in one."""
        return await self.prepare(name, params, caller).run(stream)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request that may be run: its role was checked, its parameters are valid."""

    operation: Operation
    request: Any
    caller: Caller
    handler: Handler

    async def run(self, stream: Stream | None = None) -> Any:
        """Run the handler and return its answer; what it raises comes through as it is."""
        if not self.operation.streams:
            return await self.handler(self.request, self.caller)
        if stream is None:
            raise UsageError(f"cannot {self.operation.name} in one request: it streams", hint="use the WebSocket")
        return await self.handler(self.request, self.caller, stream)
