"""What the typed methods stand on: one call that answers at once, one that streams."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from harness_core.client.stream import Stream
    from harness_core.domain.protocol import StackSource

__all__ = ["Caller", "as_params"]


class Caller(Protocol):
    """Implemented by ``Client``."""

    def call(self, method: str, params: Mapping[str, Any] | None = None) -> Any:
        """Ask for an operation that answers at once and return its answer."""
        ...

    def stream(self, method: str, params: Mapping[str, Any] | None = None) -> Stream[Any, Any]:
        """Ask for an operation that streams."""
        ...


def as_params(source: StackSource) -> dict[str, Any]:
    """A stack file as a request field."""
    return {
        "text": source.text,
        "filename": source.filename,
        "base_dir": source.base_dir,
        "env": dict(source.env),
        "name": source.name,
    }
