"""Passing on how somebody else's program ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness_core.domain.errors import ExitCode

if TYPE_CHECKING:
    from harness_core.domain.protocol import ExitInfo

__all__ = ["code_of"]


def code_of(exit_: ExitInfo) -> int:
    """The exit code as a shell would have it: 128 + N for a signal; an unknown end is never a success."""
    if exit_["signal"] is not None:
        return 128 + exit_["signal"]
    return int(ExitCode.FAILED) if exit_["code"] is None else exit_["code"]
