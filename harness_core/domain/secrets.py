"""Keeping secrets out of what is shown: values are masked by the names that they go by, and inside addresses.

A name that could mean both is taken for a secret: a masked setting costs a question, a shown secret costs the secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["MASK", "is_secret", "mask", "mask_env"]

MASK = "***"

#: anywhere in the name, its words run together
_TELLING = re.compile(
    "password|passwd|passphrase|secret|credential|apikey|privatekey|accesskey|authconfig|webhook|connectionstring"
)
#: as the last word of the name
_LAST = frozenset({"auth", "authorization", "cookie", "dsn", "jwt", "key", "pass", "pat", "pw", "pwd", "token"})
#: what speaks about a secret and is none: where it lies, how long it is, how long it lives
_ABOUT = frozenset(
    {"algorithm", "count", "dir", "enabled", "expiry", "file", "length", "limit", "name", "path", "policy", "rounds"}
    | {"size", "timeout", "ttl", "type"}
)
#: keys that open nothing
_HARMLESS_KEY = frozenset({"cache", "foreign", "partition", "primary", "public", "publishable", "routing", "sort"})
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
#: user:password@ inside an address; the password may hold an "@", the user may be missing
_URL = re.compile(r"(?<=://)([^/\s:@]*):[^/\s]+@")
#: name=value inside a query, a connection string or an option
_PAIR = re.compile(r"(?:(?<=[?&;\s])|^)([\w.-]+)=([^&;\s]+)")


def is_secret(name: str) -> bool:
    """Whether a variable, option or field of this name is taken to hold a secret."""
    words = [word.lower() for word in _WORD.findall(name)]
    if not words or words[-1] in _ABOUT or words[-3:] == ["access", "key", "id"]:
        return False
    if _TELLING.search("".join(words)):
        return True
    if words[-1] == "key":
        return _HARMLESS_KEY.isdisjoint(words)
    return words[-1] in _LAST and words != ["pwd"]


def mask_env(env: Mapping[str, str]) -> dict[str, str]:
    """An environment as it may be shown."""
    return {name: _masked(value, name) for name, value in env.items()}


def mask(value: Any, name: str = "") -> Any:
    """A definition as it may be shown: mappings and lists are walked, strings under secret names are masked.

    In a list of arguments, what follows an option with a secret name is masked, too.
    """
    if isinstance(value, Mapping):
        return {key: mask(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [mask(item, name if is_secret(name) else _option_before(value, at)) for at, item in enumerate(value)]
    return _masked(value, name) if isinstance(value, str) else value


def _option_before(items: Sequence[Any], at: int) -> str:
    before = items[at - 1] if at else None
    return before if isinstance(before, str) and before.startswith("-") and "=" not in before else ""


def _masked(value: str, name: str) -> str:
    if is_secret(name) and value:
        return MASK
    return _PAIR.sub(_masked_pair, _URL.sub(rf"\1:{MASK}@", value))


def _masked_pair(match: re.Match[str]) -> str:
    return f"{match[1]}={MASK}" if is_secret(match[1]) else match[0]
