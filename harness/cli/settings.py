"""The options that hold for every verb, read once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["Settings"]


class Settings(NamedTuple):
    """What the global options say; the defaults are those of a plain call."""

    #: a saved context's name or a harness:// address; "" means the local daemon
    context: str = ""
    output: str = "table"
    progress: str = "auto"
    color: str = "auto"
    quiet: bool = False
    verbose: int = 0
    yes: bool = False
    no_input: bool = False
    #: seconds; ``None`` waits as long as each unit's own limit lets it
    timeout: float | None = None

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Settings:
        """From option values as the command line gave them. Raises ``UsageError`` for a timeout that is none."""
        timeout = values.get("timeout")
        return cls(
            context=values.get("context") or "",
            output=values.get("output") or "table",
            progress=values.get("progress") or "auto",
            color=values.get("color") or "auto",
            quiet=bool(values.get("quiet")),
            verbose=int(values.get("verbose") or 0),
            yes=bool(values.get("yes")),
            no_input=bool(values.get("no_input")),
            timeout=_seconds(timeout) if timeout else None,
        )

    @property
    def machine(self) -> bool:
        """Whether the answer is for a program."""
        return self.output in ("json", "jsonl", "yaml")


def _seconds(text: str) -> float:
    from harness.cli.times import parse_span  # few commands say how long they would wait

    return parse_span(text, "--timeout")
