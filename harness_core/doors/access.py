"""The one chain that every request passes: Host, Origin, credential, role, rate. Whoever is refused learns why in JSON.

It is ASGI around the whole application, so no route can be reached past it. What a route lets in is declared where the
route is (``Entrances``); a route without a declaration makes the start fail.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from harness_core.domain.errors import HarnessError, NotAllowed, NotFound, Overloaded
from harness_core.domain.protocol import Role
from harness_core.doors.limits import Bucket, Limits, Penalties, is_loopback
from harness_core.doors.refusals import refuse
from harness_core.doors.sessions import Sessions
from harness_core.doors.tokens import Token, Tokens

__all__ = ["Access", "Entrances"]

_BRACKETED = re.compile(r"\[([^\[\]]*)\](?::(\d{1,5}))?")
_REALM = {"www-authenticate": 'Bearer realm="harness"'}


class Entrances:
    """The routes of the doors, each with the role it needs; ``None`` means that anybody may, on purpose."""

    def __init__(self) -> None:
        self.routes: list[BaseRoute] = []
        self._roles: dict[int, Role | None] = {}

    def add(self, route: BaseRoute, role: Role | None) -> None:
        self.routes.append(route)
        self._roles[id(route)] = role

    def check(self, routes: list[BaseRoute]) -> None:
        """Raise ``ValueError`` when any of the routes that are served declares no role."""
        bare = [str(getattr(route, "path", route)) for route in routes if id(route) not in self._roles]
        if bare:
            raise ValueError(f"routes without a role: {', '.join(bare)}")

    def role_of(self, scope: Scope) -> Role | None:
        """The role that the route for this request needs. Raises ``NotFound`` when there is no route."""
        for route in self.routes:
            match, _ = route.matches(scope)
            if match is not Match.NONE:
                return self._roles[id(route)]
        raise NotFound(f"nothing is served at {scope['path'][:200]}", hint="the protocol is at /ws and /rpc")

    def is_public(self, scope: Scope) -> bool:
        try:
            return self.role_of(scope) is None
        except NotFound:
            return False


class _Refused(Exception):
    """How a request ended in the chain."""

    def __init__(self, status: int, error: HarnessError, headers: dict[str, str]) -> None:
        super().__init__(error.message)
        self.status = status
        self.error = error
        self.headers = headers


class Access:
    """The middleware. ``names`` answers which names are served; ``on_refused`` is told the address and the reason of
    every credential that was no good."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        entrances: Entrances,
        tokens: Tokens,
        sessions: Sessions,
        names: Callable[[], list[str]],
        limits: Limits,
        on_refused: Callable[[str, str], None],
    ) -> None:
        self._app = app
        self._entrances = entrances
        self._tokens = tokens
        self._sessions = sessions
        self._names = names
        self._on_refused = on_refused
        self._penalties = Penalties()
        self._refusals = Bucket(limits.refusals, limits.refusals, asyncio.get_running_loop().time())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return
        try:
            token = self._pass(scope)
        except _Refused as refused:
            await refuse(scope, send, refused.status, refused.error, refused.headers)
            return
        if token is None:
            await self._app(scope, receive, send)
            return
        arrival = scope["state"]["arrival"]
        try:
            session = self._sessions.enter(token, arrival)
        except Overloaded as error:
            await refuse(scope, send, 429, error)
            return
        arrival.admit()
        scope["state"]["token"] = token
        scope["state"]["session"] = session
        try:
            await self._app(scope, receive, send)
        finally:
            self._sessions.leave(session)

    def _pass(self, scope: Scope) -> Token | None:
        """Whose request this is; ``None`` on a public route. Raises ``_Refused``."""
        headers = _Headers(scope)
        self._check_host(headers, scope)
        self._check_origin(headers, scope)
        if self._entrances.is_public(scope):
            return None
        token = self._authenticate(headers, scope["client"][0] if scope.get("client") else "")
        try:
            needed = self._entrances.role_of(scope)
        except NotFound as error:
            raise _Refused(404, error, {}) from None
        if needed is not None and token.role < needed:
            message = f"cannot let you in: this needs the role {needed.name.lower()}, and this token has "
            raise _Refused(403, NotAllowed(message + token.role.name.lower(), hint="ask for another token"), {})
        wait = self._sessions.spend(token)
        if wait:
            raise _Refused(429, _too_much("requests", wait), {"retry-after": str(int(wait) + 1)})
        return token

    def _check_host(self, headers: _Headers, scope: Scope) -> None:
        """Only the names we serve: a page that makes its own name point here (DNS rebinding) gets nothing."""
        host = headers.only("host")
        if host is None or _split(host)[0] not in self._names():
            error = NotAllowed(
                f"cannot serve the name {(host or '')[:80]!r}: this daemon answers to {', '.join(self._names())}",
                hint="start the daemon with that name: harness daemon run --name NAME",
            )
            raise _Refused(421, error, {})

    def _check_origin(self, headers: _Headers, scope: Scope) -> None:
        """A browser says where a page came from; only our own pages may call us. Programs send none."""
        origin = headers.only("origin")
        if origin is None and not headers.has("origin"):
            return
        scheme, _, rest = (origin or "").partition("://")
        name, port = _split(rest)
        if scheme != "https" or name not in self._names() or port != str(scope["server"][1]):
            raise _Refused(403, NotAllowed(f"cannot serve a page of {(origin or 'several origins')[:80]}"), {})

    def _authenticate(self, headers: _Headers, source: str) -> Token:
        loop = asyncio.get_running_loop()
        local = is_loopback(source)
        if not local and (wait := self._penalties.wait(source, loop.time())):
            raise _Refused(429, _too_much("refused credentials", wait), {"retry-after": str(int(wait) + 1)})
        scheme, _, credential = (headers.only("authorization") or "").partition(" ")
        try:
            if scheme.lower() != "bearer":
                raise NotAllowed(
                    "cannot let you in: no token was sent",
                    hint="use the harness command, or send the header Authorization: Bearer TOKEN",
                    data={"reason": "missing"},
                )
            return self._tokens.authenticate(credential.strip())
        except NotAllowed as error:
            if not local:
                self._penalties.refused(source, loop.time())
            elif wait := self._refusals.take(loop.time()):
                # everybody on this machine shares the address, so nobody is locked out; only noise is cut
                raise _Refused(429, _too_much("refused credentials", wait), {"retry-after": "1"}) from None
            self._on_refused(source, str(error.data.get("reason", "")))
            raise _Refused(401, error, _REALM) from None


class _Headers:
    """Request headers by name; a header that came twice has no value, because two readers could take two of them."""

    def __init__(self, scope: Scope) -> None:
        self._values: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            self._values.setdefault(name.lower(), []).append(value)

    def has(self, name: str) -> bool:
        return name.encode() in self._values

    def only(self, name: str) -> str | None:
        values = self._values.get(name.encode(), [])
        return values[0].decode("latin-1") if len(values) == 1 else None


def _split(host: str) -> tuple[str, str]:
    """Name and port of ``name:port`` or ``[address]:port``, the name in lower case; the port is "443" if not given."""
    if bracketed := _BRACKETED.fullmatch(host):
        return bracketed[1].lower(), bracketed[2] or "443"
    name, _, port = host.partition(":")
    return name.lower(), port or "443"


def _too_much(what: str, wait: float) -> Overloaded:
    return Overloaded(
        f"cannot answer now: too many {what}", hint=f"try again in {wait:.1f} s", data={"retry_after": round(wait, 3)}
    )
