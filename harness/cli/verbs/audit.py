"""``harness audit``: the record of who asked the daemon to change what."""

from __future__ import annotations

import os

from harness.cli import chosen
from harness.cli.grammar import Verb
from harness.cli.render.escape import escape_line
from harness.cli.session import Cli
from harness_core.client import locate
from harness_core.domain.errors import NotFound, UsageError

__all__ = ["HELP", "VERBS"]

HELP = "Each record holds the digest of the one before, so that a change of the past shows."


def verify(cli: Cli) -> int:
    if not chosen.is_local(cli.settings.context):
        raise UsageError("cannot read another machine's audit log from here", hint="do it there, or use -H local")
    path = os.path.join(locate.state_dir(), "audit.log")
    if not os.path.exists(path):
        raise NotFound(f"there is no audit log at {path}", hint="a daemon writes it with the first change")
    from pathlib import Path

    from harness.maintenance import audit_problems

    problems = audit_problems(Path(locate.state_dir()))
    cli.data(
        {"file": path, "ok": not problems, "problems": problems},
        lambda: [escape_line(line) for line in problems] or [f"{path} is whole"],
    )
    return 1 if problems else 0


VERBS = (Verb("verify", verify, "Exit code 1 when a record was changed or removed.", summary="Check the chain."),)
