"""Who may do what, on the daemon as it is really wired: every operation by every role, refused just below its own."""

from __future__ import annotations

import asyncio
import dataclasses
import ssl
import subprocess
import sys
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import BaseRoute, Mount

from harness.daemon import _Daemon
from harness_core.client import fast, trust
from harness_core.client.locate import Endpoint
from harness_core.client.stream import Stream
from harness_core.domain.errors import HarnessError, NotAllowed
from harness_core.domain.protocol import OPERATIONS, Done, Nothing, Operation, Role
from harness_core.runtime.statedir import StateDir
from tests.access.conftest import Guarded

pytestmark = pytest.mark.e2e

#: what anybody may have without a credential, on purpose
PUBLIC = {"/healthz", "/.well-known/harness-ca"}
#: the answer to this can only come from behind the door: no request has such a field of such a type
NONSENSE = {"nonsense": ["in", "every", "field"]}

#: one command a person would type for each operation that a viewer may not use; ``FILE`` is a stack file
COMMANDS: dict[str, list[str]] = {
    "daemon.stop": ["daemon", "stop"],
    "daemon.logs": ["daemon", "logs"],
    "stack.validate": ["validate", "FILE"],
    "stack.plan": ["plan", "FILE"],
    "stack.start": ["start", "FILE"],
    "stack.forget": ["forget", "s", "-y"],
    "service.start": ["start", "web"],
    "service.stop": ["stop", "web", "-y"],
    "service.restart": ["restart", "web"],
    "service.adopt": ["adopt", "broken", "--pid", "1"],
    "service.forget": ["forget", "s/broken", "-y"],
    "task.run": ["run", "once"],
    "logs": ["logs", "web"],
    "logs.follow": ["logs", "-f", "web"],
    "logs.clear": ["logs", "--clear", "web", "-y"],
    "exec": ["exec", "web", "true"],
    "token.create": ["token", "create", "more"],
    "token.list": ["token", "list"],
    "token.revoke": ["token", "revoke", "local", "-y"],
    "cert.rotate": ["cert", "rotate"],
}
#: no command asks for these by itself
NO_COMMAND = {"daemon.env"}


def params_of(operation: Operation) -> dict[str, Any]:
    """Parameters that no handler can take, so that whoever is let in changes nothing."""
    return {field.name: NONSENSE for field in dataclasses.fields(operation.request)}


def refused(guarded: Guarded, role: Role, operation: Operation, *, streamed: bool) -> bool:
    """Whether the daemon keeps this role from this operation; any other answer comes from behind its guard."""
    error = answered(guarded.client(role).endpoint, operation, streamed)
    if isinstance(error, NotAllowed):
        assert int(error.exit_code) == 4
        assert operation.role.name.lower() in error.message, "it says which role is needed"
        return True
    assert error is None or error.code == "usage", f"{operation.name} for {role.name}: {error}"
    return False


def answered(endpoint: Endpoint, operation: Operation, streamed: bool) -> HarnessError | None:
    try:
        if streamed:
            Stream[Any, Any](endpoint, operation.name, params_of(operation)).close()
        else:
            fast.call(endpoint, operation.name, params_of(operation))
    except HarnessError as error:
        return error
    return None


@pytest.mark.parametrize("role", Role, ids=lambda role: role.name.lower())
@pytest.mark.parametrize("streamed", [False, True], ids=["post", "websocket"])
def test_every_operation_is_refused_exactly_below_its_role(guarded: Guarded, role: Role, streamed: bool) -> None:
    asked = [op for op in OPERATIONS.values() if not streamed or op.streams]
    found = {op.name: refused(guarded, role, op, streamed=streamed) for op in asked}
    assert found == {op.name: role < op.role for op in asked}


def test_a_new_operation_must_be_told_from_the_harmless_ones() -> None:
    """What takes no parameters is really run in the matrix above, so it must be harmless."""
    bare = {op.name for op in OPERATIONS.values() if op.request is Nothing and op.mutates}
    assert bare == {"cert.rotate"}


def test_there_is_a_command_for_whatever_may_be_refused() -> None:
    guarded_ones = {op.name for op in OPERATIONS.values() if op.role > Role.VIEWER}
    assert guarded_ones == set(COMMANDS) | NO_COMMAND


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_command_line_ends_with_4(guarded: Guarded, name: str) -> None:
    file = guarded.lab.folder / "harness.yaml"
    file.write_text("name: t\nservices: {a: {target: {type: process, shell: 'true'}}}\n")
    below = Role(OPERATIONS[name].role - 1)
    env = guarded.lab.environment() | {"HARNESS_CONFIG_DIR": str(guarded.lab.root / "config")}
    words = [str(file) if word == "FILE" else word for word in COMMANDS[name]]
    done = subprocess.run(
        [sys.executable, "-m", "harness", *words],
        env=env | {"HARNESS_CONTEXT": guarded.addresses[below]},
        capture_output=True,
        text=True,
        timeout=30,
        cwd=guarded.lab.folder,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 4, f"{words} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert OPERATIONS[name].role.name.lower() in done.stderr


def test_nothing_was_changed_by_those_who_were_refused(guarded: Guarded) -> None:
    assert guarded.lab.row("web")["phase"] == "running"
    assert guarded.lab.row("web")["restarts"] == 0
    assert "SAID-BY-WEB" in str(guarded.lab.client.call("logs", {"names": ["web"]}))


def test_who_may_not_read_logs_does_not_read_them_in_failures(guarded: Guarded) -> None:
    seen = {}
    for role in (Role.VIEWER, Role.LOGS):
        params = {"names": ["broken"], "timeout": 5.0}
        with Stream[Any, Any](guarded.client(role).endpoint, "service.wait", params) as stream:
            seen[role] = stream.result["failures"][0]["last_lines"]
    assert seen == {Role.VIEWER: [], Role.LOGS: ["SAID-BY-BROKEN"]}


# ── the wiring ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_without_a_credential_there_are_two_public_places_and_no_others(guarded: Guarded) -> None:
    host, port = guarded.client(Role.VIEWER).endpoint[:2]
    context = trust.tls_context(fast.with_authority(guarded.client(Role.VIEWER).endpoint, 5.0))
    for path in (*PUBLIC, "/", "/ws", "/rpc", "/metrics", "/docs", "/openapi.json", "/ws/", "//rpc", "/RPC", "/%72pc"):
        for method in ("GET", "POST"):
            status = _status(host, port, context, method, path)
            if path in PUBLIC:
                assert status in (200, 405), (method, path, status)
            else:
                # so many refusals in a second: those beyond the budget of this machine are not even looked at
                assert status in (401, 429), (method, path, status)


def _status(host: str, port: int, context: ssl.SSLContext, method: str, path: str) -> int:
    connection = HTTPSConnection(host, port, context=context, timeout=5)
    try:
        connection.request(method, path)
        return connection.getresponse().status
    finally:
        connection.close()


def routes_below(routes: list[BaseRoute]) -> list[BaseRoute]:
    """All routes, those of mounted applications included."""
    return [
        one
        for route in routes
        for one in ([route, *routes_below(route.routes)] if isinstance(route, Mount) else [route])
    ]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    with StateDir(tmp_path / "state") as opened:
        yield opened


async def test_every_operation_and_route_of_the_stock_daemon_has_a_role(state: StateDir) -> None:
    daemon = _Daemon(state, "127.0.0.1", 0, ())
    daemon._bind()
    assert set(daemon._table.operations) == set(OPERATIONS)
    assert {op.name for op in daemon._table.operations.values() if not isinstance(op.role, Role)} == set()
    daemon._table.check()
    async with daemon._doors as doors:
        chain = doors.access
        served = routes_below(chain._app.routes)  # type: ignore[attr-defined] # Starlette, behind the type of ASGI
        roles = {getattr(route, "path", ""): chain._entrances._roles[id(route)] for route in served}
    assert {path for path, role in roles.items() if role is None} == PUBLIC
    assert {path for path, role in roles.items() if role is not None} == {"/ws", "/rpc"}


async def test_the_stock_daemon_does_not_start_with_an_operation_that_has_no_role(state: StateDir) -> None:
    daemon = _Daemon(state, "127.0.0.1", 0, ())
    nobodys: Any = None
    daemon._table.operations["naked"] = Operation("naked", nobodys, Nothing, Done, "forgotten")

    async def handler(_request: Any, _caller: Any) -> Any:
        return {"ok": True, "message": ""}

    daemon._table.bind("naked", handler)
    with pytest.raises(ValueError, match="without a role: naked"):
        await asyncio.wait_for(daemon.serve(), 30)
    assert state.read_card() is None, "it never said where it is"
