"""The options and arguments of the verbs that send a stack file: start, plan and validate."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from harness.cli import stackfile
from harness.cli.grammar import Argument, Option
from harness_core.domain.errors import UsageError

__all__ = ["FILE_OR_NAMES", "PROFILE", "SOURCE", "chosen_files", "read_source"]

FILE_OR_NAMES = Argument(
    "targets",
    "A stack file and units of it, or registered units; without any, the nearest harness.yaml.",
    many=True,
    complete="start",
)
PROFILE = Option(("--profile",), "Also units of this profile.", "text", many=True, metavar="NAME", parameter="profiles")
#: what shapes the stack before it is looked at
SOURCE: tuple[Option, ...] = (
    Option(("-n", "--name"), "Register the stack under another name.", "text", metavar="NAME"),
    Option(
        ("--set",),
        "Give a variable of the file a value.",
        "text",
        many=True,
        metavar="KEY=value",
        parameter="assignments",
    ),
    Option(
        ("--env-file",),
        "Read variables from this file; the environment wins over it.",
        "text",
        many=True,
        metavar="FILE",
        complete="file",
        parameter="env_files",
    ),
    Option(
        ("--inherit-env",),
        "Let services inherit this variable of yours; 'all' means every one.",
        "text",
        many=True,
        metavar="NAME",
        parameter="inherit",
    ),
)


def chosen_files(targets: Sequence[str]) -> tuple[list[str], list[str]]:
    """The files and unit names that are meant; with neither, the nearest stack file. Raises ``UsageError``."""
    files, names = stackfile.split(targets)
    if not targets:
        nearest = stackfile.find(".")
        if nearest is None:
            raise UsageError(
                "cannot tell what is meant: there is no harness.yaml here or above",
                hint="name a stack file, or write one with: harness init",
            )
        files = [_short(nearest)]
    return files, names


def read_source(
    file: str,
    *,
    name: str | None,
    assignments: Sequence[str],
    env_files: Sequence[str],
    inherit: Sequence[str],
) -> dict[str, Any]:
    """The ``StackSource`` of a file with the variables of this environment."""
    return stackfile.source(file, os.environ, name=name, env_files=env_files, assignments=assignments, inherit=inherit)


def _short(path: str) -> str:
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative
