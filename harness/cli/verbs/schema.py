"""``harness schema``: the JSON Schema of stack files, installed plugins included."""

from __future__ import annotations

import json

from harness.cli.grammar import Verb
from harness.cli.session import Cli

__all__ = ["VERB"]


def run(cli: Cli) -> int:
    """Always JSON: editors read it as it is, without a version around it."""
    schema = cli.call("schema", {}, begin=True)["json_schema"]
    cli.out.line(json.dumps(schema, indent=2, ensure_ascii=False))
    return 0


VERB = Verb(
    "schema",
    run,
    "Write it to a file and name it in the first line of a stack file, and editors complete and check:\n\n"
    "# yaml-language-server: $schema=./harness.schema.json",
)
