"""``harness init``: a commented stack file to begin with."""

from __future__ import annotations

import os
import re

from harness.cli.grammar import Argument, Option, Verb
from harness.cli.session import Cli
from harness.cli.templates import SCHEMA_URL, TEMPLATES
from harness_core.domain.errors import Conflict, InvalidConfiguration, UsageError

__all__ = ["VERB"]


def run(cli: Cli, *, template: str, file: str, name: str | None) -> int:
    stack = name or stack_name(os.path.basename(os.getcwd()))
    if stack != stack_name(stack):
        raise UsageError(
            f"cannot call a stack {stack!r}", hint=f"lower-case letters, digits, . _ -: {stack_name(stack)}"
        )
    text = TEMPLATES[template or "web"][1].format(name=stack, schema=SCHEMA_URL)
    _write(file, text)
    cli.data(
        {"file": file, "template": template or "web", "name": stack}, lambda: [f"wrote {file}"], names=lambda: [file]
    )
    start = "harness start" if file == "harness.yaml" else f"harness start {file}"
    check = f"harness validate {file}"
    cli.note(f"  {start:{len(check)}}  start it")
    cli.note(f"  {check}  check it after a change")
    return 0


def stack_name(directory: str) -> str:
    """A valid stack name made from a directory's."""
    plain = re.sub(r"[^a-z0-9._-]+", "-", directory.lower()).strip("-._")
    return plain[:63] or "stack"


def _write(file: str, text: str) -> None:
    """Create the file; one that exists, even as a dangling link, is never touched."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except FileExistsError:
        raise Conflict(
            f"cannot write {file}: it is there already", hint="choose another with: harness init --file other.yaml"
        ) from None
    except OSError as error:
        raise InvalidConfiguration(f"cannot write {file}: {(error.strerror or str(error)).lower()}") from None
    with open(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)


VERB = Verb(
    "init",
    run,
    "Templates:\n\n\b\n" + "\n".join(f"{name:8}{text[0]}" for name, text in TEMPLATES.items()),
    arguments=(Argument("template", "Which one; web without a choice.", choices=tuple(TEMPLATES)),),
    options=(
        Option(("--file",), "Where to write it.", "text", default="harness.yaml", metavar="FILE", complete="file"),
        Option(("-n", "--name"), "The stack's name; that of the directory without it.", "text", metavar="NAME"),
    ),
)
