"""``harness init``: a commented stack file to begin with."""

from __future__ import annotations

import os

from harness.cli.files import write_new
from harness.cli.grammar import Argument, Option, Verb
from harness.cli.session import Cli
from harness.cli.templates import SCHEMA_URL, TEMPLATES
from harness.naming import plain_name
from harness_core.domain.errors import UsageError

__all__ = ["VERB"]


def run(cli: Cli, *, template: str, file: str, name: str | None) -> int:
    stack = name or plain_name(os.path.basename(os.getcwd()))
    if stack != plain_name(stack):
        raise UsageError(
            f"cannot call a stack {stack!r}", hint=f"lower-case letters, digits, . _ -: {plain_name(stack)}"
        )
    text = TEMPLATES[template or "web"][1].format(name=stack, schema=SCHEMA_URL)
    write_new(file, text, hint="choose another with: harness init --file other.yaml")
    cli.data(
        {"file": file, "template": template or "web", "name": stack}, lambda: [f"wrote {file}"], names=lambda: [file]
    )
    start = "harness start" if file == "harness.yaml" else f"harness start {file}"
    check = f"harness validate {file}"
    cli.note(f"  {start:{len(check)}}  start it")
    cli.note(f"  {check}  check it after a change")
    return 0


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
