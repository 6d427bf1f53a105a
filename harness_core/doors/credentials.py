"""The operations on tokens and certificates."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from harness_core.domain.errors import ReadOnly, UsageError
from harness_core.domain.protocol import CertStatus, CreateToken, Done, Role, TokenId, TokenSecret, TokensResult
from harness_core.doors.sessions import Sessions
from harness_core.doors.table import Caller, Handler, Table
from harness_core.doors.tls import Certificates
from harness_core.doors.tokens import Tokens

__all__ = ["Credentials"]

#: between the answer to a revocation and the end of the token's connections, which may include the asker's own
_GRACE = 0.2


class Credentials:
    """Handlers of ``token.*`` and ``cert.*``. ``connection`` makes the string that a new client needs."""

    def __init__(
        self, tokens: Tokens, certificates: Certificates, sessions: Sessions, connection: Callable[[str], str]
    ) -> None:
        self._tokens = tokens
        self._certificates = certificates
        self._sessions = sessions
        self._connection = connection

    def bind(self, table: Table) -> None:
        """Give the table these handlers, as far as it has the operations."""
        handlers: dict[str, Handler] = {
            "token.create": self.create,
            "token.list": self.list,
            "token.revoke": self.revoke,
            "cert.status": self.status,
            "cert.rotate": self.rotate,
        }
        for name, handler in handlers.items():
            if name in table.operations:
                table.bind(name, handler)

    async def create(self, request: CreateToken, caller: Caller) -> TokenSecret:
        try:
            role = Role[request.role.upper()]
        except KeyError:
            known = ", ".join(role.name.lower() for role in Role)
            raise UsageError(f"cannot create a token with the role {request.role!r}: known are {known}") from None
        token, secret = self._tokens.create(request.name, role, request.expires_in, caller.name)
        try:
            await self._tokens.save()
        except OSError as error:
            self._tokens.forget(token.id)
            raise _cannot_save("create the token", error) from error
        return {"id": token.id, "token": secret, "connection": self._connection(secret)}

    async def list(self, _request: Any, _caller: Caller) -> TokensResult:
        return {"tokens": self._tokens.rows()}

    async def revoke(self, request: TokenId, _caller: Caller) -> Done:
        revoked = self._tokens.revoke(request.id)
        loop = asyncio.get_running_loop()
        for token in revoked:
            loop.call_later(_GRACE, self._sessions.end_token, token.id)
        try:
            await self._tokens.save()
        except OSError as error:
            raise _cannot_save("record the revocation, which holds until the daemon ends", error) from error
        return {"ok": True, "message": f"revoked {', '.join(token.name for token in revoked)}"}

    async def status(self, _request: Any, _caller: Caller) -> CertStatus:
        return self._certificates.status()

    async def rotate(self, _request: Any, _caller: Caller) -> CertStatus:
        try:
            self._certificates.renew(force=True)
        except OSError as error:
            raise _cannot_save("write the certificate", error) from error
        return self._certificates.status()


def _cannot_save(what: str, error: OSError) -> ReadOnly:
    return ReadOnly(f"cannot {what}: {(error.strerror or str(error)).lower()}", hint="free space and try again")
