"""Names for the shell's completion: never an error, never slow, nothing heavy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness_core.domain.errors import HarnessError

__all__ = ["Found", "complete_names"]

#: seconds; a shell that hangs is worse than one that completes nothing
LIMIT = 0.3
#: value, "plain" or "file", and what it is
Found = tuple[str, str, str]


def complete_names(kind: str, incomplete: str, context: str) -> list[Found]:
    """What may stand for ``incomplete``: units, stacks, tasks, files, topics."""
    if kind in ("file", "start"):
        files: list[Found] = [(incomplete, "file", "")]
        return files if kind == "file" else _units(incomplete, context, lambda row: True) + files
    if kind == "help":
        from harness.cli.commands import COMMANDS
        from harness.cli.topics import TOPICS

        commands = [(name, "plain", command.summary) for name, command in COMMANDS.items()]
        return _matching(incomplete, [*commands, *((topic, "plain", "a topic") for topic in TOPICS)])
    if kind == "stack":
        rows = _status(context).get("stacks", [])
        return _matching(incomplete, [(row["name"], "plain", row["state"]) for row in rows])
    if kind == "context":
        from harness_core.client.contexts import load

        try:
            return _matching(incomplete, [(name, "plain", str(row.get("url", ""))) for name, row in load().items()])
        except HarnessError:
            return []
    return _units(incomplete, context, lambda row: kind != "task" or row["kind"] == "task")


def _units(incomplete: str, context: str, wanted: Callable[[Any], bool]) -> list[Found]:
    rows = [row for row in _status(context).get("services", []) if wanted(row)]
    bare = [row["name"] for row in rows]
    found: list[Found] = []
    for row in rows:
        full = f"{row['stack']}/{row['name']}"
        # the bare name where it says enough and nobody began to type a stack's
        name = full if "/" in incomplete or bare.count(row["name"]) > 1 else row["name"]
        found.append((name, "plain", f"{row['state']} ({row['target']})"))
    return _matching(incomplete, found)


def _matching(incomplete: str, found: list[Found]) -> list[Found]:
    return [item for item in found if item[0].startswith(incomplete)]


def _status(context: str) -> dict[str, Any]:
    """The daemon's answer, if it comes at once."""
    from harness.cli.chosen import endpoint
    from harness_core.client.fast import call

    try:
        answer = call(endpoint(context), "status", {}, timeout=LIMIT)
        return answer if isinstance(answer, dict) else {}
    except (HarnessError, OSError, ValueError):
        # whatever is wrong, a person pressing TAB is not the one to tell
        return {}
