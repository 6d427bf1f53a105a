"""Daemons on other machines, by name: ``contexts.json`` in the user's configuration, a token file each."""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import re
import secrets
from typing import Any

from harness_core.client import trust
from harness_core.client.endpoint import Endpoint, parse_address
from harness_core.client.places import config_dir
from harness_core.domain.errors import InvalidConfiguration, NotAllowed, NotFound, UsageError

__all__ = ["add", "endpoint", "load", "refresh", "remove"]

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_RESERVED = ("local",)


def load() -> dict[str, dict[str, Any]]:
    """All saved contexts: name → ``{"url", "pin", "ca", "token_file"}``."""
    path = _path()
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)["contexts"]
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidConfiguration(f"cannot read {path}: {error}", hint="repair or remove it") from None
    return {name: row for name, row in found.items() if isinstance(row, dict)}


def endpoint(name: str) -> Endpoint:
    """The daemon of a saved context. Raises ``NotFound``, or ``NotAllowed`` when its token file cannot be read."""
    known = load()
    if name not in known:
        close = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {close[0]!r}?" if close else "harness context list"
        raise NotFound(f"no context is called {name!r}", hint=hint, data={"did_you_mean": close})
    row = known[name]
    token_file = str(row.get("token_file", ""))
    try:
        with open(token_file, encoding="ascii") as file:
            token = file.read().strip()
    except (OSError, ValueError) as error:
        raise NotAllowed(f"cannot use the context {name!r}: its token cannot be read ({error})") from None
    place = parse_address(f"harness://{str(row.get('url', '')).partition('://')[2]}#h1.{row.get('pin', '')}.{token}")
    return place._replace(ca=str(row.get("ca", "")), context=name)


def add(name: str, address: str, timeout: float = 5.0) -> Endpoint:
    """Save a connection string under a name, once the daemon there has shown the pinned authority."""
    if not _NAME.fullmatch(name) or name in _RESERVED:
        raise UsageError(f"cannot call a context {name!r}: use lower-case letters, digits and . _ -, and not 'local'")
    known = load()
    if name in known:
        raise UsageError(
            f"cannot add the context {name!r}: there is one already", hint=f"harness context remove {name}"
        )
    found = trust.authority_of(parse_address(address), timeout)._replace(context=name)
    token_file = os.path.join(config_dir(), "tokens", name)
    _write(token_file, found.token + "\n")
    _save({**known, name: {"url": found.url, "pin": found.pin, "ca": found.ca, "token_file": token_file}})
    return found


def remove(name: str) -> None:
    """Forget a context and its token. Raises ``NotFound``."""
    known = load()
    if name not in known:
        raise NotFound(f"no context is called {name!r}", hint="harness context list")
    token_file = str(known.pop(name).get("token_file", ""))
    _save(known)
    if os.path.dirname(token_file) == os.path.join(config_dir(), "tokens"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(token_file)


def refresh(known: Endpoint, timeout: float) -> Endpoint:
    """Fetch the authority's certificate again: it may have been reissued with the same key for other names."""
    found = trust.authority_of(known, timeout)
    rows = load()
    if known.context in rows and rows[known.context].get("ca") != found.ca:
        rows[known.context]["ca"] = found.ca
        _save(rows)
    return found


def _path() -> str:
    return os.path.join(config_dir(), "contexts.json")


def _save(contexts: dict[str, dict[str, Any]]) -> None:
    _write(_path(), json.dumps({"version": 1, "contexts": contexts}, indent=1))


def _write(path: str, text: str) -> None:
    """Replace a file by one that only the user can read."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    temporary = f"{path}.{secrets.token_hex(6)}"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(fd, "w", encoding="utf-8") as file:
            os.fchmod(fd, 0o600)
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
