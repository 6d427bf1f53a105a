"""Keeping secrets out of what is shown: values are masked by the names that they go by, and inside URLs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["MASK", "is_secret", "mask", "mask_env"]

MASK = "***"
_NAME = re.compile(
    r"(?i)(pass(word|wd|phrase)?|secret|token|api_?key|private_?key|credential|auth|cookie|session_?key|_key|dsn)$"
    r"|^(pass|secret|token)|password|secret|access_?key"
)
#: user:password@ inside an address
_URL = re.compile(r"(?<=://)([^/\s:@]+):([^/\s@]+)@")


def is_secret(name: str) -> bool:
    """Whether a variable of this name is taken to hold a secret."""
    return _NAME.search(name) is not None


def mask_env(env: Mapping[str, str]) -> dict[str, str]:
    """An environment as it may be shown."""
    return {name: MASK if is_secret(name) and value else _URL.sub(rf"\1:{MASK}@", value) for name, value in env.items()}


def mask(value: Any, name: str = "") -> Any:
    """A definition as it may be shown: mappings and lists are walked, strings under secret names are masked."""
    if isinstance(value, Mapping):
        return {key: mask(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [mask(item, name) for item in value]
    if isinstance(value, str):
        return MASK if is_secret(name) and value else _URL.sub(rf"\1:{MASK}@", value)
    return value
