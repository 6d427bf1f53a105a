"""Keeping secrets out of what is shown: values are masked by the names that they go by, and inside addresses.

A name that could mean both is taken for a secret: a masked setting costs a question, a shown secret costs the secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["MASK", "blot", "is_secret", "is_telling", "mask", "mask_env", "mask_text", "secrets_in"]

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
_URL_PASSWORD = re.compile(r"(?<=://)[^/\s:@]*:([^/\s]+)@")
#: name=value inside a query, a connection string, an option or a command line
_PAIR = re.compile(r"""(?:(?<=[?&;\s"'`])|^)([\w.-]+)=("[^"]*"|'[^']*'|[^&;\s"'`]+)""")
#: a bearer token of ours: what finds it, what proves it
_TOKEN = re.compile(r"(hns_[a-z2-7]{8})_[A-Za-z0-9_-]{20,}")
#: in a line of YAML: a key, and a value behind it
_KEY = re.compile(r"""(?:^|(?<=[{,\s-]))["']?([\w.-]+)["']?\s*:\s+""")
_VALUE = re.compile(r"""\[[^\]]*\]?|"[^"]*"?|'[^']*'?|[^,}\s][^,}]*""")
_SHORTEST = 8


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


def mask_env(env: Mapping[str, str], secrets: Sequence[str] = ()) -> dict[str, str]:
    """An environment as it may be shown."""
    return {name: _masked(value, name, secrets) for name, value in env.items()}


def mask(value: Any, name: str = "", secrets: Sequence[str] = ()) -> Any:
    """A definition as it may be shown: mappings and lists are walked, strings under secret names are masked.

    In a list of arguments, what follows an option with a secret name is masked, too; and so are ``secrets`` wherever
    they stand.
    """
    if isinstance(value, Mapping):
        return {key: mask(item, str(key), secrets) for key, item in value.items()}
    if isinstance(value, list | tuple):
        names = (name if is_secret(name) else _option_before(value, at) for at in range(len(value)))
        return [mask(item, named, secrets) for item, named in zip(value, names, strict=True)]
    return _masked(value, name, secrets) if isinstance(value, str) else value


def mask_text(text: str, secrets: Sequence[str] = ()) -> str:
    """A sentence as it may be shown: without ``secrets``, passwords in addresses, ``password=…`` and our own tokens."""
    return _TOKEN.sub(rf"\1_{MASK}", _masked(text, "", secrets))


def secrets_in(value: Any, name: str = "") -> Iterator[str]:
    """The values that ``mask`` would hide in a definition, as far as they are worth looking for elsewhere.

    One that could be a word of any sentence ("postgres") hides nothing, and looking for it would spoil all of them.
    """
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from secrets_in(item, str(key))
    elif isinstance(value, list | tuple):
        for at, item in enumerate(value):
            yield from secrets_in(item, name if is_secret(name) else _option_before(value, at))
    elif isinstance(value, str):
        found = [value] if is_secret(name) else [*_URL_PASSWORD.findall(value), *_pair_secrets(value)]
        yield from (secret for secret in found if is_telling(secret))


def is_telling(value: str) -> bool:
    """Whether a secret value can be told from ordinary words, so that it may be hidden wherever it stands."""
    return len(value) >= _SHORTEST and not (value.isalpha() and value.islower()) and "${" not in value


def blot(line: str) -> str:
    """A line of a stack file as it may be shown: values after secret names are blotted out, places stay the same."""
    for key in _KEY.finditer(line):
        if is_secret(key[1]) and (value := _VALUE.match(line, key.end())):
            line = line[: value.start()] + _blotted(value[0]) + line[value.end() :]
    return line


def _blotted(value: str) -> str:
    return value if "${" in value and ":-" not in value else re.sub(r"[^\s\[\]{}\"',|>]", "*", value)


def _option_before(items: Sequence[Any], at: int) -> str:
    before = items[at - 1] if at else None
    return before if isinstance(before, str) and before.startswith("-") and "=" not in before else ""


def _masked(value: str, name: str, secrets: Sequence[str]) -> str:
    if is_secret(name) and value:
        return MASK
    for secret in secrets:
        value = value.replace(secret, MASK)
    return _PAIR.sub(_masked_pair, _URL.sub(rf"\1:{MASK}@", value))


def _masked_pair(match: re.Match[str]) -> str:
    return f"{match[1]}={MASK}" if is_secret(match[1]) else match[0]


def _pair_secrets(value: str) -> Iterator[str]:
    return (match[2].strip("\"'") for match in _PAIR.finditer(value) if is_secret(match[1]))
