"""Who may come in: bearer tokens of 256 bits, of which only the SHA-256 is kept.

``hns_<id>_<secret>``: the id (8 base32 letters) finds the record, the secret (43 letters, base64url) proves it. The
file ``STATE/token`` holds the local administrator's token, for commands on this machine by this user.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from harness_core.domain.errors import Conflict, NotAllowed, NotFound, UsageError
from harness_core.domain.protocol import Role, TokenRow
from harness_core.doors.private import read_private, set_aside, write_private

__all__ = ["Token", "Tokens"]

_log = logging.getLogger("harness.doors.tokens")

_FORM = re.compile(r"hns_([a-z2-7]{8})_([A-Za-z0-9_-]{43})")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@-]{0,62}")
_DAY = 86400.0
#: a token for another machine lives at most this long
MAX_LIFE = 365 * _DAY
#: the local token is replaced at a start or a renewal after this long, …
LOCAL_LIFE = 90 * _DAY
#: … and the one before it stays good for this long, for commands that are running
LOCAL_OVERLAP = _DAY
LOCAL_NAME = "local"
#: compared against when no record has the id, so that an unknown id takes as long as a wrong secret
_NOBODY = hashlib.sha256(b"nobody").hexdigest()


@dataclass(frozen=True, slots=True)
class Token:
    """A record; the secret itself is not in it. Times are seconds since 1970."""

    id: str
    name: str
    role: Role
    sha256: str
    created: float
    expires: float | None
    creator: str
    last_used: float | None = None
    revoked: bool = False

    @property
    def local(self) -> bool:
        """Whether it is the one that all commands of the daemon's own user share; nobody can create another."""
        return self.name == LOCAL_NAME

    def row(self) -> TokenRow:
        """As ``token.list`` shows it."""
        return {
            "id": self.id,
            "name": self.name,
            "role": self.role.name.lower(),
            "created": self.created,
            "expires": self.expires,
            "last_used": self.last_used,
            "revoked": self.revoked,
        }


class Tokens:
    """Owns ``STATE/tokens.json`` and ``STATE/token``. Call ``open`` once. Used from one event loop only."""

    def __init__(self, state_dir: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._path = state_dir / "tokens.json"
        self.local_path = state_dir / "token"
        self._clock = clock
        self._tokens: dict[str, Token] = {}
        self._unsaved_use = False
        self._saving = asyncio.Lock()
        #: what was found wrong and repaired, for the daemon's status
        self.problems: list[str] = []

    def open(self) -> None:
        """Read the records and see to it that the local token works. Raises ``NotAllowed`` for links and the like."""
        self._read()
        self.renew_local()

    def authenticate(self, credential: str) -> Token:
        """The record that ``credential`` proves. Raises ``NotAllowed``, whose ``data["reason"]`` tells the audit why.

        Whoever does not know a secret learns nothing from the answer or from how long it takes.
        """
        match = _FORM.fullmatch(credential)
        token = self._tokens.get(match[1]) if match else None
        digest = hashlib.sha256((match[2] if match else "").encode()).hexdigest()
        same = hmac.compare_digest(digest, token.sha256 if token else _NOBODY)
        if token is None or not same:
            reason = "malformed" if match is None else "unknown" if token is None else "wrong"
            raise NotAllowed("cannot let you in: the token is not valid", hint=_NEW_TOKEN, data={"reason": reason})
        now = self._clock()
        if token.revoked:
            raise NotAllowed("cannot let you in: the token was revoked", hint=_NEW_TOKEN, data={"reason": "revoked"})
        if token.expires is not None and now >= token.expires:
            raise NotAllowed("cannot let you in: the token has expired", hint=_NEW_TOKEN, data={"reason": "expired"})
        self._tokens[token.id] = replace(token, last_used=now)
        self._unsaved_use = True
        return token

    def create(self, name: str, role: Role, expires_in: float, creator: str) -> tuple[Token, str]:
        """A new token and its secret form, which is shown once; to be saved. Raises ``UsageError`` and ``Conflict``."""
        if not _NAME.fullmatch(name):
            raise UsageError(f"cannot create a token called {name!r}: use letters, digits and . _ @ -, at most 63")
        if not 0 < expires_in <= MAX_LIFE:
            raise UsageError("cannot create the token: it must live between a moment and 365 days")
        if name == LOCAL_NAME or any(t.name == name and self._alive(t) for t in self._tokens.values()):
            raise Conflict(
                f"cannot create the token {name!r}: there is one already", hint="revoke it, or use another name"
            )
        return self._mint(name, role, self._clock() + expires_in, creator)

    def forget(self, token_id: str) -> None:
        """Take back a token that could not be saved."""
        self._tokens.pop(token_id, None)

    def revoke(self, which: str) -> list[Token]:
        """End the tokens with this id or name now; to be saved. The local token is replaced, so nobody is locked out.

        Raises ``NotFound``.
        """
        alive = [t for t in self._tokens.values() if which in (t.id, t.name) and self._alive(t)]
        if not alive:
            raise NotFound(f"cannot revoke {which!r}: no token has this id or name", hint="harness token list")
        for token in alive:
            self._tokens[token.id] = replace(token, revoked=True)
        if any(token.name == LOCAL_NAME for token in alive):
            self.renew_local()
        return alive

    def rows(self) -> list[TokenRow]:
        return [token.row() for token in sorted(self._tokens.values(), key=lambda t: t.created)]

    def renew_local(self) -> bool:
        """Write a new local token when the present one is missing, damaged, ended or 90 days old. True when it did."""
        now = self._clock()
        current = self._current_local()
        if current is not None and now - current.created < LOCAL_LIFE:
            return False
        for token in list(self._tokens.values()):
            if token.name == LOCAL_NAME and token.expires is None:
                self._tokens[token.id] = replace(token, expires=now + LOCAL_OVERLAP)
        _, credential = self._mint(LOCAL_NAME, Role.ADMIN, None, "")
        write_private(self._path, self._encoded())
        write_private(self.local_path, credential.encode() + b"\n")
        return True

    @property
    def unsaved_use(self) -> bool:
        """Whether a token was used since the last save."""
        return self._unsaved_use

    async def save(self) -> None:
        """Write the records without stopping the loop; the newest state wins. Raises ``OSError``."""
        async with self._saving:
            data = self._encoded()
            await asyncio.to_thread(write_private, self._path, data)

    def _alive(self, token: Token) -> bool:
        return not token.revoked and (token.expires is None or token.expires > self._clock())

    def _mint(self, name: str, role: Role, expires: float | None, creator: str) -> tuple[Token, str]:
        token_id = base64.b32encode(secrets.token_bytes(5)).decode().lower()
        secret = secrets.token_urlsafe(32)
        digest = hashlib.sha256(secret.encode()).hexdigest()
        token = Token(token_id, name, role, digest, self._clock(), expires, creator)
        self._tokens[token_id] = token
        return token, f"hns_{token_id}_{secret}"

    def _current_local(self) -> Token | None:
        """The record of what the local token file holds; ``None`` when it opens nothing for good."""
        try:
            match = _FORM.fullmatch(read_private(self.local_path, 4096).decode("ascii", "replace").strip())
        except FileNotFoundError:
            return None
        token = self._tokens.get(match[1]) if match else None
        if match is None or token is None or not self._alive(token) or token.expires is not None:
            return None
        digest = hashlib.sha256(match[2].encode()).hexdigest()
        return token if hmac.compare_digest(digest, token.sha256) else None

    def _read(self) -> None:
        try:
            raw = read_private(self._path)
        except FileNotFoundError:
            return
        try:
            self._tokens = {token.id: token for token in map(_from_json, json.loads(raw)["tokens"])}
        except (ValueError, TypeError, KeyError, RecursionError):
            kept = set_aside(self._path, time.strftime("damaged-%Y%m%dT%H%M%S", time.gmtime(self._clock())))
            sentence = (
                f"{self._path} could not be read and was set aside as {kept}; every token but the local one ended"
            )
            self.problems.append(sentence)
            _log.warning("%s", sentence)

    def _encoded(self) -> bytes:
        now = self._clock()
        # what ended long ago is of no use to anybody; the audit log has its story
        kept = [t for t in self._tokens.values() if t.expires is None or t.expires > now - MAX_LIFE]
        self._tokens = {t.id: t for t in kept}
        rows = [{**asdict(token), "role": token.role.name.lower()} for token in kept]
        self._unsaved_use = False
        return json.dumps({"version": 1, "tokens": rows}, indent=1).encode()


_NEW_TOKEN = "ask the administrator of that daemon for a token: harness token create NAME"  # noqa: S105 - a sentence


def _from_json(row: dict[str, Any]) -> Token:
    expires, used = row["expires"], row["last_used"]
    if not re.fullmatch(r"[0-9a-f]{64}", row["sha256"]):
        raise ValueError("not a digest")
    return Token(
        id=str(row["id"]),
        name=str(row["name"]),
        role=Role[str(row["role"]).upper()],
        sha256=row["sha256"],
        created=float(row["created"]),
        expires=None if expires is None else float(expires),
        creator=str(row["creator"]),
        last_used=None if used is None else float(used),
        revoked=bool(row["revoked"]),
    )
