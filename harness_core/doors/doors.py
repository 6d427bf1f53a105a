"""The doors of a daemon as one object: certificates, tokens, audit trail, listener, and what keeps them fresh."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from pathlib import Path

from starlette.routing import BaseRoute

from harness_core.domain.errors import HarnessError
from harness_core.domain.protocol import Role
from harness_core.doors.access import Access
from harness_core.doors.app import make_app, standard_entrances
from harness_core.doors.audit import Audit
from harness_core.doors.credentials import Credentials
from harness_core.doors.dispatch import Dispatch
from harness_core.doors.limits import Limits
from harness_core.doors.listener import Listener, bind
from harness_core.doors.private import private_directory
from harness_core.doors.sessions import Sessions
from harness_core.doors.table import Table
from harness_core.doors.tls import Certificates
from harness_core.doors.tokens import Tokens

__all__ = ["Doors"]

_log = logging.getLogger("harness.doors")

#: how often certificates and the local token are looked at
_HOUSEKEEPING = 3600.0
#: a use of a token is on the disk after at most this long
_LAZY = 60.0


class Doors:
    """Everything between a socket and the operations table.

    ``await open()`` makes or reads the credentials in ``state_dir`` and listens; ``await close()`` ends everything
    within about two seconds. The handlers of ``token.*`` and ``cert.*`` are bound to the table here. ``extra_names``
    are host names or addresses to be served besides the loopback ones; ``routes`` adds doors, each with its role
    (``None``: anybody).

    ``open`` raises ``Conflict`` when an explicit ``port`` is taken, ``NotAllowed`` when files in the state directory
    are links or another user's, and ``ValueError`` when an operation has no handler or a route no role.
    """

    def __init__(
        self,
        state_dir: Path,
        table: Table,
        port: int | None = None,
        host: str = "127.0.0.1",
        extra_names: Iterable[str] = (),
        *,
        routes: Iterable[tuple[BaseRoute, Role | None]] = (),
        limits: Limits | None = None,
    ) -> None:
        self._state_dir = state_dir
        self._table = table
        self._port = port
        self._host = host
        self._extra_routes = list(routes)
        self._limits = limits or Limits()
        names = list(extra_names)
        if host not in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
            names.append(host)
        self._advertised = names[0] if names else "127.0.0.1"
        self.certificates = Certificates(state_dir, names)
        self.tokens = Tokens(state_dir)
        self._sessions = Sessions(self._limits)
        self._dispatch = Dispatch(table, Audit(state_dir / "audit.log"))
        self._listener: Listener | None = None
        self._housekeeping: asyncio.Task[None] | None = None
        Credentials(self.tokens, self.certificates, self._sessions, self._connection_string).bind(table)

    async def open(self) -> None:
        """Listen. When it raises, nothing is left open."""
        self._table.check()
        private_directory(self._state_dir)
        self.certificates.open()
        self.tokens.open()
        entrances = standard_entrances(self._dispatch, self._sessions, self._limits, lambda: self.certificates.ca_pem)
        for route, role in self._extra_routes:
            entrances.add(route, role)
        self.access = Access(
            make_app(entrances),
            entrances=entrances,
            tokens=self.tokens,
            sessions=self._sessions,
            names=lambda: self.certificates.names,
            limits=self._limits,
            on_refused=self._dispatch.refused,
        )
        listener = Listener(self.access, self.certificates.context, bind(self._host, self._port), self._limits)
        await listener.open()
        try:
            self._dispatch.open()
        except OSError:
            await listener.close()
            raise
        self._listener = listener
        self._housekeeping = asyncio.create_task(self._keep_house())

    async def close(self) -> None:
        """End every connection (WebSockets are told 1012: come back) and write what is unwritten."""
        if self._housekeeping is not None:
            self._housekeeping.cancel()
            await asyncio.gather(self._housekeeping, return_exceptions=True)
        if self._listener is not None:
            await self._listener.close()
        await asyncio.to_thread(self._dispatch.close)
        with contextlib.suppress(OSError):  # when a token was last used is nice to know, no more
            await self._flush()

    async def __aenter__(self) -> Doors:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def url(self) -> str:
        """Where the doors are, for clients on this machine: ``https://127.0.0.1:9443``."""
        host, port = self._address()
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
        return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"

    @property
    def pin(self) -> str:
        return self.certificates.pin

    @property
    def connections(self) -> int:
        """Connections that are open and have shown a credential."""
        return self._listener.connections if self._listener is not None else 0

    @property
    def problems(self) -> list[str]:
        """What was found damaged at the start and repaired, in sentences."""
        return [*self.certificates.problems, *self.tokens.problems]

    @property
    def certificate_expires(self) -> float:
        return self.certificates.expires

    def _address(self) -> tuple[str, int]:
        if self._listener is None:
            raise RuntimeError("the doors are not open")
        return self._listener.address

    def _connection_string(self, token: str) -> str:
        host = f"[{self._advertised}]" if ":" in self._advertised else self._advertised
        return f"harness://{host}:{self._address()[1]}/#h1.{self.pin}.{token}"

    async def _keep_house(self) -> None:
        loop = asyncio.get_running_loop()
        checked = loop.time()
        while True:
            await asyncio.sleep(_LAZY if self.tokens.unsaved_use else _HOUSEKEEPING)
            try:
                await self._flush()
                if loop.time() - checked >= _HOUSEKEEPING:
                    checked = loop.time()
                    self.certificates.renew()
                    self.tokens.renew_local()
            except (OSError, HarnessError) as error:
                _log.warning("cannot renew credentials now, will try again: %s", error)

    async def _flush(self) -> None:
        if self.tokens.unsaved_use:
            await self.tokens.save()
